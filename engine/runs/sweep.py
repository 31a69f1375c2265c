"""Finds in the store what memory does not hold and time has come for.

Memory is a hint, the record is the truth: once a second the index on due times is asked what is due
soon, and now and then also for what should be in memory already.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import trio

from engine.core.errors import Refused
from engine.core.retry import DAY_MS
from engine.ports.store import Due
from engine.runs.memory import Memory
from engine.runs.shared import Shared

EVERY_S = 1.0
"""How often the store is asked what is due soon."""
ORPHANS_EVERY = 30
"""Every so many times also what should be in memory already is looked for."""
PAGE = 200
AHEAD_MS = 2_000
FIRST = Due(-1, "", "")
FIRST_TIMED = Due(0, "~", "")
"""Behind every step that has no time of its own (`wake_at` 0)."""


async def sweep(shared: Shared, memory: Memory, is_ready: Callable[[], None]) -> None:
    """Bring runs into memory that are due soon, until the engine drains.

    At first those that were in flight when it ended: with them taken up `is_ready` is called.
    """
    await _sweep_once(shared, memory, FIRST, None)
    is_ready()
    ahead_ms = AHEAD_MS
    if (set_back_ms := shared.store.last_at - shared.clock.steady_ms()) > 0:
        ahead_ms = set_back_ms + DAY_MS  # whoever waits: the core's `recover` cuts what is too long
    sweeps = 1
    while not shared.draining:
        if shared.store.away is None:  # else nothing that it found might start
            orphans = sweeps % ORPHANS_EVERY == 0
            await _sweep_once(shared, memory, FIRST if orphans else FIRST_TIMED, ahead_ms)
            ahead_ms = AHEAD_MS
            sweeps += 1
        await trio.sleep(EVERY_S)


async def _load_due(memory: Memory, run_ids: list[str]) -> None:
    """Runs that lie where the file is damaged are left; those around them go on."""
    try:
        await memory.get_all(run_ids)
    except Refused:
        for run_id in run_ids:
            with suppress(Refused):
                await memory.get_all([run_id])


async def _sweep_once(shared: Shared, memory: Memory, after: Due, ahead_ms: int | None) -> None:
    """`ahead_ms` None: only what was about to be called, or in flight, when it was stored."""
    while not shared.draining:
        until = 0 if ahead_ms is None else shared.clock.steady_ms() + ahead_ms
        try:
            page = await shared.store.due(after, until, PAGE)
        except Refused:  # the file is damaged there, as the log says: perhaps the next sweep can
            return
        if memory.is_full:
            return
        await _load_due(memory, list(dict.fromkeys(due.run_id for due in page)))
        if len(page) < PAGE:
            return
        after = page[-1]
