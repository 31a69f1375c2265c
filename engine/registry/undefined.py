"""Open runs under names that no client is defined by, while there are clients.

Nothing of such a name is called any more: its runs are paused at their next attempt. Who defines
the first client is told before; who does it by a file, in the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

import trio

from engine.core.access.client import ALERTS_CLIENT
from engine.core.errors import EngineError
from engine.registry.registry import Registry

OpenByClient = Callable[[], Awaitable[Mapping[str, int]]]
"""How many open runs each client has that has any."""
NAMES_SHOWN_MAX = 10
LOOK_EVERY_S = 3.0
"""As files are looked at."""


def undefined(defined: Collection[str], open_runs: Mapping[str, int]) -> dict[str, int]:
    """Of the names that are not defined, how many open runs each has; those with most first."""
    known = {*defined, ALERTS_CLIENT}
    left = ((name, count) for name, count in open_runs.items() if name not in known)
    return dict(sorted(left, key=lambda each: (-each[1], each[0])))


def shown(names: Collection[str]) -> list[str]:
    """The first of them, for people."""
    return list(names)[:NAMES_SHOWN_MAX]


def runs_text(others: Mapping[str, int]) -> str:
    """`12 open runs of 3 other names (billing, mail, shop)`; there is one at least."""
    count, number = sum(others.values()), len(others)
    runs = f"{count:,} open runs" if count > 1 else "an open run"
    of = f"{number:,} other names" if number > 1 else "another name"
    more = ", …" if number > NAMES_SHOWN_MAX else ""
    return f"{runs} of {of} ({', '.join(shown(others))}{more})"


async def tell_of_undefined(
    registry: Registry, open_by_client: OpenByClient, warning: Callable[..., None]
) -> None:
    """Say in the log how many such runs there are: at a start with clients, and when there is a
    first one. Runs until cancelled."""
    told = False
    while True:
        if not registry.clients:
            told = False
        elif not told:
            try:
                others = undefined(registry.clients, await open_by_client())
            except EngineError:
                pass  # the store is away: asked again
            else:
                told = True
                if others:
                    warning(
                        "clients-undefined",
                        open_runs=sum(others.values()),
                        clients=shown(others),
                        hint="they are paused at their next attempt: define clients of these"
                        " names, and resume them",
                    )
        await trio.sleep(LOOK_EVERY_S)
