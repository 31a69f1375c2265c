"""How many file descriptors there are, and how much of the configured work they are enough for.

Each caller that waits holds one, and so does each call to an endpoint, also of a function whose
post hangs. With none left, nothing is accepted, read or called: so all of these are bounded, the
limits are lowered to what there is, and the log says so. What the store, the log and connections
that are refused need is counted apart, and nothing of it is given away. It is better to refuse the
ninth connection in words than to meet the limit in the midst of something.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress

from msgspec import Struct, structs

from engine.core.errors import EngineError
from engine.process.config import Config

OWN = 128
"""For the store, the log, the loop, look-ups of names, and connections beyond `connections_max`."""
STORE = 44
"""Of these, what is open always and may not be given away."""
HANGING_LEAST = 4_096
"""So many functions may wait for steps however few calls may be in flight: a small `in_flight_max`
protects endpoints, and who waits works at none."""
LEAST = 48
"""With fewer the engine does not start: it could not even take one caller."""
OPEN_MAX = 10_240
"""macOS grants so many where it says "unlimited" (its setrlimit(2))."""
NEARLY = 0.95
"""With this share of what is needed nobody has to do anything."""
BEYOND_MAX = 64
"""Connections beyond `connections_max`: for health, for operators, and to tell others that there
is no room (`front/server/beyond.py`)."""


class Room(Struct, frozen=True):
    """What the descriptors are enough for."""

    config: Config
    """With limits that fit."""
    has: int
    needed: int
    """For the limits as they were configured."""
    hanging_max: int
    """Calls beside `in_flight_max` whose functions wait for steps."""
    beyond_max: int

    @property
    def is_enough(self) -> bool:
        """Nothing had to be lowered."""
        return self.has >= self.needed

    @property
    def is_nearly_enough(self) -> bool:
        """What had to be lowered is too little to matter: 20,000 in the place of 20,320."""
        return self.has >= self.needed * NEARLY

    @property
    def hint(self) -> str:
        """What to do, for people."""
        return (
            f"The engine may open {self.has} files and needs {self.needed} for connections_max,"
            " in_flight_max, and functions that wait for steps. Until it may, it takes fewer. Raise"
            " the limit (LimitNOFILE= of systemd, `ulimit -Hn`, --ulimit nofile of a container), or"
            " lower these settings."
        )


class TooFewDescriptors(EngineError):
    """The engine cannot run with so few; the message says how many it needs."""


def make_room(config: Config) -> Room:
    """Raise the process's limit as far as it goes, and see what it is enough for.

    Raises TooFewDescriptors.
    """
    has = raise_limit(needed(config))
    if has < LEAST:
        raise TooFewDescriptors(
            f"this process may open {has} files (ulimit -n), and the engine needs {LEAST} before"
            f" it takes a single caller, {needed(config)} for all that its settings allow."
        )
    return within(config, has)


def needed(config: Config) -> int:
    """Descriptors for all that the configuration allows."""
    return config.connections_max + config.in_flight_max + _hanging_max(config) + OWN


def _hanging_max(config: Config) -> int:
    """How many calls may be open whose functions wait: each has a connection to us besides."""
    return min(config.connections_max, max(config.in_flight_max, HANGING_LEAST))


def within(config: Config, has: int) -> Room:
    """The room that so many descriptors give: the limits shrink by the same share."""
    wanted = needed(config)
    if has >= wanted:
        return Room(config, has, wanted, _hanging_max(config), BEYOND_MAX)
    own = min(OWN, has * 3 // 4)
    free, whole = has - own, wanted - OWN
    in_flight_max = max(1, config.in_flight_max * free // whole)
    fitting = structs.replace(
        config,
        connections_max=max(1, config.connections_max * free // whole),
        in_flight_max=in_flight_max,
        in_flight_per_host_max=min(config.in_flight_per_host_max, in_flight_max),
    )
    hanging_max = max(1, _hanging_max(config) * free // whole)
    beyond_max = min(BEYOND_MAX, max(1, own - STORE))
    return Room(fitting, has, wanted, hanging_max, beyond_max)


def raise_limit(wanted: int) -> int:
    """Raise the soft limit to `wanted`, or to the hard one; returns what there is then."""
    soft, hard = (
        sys.maxsize if limit == resource.RLIM_INFINITY else limit
        for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    if soft >= wanted:
        return soft
    most = resource.RLIM_INFINITY if hard == sys.maxsize else hard
    for limit in (min(wanted, hard), min(wanted, hard, OPEN_MAX)):
        if limit > soft:
            with suppress(ValueError, OSError):  # a system with yet another limit
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
                return limit
    return soft
