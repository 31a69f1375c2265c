"""Runs that a bulk job finds and acts on, without an engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio

from engine import wire
from engine.core.errors import Refused
from engine.core.events import Actor
from engine.core.rules.action import Action, Order
from engine.front.api import bulk
from engine.jobs.bulk import Bulk
from engine.ports.caller import AllTargets
from engine.ports.views import RunQuery, RunRecord, RunsFound
from tests.world import FakeClock

_RECORD = RunRecord(
    id="", client="shop", workflow="w", key="k", state="failed", rev=1, dismissed=False, steps=1,
    open_steps=0, failed_steps=1, submitted_at=0, generation=1, ended_at=None, due_at=None,
    pause_reason=None, cause_id=None, error=None,
)  # fmt: skip


def run(id: str, state: str = "failed", **members: Any) -> RunRecord:
    """A run that a filter finds."""
    return msgspec.structs.replace(_RECORD, id=id, state=state, **members)


class Barred(AllTargets):
    """What may not be called, and why."""

    def __init__(self) -> None:
        self.starts: dict[str, str] = {}

    def why_not_any(self, start: str, only: str | None = None) -> str | None:
        return self.starts.get(start if only is None else f"{only} {start}")


class Desk:
    """Runs that are found whatever the filter is, and what was done to them when."""

    def __init__(self, *runs: RunRecord) -> None:
        self.runs = list(runs)
        self.queries: list[RunQuery] = []
        self.acts: list[tuple[float, str]] = []
        self.said: list[tuple[Action, Actor, str | None]] = []
        self.revs: dict[str, int | None] = {}
        self.troubles: dict[str, Exception] = {}
        self.targets = Barred()
        self.takes_s = 0.0
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.bulk = Bulk(self.find, self, FakeClock(), self.log)

    async def find(self, query: RunQuery) -> RunsFound:
        """Pages that come short, as those of a filter may."""
        self.queries.append(query)
        await trio.lowlevel.checkpoint()
        begin = int(query.cursor or 0)
        end = min(begin + min(query.limit, 3), len(self.runs))
        found = tuple(self.runs[begin:end])
        return RunsFound(found, 0, True, str(end) if end < len(self.runs) else None)

    async def act(self, run_id: str, order: Order) -> None:
        self.acts.append((trio.current_time(), run_id))
        self.said.append((order.action, order.actor, order.reason))
        self.revs[run_id] = order.if_rev
        await trio.sleep(self.takes_s)
        if run_id in self.troubles:
            raise self.troubles[run_id]

    def log(self, event: str, **values: Any) -> None:
        self.logged.append((event, values))

    async def ask(
        self, key: str | None = None, *, only: str | None = None, **members: Any
    ) -> wire.BulkAnswer:
        """Ask for a job: a retry of all there are, unless the members say otherwise; `only`: with a
        token that is bound to this client."""
        asked = {"action": "retry", "q": "is:failed", "expect": len(self.runs), **members}
        body = json.dumps(asked).encode()
        return await bulk.ask(self.bulk, body, Actor("ada", "::1"), key, only)

    async def refusal(
        self, key: str | None = None, *, only: str | None = None, **members: Any
    ) -> Refused:
        """Why a job is refused."""
        with pytest.raises(Refused) as caught:
            await self.ask(key, only=only, **members)
        return caught.value

    async def ended(self, job_id: str | None) -> wire.BulkAnswer:
        """The job once it has ended."""
        assert job_id is not None
        while self.bulk.job(job_id).ended_at is None:
            await trio.sleep(0.01)
        return bulk.answer_of(self.bulk.job(job_id))


@asynccontextmanager
async def working(desk: Desk) -> AsyncIterator[Desk]:
    """The desk's jobs at work."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.bulk.run)
        yield desk
        desk.bulk.close()


def many(count: int) -> Desk:
    return Desk(*(run(f"R{number}") for number in range(count)))
