"""Runs that a bug stops, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from engine.core.errors import Refused
from engine.core.model import PauseReason
from engine.core.outcome import Outcome
from engine.core.rules import attempt
from engine.ports.caller import Invocation
from engine.ports.views import RunRecord
from engine.runs.open.callers import Recorded, Wait
from engine.store.tables.views.views import TableViews
from tests.world import World, ok, still_open

STEP = "http://app:9000/workflows/w/steps/charge"
ASYNC = Wait(prefer_ms=0)


class App:
    """A function that posts one step and hands on what it was told; and the step's endpoint."""

    def __init__(self) -> None:
        self.it: World | None = None
        self.calls: list[str] = []
        self.takes_s = 0.0
        """What the step's endpoint takes."""
        self.lingers_s = 0.0
        """How long the function goes on after its post was let go."""

    async def __call__(self, call: Invocation) -> Outcome:
        self.calls.append(f"{call.idempotency_key} {call.url.rpartition('/')[2]} {call.attempt}")
        if call.url.endswith("/charge"):
            await trio.sleep(self.takes_s)
            return ok()
        assert self.it is not None
        told = await self.it.post(STEP, key=call.idempotency_key, parent_token=call.parent_token)
        if not isinstance(told, Recorded):
            await trio.sleep(self.lingers_s)
        return ok()


@contextmanager
def a_bug(monkeypatch: pytest.MonkeyPatch, key: str) -> Iterator[None]:
    """While this is open, an answer to the step of the run `key` cannot be judged."""
    judge = attempt._verdict

    def broken(run, step, *rest):
        if step.spec.key == key and not step.is_root:
            raise LookupError("a bug of the engine's")
        return judge(run, step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(attempt, "_verdict", broken)
        yield


async def stopped_run(it: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a run that a bug has stopped."""
    with a_bug(monkeypatch, "bad"):
        run_id = still_open(await it.post(key="bad")).run_id
        await trio.sleep(2)
    assert (await row_of(it, run_id)).pause_reason == PauseReason.ENGINE_ERROR
    return run_id


async def refused(it: World, *, key: str = "bad", url: str | None = None) -> Refused:
    """What a post is told."""
    with pytest.raises(Refused) as told:
        await (it.post(key=key) if url is None else it.post(url, key=key))
    return told.value


async def row_of(it: World, run_id: str) -> RunRecord:
    found = await TableViews(it.store).tree(run_id)
    assert found is not None
    return found[0]
