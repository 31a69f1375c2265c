"""A nursery's tasks: asked for before it is open, by anybody, and after it was closed."""

from __future__ import annotations

from contextvars import ContextVar

import trio
from trio.testing import wait_all_tasks_blocked

from engine.process.tasks import Tasks

whose: ContextVar[str] = ContextVar("whose", default="nobody's")


async def test_tasks_start_when_the_nursery_opens_and_in_its_context() -> None:
    """What was asked for before, in order; later at once; after it was closed nothing."""
    ran: list[tuple[int, str]] = []

    async def work(number: int) -> None:
        ran.append((number, whose.get()))

    tasks = Tasks()
    tasks.start_soon(work, 1)
    async with trio.open_nursery() as nursery:
        tasks.opened(nursery)
        whose.set("a request's")
        tasks.start_soon(work, 2)
        await wait_all_tasks_blocked()
    tasks.closed()
    tasks.start_soon(work, 3)
    await wait_all_tasks_blocked()
    assert sorted(ran) == [(1, "nobody's"), (2, "nobody's")]
