"""Names that the engine will need: no run is opened under one, and what there is goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from engine.core.access.client import NAMES_TO_COME
from engine.core.errors import Problem, Refused
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.ports.caller import Invocation
from engine.runs import engine as module
from engine.runs.open.callers import Wait
from tests.world import ROOT, World, ok, recorded, still_open, world

STEP = "http://app:9000/steps/one"
SOON = RetryPolicy(count=20, back_off_ms=60_000, jitter=0)


def asking(engine: list[World], up: list[bool]) -> object:
    """A workflow with a step: it is down until `up`, and posts without a parent token, as the first
    applications did."""

    async def app(call: Invocation) -> Outcome:
        if not up:
            return Answered(503)
        if call.url == ROOT:
            outcome = recorded(await engine[0].post(STEP, call.idempotency_key, client=call.client))
            return ok(b'"whole"' if outcome.step.ended else b"")
        return ok(b'"one"')

    return app


@pytest.mark.parametrize("name", sorted(NAMES_TO_COME))
async def test_a_run_of_an_earlier_file_goes_on_to_its_end(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It was opened before the name was refused: posted again it is found, it is called, its
    function posts new steps, and its outcome is answered for ever. No other is opened beside it."""
    engine: list[World] = []
    up: list[bool] = []
    app = asking(engine, up)
    with monkeypatch.context() as earlier:
        earlier.setattr(module, "NAMES_TO_COME", frozenset())
        async with world(path, app) as it:  # type: ignore[arg-type]
            opened = still_open(
                await it.post(client=name, retry=SOON, wait=Wait(prefer_ms=0))
            ).run_id
            await trio.sleep(1)
    up.append(True)
    async with world(path, app) as it:  # type: ignore[arg-type]
        engine.append(it)
        with pytest.raises(Refused) as caught:
            await it.post(client=name, key="another")
        assert caught.value.problem is Problem.INVALID_SUBMISSION
        assert caught.value.members["member"] == "client"
        assert f"The name {name!r} is reserved: /{name} will be" in caught.value.detail
        found = recorded(await it.post(client=name))
        assert (found.step.run_id, found.step.state) == (opened, "completed")
        assert [call.url for _, call in it.caller.calls] == [ROOT, STEP]
        again = recorded(await it.post(client=name))
        assert again.replayed
        with pytest.raises(Refused):
            await it.post(client=name, key="another")


async def test_names_that_begin_so_are_free(autojump_clock: object, path: Path) -> None:
    """The address is the whole name."""
    async with world(path, asking([], [True])) as it:  # type: ignore[arg-type]
        for name in ("ui2", "UI", "peers", "signal"):
            with pytest.raises(Refused) as caught:
                await it.post("http://app:9000/x", client="ui")
            assert caught.value.members["member"] == "client"
            assert recorded(await it.post("http://app:9000/x", client=name)).step.ended
