"""Which faults a seed draws, and how often each strikes.

Swarm testing: a seed has only some kinds of faults, so that rare combinations are not drowned by
the common ones.
"""

from __future__ import annotations

from random import Random

from msgspec import Struct
from msgspec.structs import replace

from engine.core.access.client import NO_LIMITS, ClientLimits
from engine.core.rules.retention import Retention
from engine.runs.limits.bounds import EngineLimits

CALL_FAULTS = (
    "refused", "lost-before", "lost-answer", "slow", "error-before", "error-after", "throttled",
    "not-found", "gateway", "hang", "late", "duplicate", "answer-cut",
)  # fmt: skip
POST_FAULTS = (
    "post-lost", "post-answer-lost", "post-slow", "post-duplicate", "post-hung-up", "post-cut",
)  # fmt: skip
WORLD_FAULTS = (
    "proxy-cut", "app-crash", "clock-jump", "slow-store", "operator", "overload", "slow-commit",
    "forged-parent-token", "slow-app",
)  # fmt: skip
DEATHS = (
    "before-commit", "after-commit", "checkpoint", "commit-refused", "commit-unsure", "drain",
    "recovery", "promised",
)  # fmt: skip

CROWD_ATTEMPT_MS = 30 * 60_000


CLIENT_LIMITS = (
    ClientLimits(in_flight_max=1),
    ClientLimits(in_flight_max=2, memory_share=0.5),
    ClientLimits(memory_share=0.01),
)
"""Few calls in flight and little memory: what waits for them and never gets them is missed."""


class Swarm(Struct, frozen=True):
    """What may go wrong in one seed."""

    on: frozenset[str]
    call_rate: float
    """The share of calls that meet a fault, while faults are on."""
    post_rate: float
    deaths: tuple[str, ...]
    """How each life but the last ends, in order."""
    storm_s: float
    places: tuple[int, int] | None = None
    """Requests that may be in flight to one host, and in all; None: the engine's defaults.
    So few are fought over, and a place that is lost is missed."""
    outages_s: float = 0.0
    """Now and then the disk refuses to be written, for a while: so long after the last time, at
    most. 0: it never does."""
    memory: int | None = None
    """Bytes of bodies that the engine may hold; None: its default. With room for a few payloads
    each waits for the others, and room that is not given back is missed."""
    moves: bool = False
    """Endpoints move while runs are open."""
    workers: int | None = None
    """Of each host; None: as many as are needed."""
    workflows: int = 0
    """`workflows_in_flight_per_host_max`."""
    runs: tuple[int, int] = (2, 5)
    """At least and at most so many workflows."""
    attempt_min_ms: int = 0
    """No attempt may take less."""
    drain_max_s: float = 24 * 3600.0
    """So long it may take until all have ended, once nothing goes wrong any more."""
    client_limits: ClientLimits = NO_LIMITS
    """Of each client."""
    holds: bool = False
    """A client, a workflow or a host is held now and then, and released."""
    repairs: bool = False
    """An operator says what came of steps, or does without them."""
    reruns: bool = False
    """An operator has runs called with other payloads."""
    jobs: bool = False
    """Somebody asks for bulk jobs."""
    kept: Retention | None = None
    """How long runs that ended, and the journal, are kept; None: for ever."""
    asking_s: float = 0.0
    """The store takes so long, at most, to say who has a key; 0: it knows at once."""
    hanging: int | None = None
    """Functions whose posts may hang without a place; None: the engine's default. Who gets no such
    room, and keeps the place that its step waits for, is missed."""
    goes_on: bool = False
    """The last life is not a new one: nothing that was missed before is made good by a start."""

    def has(self, kind: str) -> bool:
        """Whether this kind may strike."""
        return kind in self.on

    @property
    def limits(self) -> EngineLimits:
        """The engine's limits in this seed."""
        limits = EngineLimits(workflows_in_flight_per_host_max=self.workflows)
        if self.places is not None:
            for_host, in_all = self.places
            limits = replace(limits, in_flight_per_host_max=for_host, in_flight_max=in_all)
        if self.hanging is not None:
            limits = replace(limits, hanging_max=self.hanging)
        return limits if self.memory is None else replace(limits, memory_bytes_max=self.memory)


def draw(rng: Random) -> Swarm:
    """The faults of a seed."""
    kinds = CALL_FAULTS + POST_FAULTS + WORLD_FAULTS
    share = rng.choice((0.2, 0.5, 0.9))
    on = frozenset([kind for kind in kinds if rng.random() < share])
    ways = [way for way in DEATHS if rng.random() < 0.6] or ["after-commit"]
    deaths = tuple(rng.choice(ways) for _ in range(rng.choice((0, 1, 2, 3, 4, 6))))
    return Swarm(
        on=on,
        call_rate=rng.choice((0.05, 0.2, 0.4)),
        post_rate=rng.choice((0.02, 0.1, 0.25)),
        deaths=deaths,
        storm_s=rng.uniform(30, 300),
        places=rng.choice((None, None, None, (1, 1), (1, 2), (2, 2))),
        outages_s=30.0 if rng.random() < 0.4 else 0.0,
        memory=rng.choice((None, None, 100, 600)),
        moves=rng.random() < 0.4,
        workers=rng.choice((None, None, 1, 2, 4)),
        workflows=rng.choice((0, 0, 0, 1, 2)),
        holds=rng.random() < 0.3,
        client_limits=rng.choice((*[NO_LIMITS] * 6, *CLIENT_LIMITS)),
        hanging=rng.choice((None, None, None, 1, 2)),
    )


QUIET = Swarm(frozenset(), 0, 0, (), 30)
"""Nothing goes wrong."""


def crowd(rng: Random) -> Swarm:
    """Many workflows at few workers, with so much time that only a standstill uses it up.

    Nothing goes wrong but the engine's own end, behind whose back functions live on. With shorter
    attempts each that times out lets those above it go: a standstill would end before it is seen.
    """
    return replace(
        QUIET,
        deaths=tuple(rng.choices(("promised", "after-commit"), k=rng.choice((0, 1, 2, 3)))),
        storm_s=rng.uniform(3, 20),
        workers=rng.choice((1, 1, 2, 4)),
        workflows=rng.choice((0, 0, 0, 1, 2)),
        runs=(4, 9),
        attempt_min_ms=CROWD_ATTEMPT_MS,
        drain_max_s=CROWD_ATTEMPT_MS / 2_000,
    )


def moved(rng: Random) -> Swarm:
    """A run or two, moved as often as the engine dies over commits that are slower than calls: what
    a crash took back is posted again after a move."""
    return replace(
        QUIET,
        on=frozenset(("slow-commit",)),
        deaths=tuple(rng.choices(("taken-back", "taken-back", "promised"), k=8)),
        storm_s=rng.uniform(60, 120),
        moves=True,
        runs=(1, 2),
    )


def outages(rng: Random) -> Swarm:
    """A disk that refuses to be written now and then, under runs that fail now and then, and
    one life of the engine to the end: what is not looked at again is looked at by nobody."""
    return replace(
        QUIET,
        on=frozenset(("error-before",)),
        call_rate=0.5,
        storm_s=rng.uniform(20, 40),
        outages_s=8.0,
        runs=(5, 9),
        goes_on=True,
    )
