"""A store that takes time to say who has a key, as one over a network does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from engine.ports.store import Found, Look
from engine.store.sqlite.store import SqliteStore

TAKES_S = (0.01, 0.5, 4.0)
"""At most. The longest is longer than many a run takes from its post until it is written."""


def take_time(store: SqliteStore, pause: Callable[[], Awaitable[None]]) -> None:
    """Have each answer be of some moment after the question, and come some time after that."""
    reads: Any = store.reads
    at_once = reads.find_run

    async def ask(identity: tuple[str, str, str]) -> Found:
        await pause()
        found: Found = at_once(*identity, or_expired=True)
        await pause()
        return found

    def find_run(client: str, workflow: str, key: str, *, or_expired: bool) -> Look:
        return Look(partial(ask, (client, workflow, key)))

    reads.find_run = find_run
