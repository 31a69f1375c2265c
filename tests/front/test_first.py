"""Bulk jobs that act on some runs first, and on the rest only if all of those complete."""

from __future__ import annotations

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.rules.action import FITS, Action
from engine.ports.jobs import RunEnd
from engine.ports.views import Reason
from tests.front.desk import Desk, many, run, working

ALL = [f"R{n}" for n in range(5)]


def acted(desk: Desk) -> list[str]:
    return [run_id for _, run_id in desk.acts]


async def test_the_rest_waits_until_the_first_have_completed(autojump_clock: object) -> None:
    """However long that takes; then it goes on at its rate."""
    async with working(many(5)) as desk:
        desk.store.states = {"R1": None}
        begun = await desk.ask(first=2)
        assert (begun.first, begun.first_completed) == (2, False)
        await trio.sleep(3_600)
        job = await desk.shown(begun.id)
        assert (acted(desk), job.state, job.done) == (["R0", "R1"], "running", 2)
        assert (job.first_completed, job.runs) == (False, {"completed": 1, "running": 1})
        desk.store.states = {}
        job = await desk.ended(begun.id)
    assert (job.state, job.done, job.first_completed) == ("done", 5, True)
    assert acted(desk) == ALL


@pytest.mark.parametrize("state", ["failed", "cancelled", "expired"])
async def test_one_that_does_not_complete_stops_the_job(autojump_clock: object, state: str) -> None:
    """When all of them have ended: it says which, and nothing of the rest was touched."""
    async with working(many(5)) as desk:
        desk.store.states = {"R0": state, "R2": None}
        begun = await desk.ask(first=3)
        await trio.sleep(60)
        assert (await desk.shown(begun.id)).state == "running"
        del desk.store.states["R2"]
        job = await desk.ended(begun.id)
    assert (job.state, job.done, job.first_completed) == ("aborted", 3, False)
    why = f"1 of the first 3 did not complete: R0 {state}"
    assert (job.stopped_because, acted(desk)) == (why, ALL[:3])
    values = {"job": begun.id, "action": "retry", "why": why}
    assert desk.logged == [("bulk-job-stopped", values)]


async def test_why_they_failed_is_told(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three by name: at which step, with what status, in the words of the answer."""
    reasons = [
        Reason("s", "charge", 402, "http-status: answered 402", "card_declined"),
        Reason("s", "charge", 503, "http-status: answered 503", None),
        Reason("s", "ship", None, "dns: no such name", None),
        None,
    ]
    ends = [RunEnd(f"R{n}", "failed", why) for n, why in enumerate(reasons)]

    async def of_all(*_: object) -> list[RunEnd]:
        return ends

    async with working(many(5)) as desk:
        monkeypatch.setattr(desk.store, "ends", of_all)
        job = await desk.ended((await desk.ask(first=4)).id)
    assert job.stopped_because == (
        "4 of the first 4 did not complete: R0 failed at charge: 402, card_declined; R1 failed at"
        " charge: 503; R2 failed at ship: dns: no such name; and 1 more"
    )


async def test_those_that_refuse_are_none_of_the_first(autojump_clock: object) -> None:
    """The next in the list take their places: so many are tried."""
    async with working(many(5)) as desk:
        desk.troubles["R0"] = Refused(Problem.REVISION_CHANGED, "It moved.")
        desk.store.states = {"R2": None}
        begun = await desk.ask(first=2)
        await trio.sleep(10)
        assert acted(desk) == ["R0", "R1", "R2"]
        desk.store.states = {}
        job = await desk.ended(begun.id)
    assert (job.state, job.done, job.skipped) == ("done", 4, {"revision-changed": 1})


@pytest.mark.parametrize("state", ["completed", "failed"])
@pytest.mark.parametrize("first", [5, 1_000])
async def test_where_there_is_no_rest(autojump_clock: object, state: str, first: int) -> None:
    """It waits for all there are, and says what came of them: nothing was kept from being done, so
    nothing was aborted."""
    async with working(many(5)) as desk:
        desk.store.states = {"R4": None}
        begun = await desk.ask(first=first)
        await trio.sleep(10)
        assert (await desk.shown(begun.id)).state == "running"
        desk.store.states = {"R4": state}
        job = await desk.ended(begun.id)
        assert (job.state, job.done, job.stopped_because) == ("done", 5, None)
        assert (job.first_completed, job.runs) == (
            state == "completed",
            {"completed": 5} if state == "completed" else {"completed": 4, "failed": 1},
        )


@pytest.mark.parametrize("state", ["completed", "failed"])
async def test_over_a_restart(autojump_clock: object, state: str) -> None:
    """Between two of the first, while it waits for them, and when it has gone on."""
    async with working(many(5)) as desk:
        desk.store.states = {"R1": None}
        begun = await desk.ask(first=2, ratePerS=1)
        await trio.sleep(0.5)
    for until in (["R0", "R1"], ["R0", "R1"]):
        desk.bulk = desk.engine()
        async with working(desk):
            await trio.sleep(60)
            assert acted(desk) == until
    desk.store.states = {"R1": state}
    for _ in range(2):
        desk.bulk = desk.engine()
        async with working(desk):
            await trio.sleep(1.5)
    desk.bulk = desk.engine()
    async with working(desk):
        job = await desk.ended(begun.id)
    assert (job.state, acted(desk)) == (
        ("done", ALL) if state == "completed" else ("aborted", ALL[:2])
    )


async def test_it_can_be_aborted_while_it_waits(autojump_clock: object) -> None:
    """A paused run would be waited for as long as nobody resumes it."""
    async with working(many(5)) as desk:
        desk.store.states = {"R1": None}
        begun = await desk.ask(first=2)
        await trio.sleep(60)
        await desk.bulk.abort(str(begun.id), "bob")
        job = await desk.ended(begun.id)
    assert (job.state, job.done, job.stopped_because) == ("aborted", 2, "bob aborted it")


@pytest.mark.parametrize("first", [0, -1, 1_001, "5", 1.5])
async def test_how_many_there_may_be(first: object) -> None:
    """From 1 to 1,000."""
    refused = await many(1).refusal(first=first)
    assert refused.problem is Problem.INVALID_REQUEST
    assert "`$.first`" in refused.detail


async def test_both_ends_are_taken() -> None:
    """1 and 1,000; none, or null, is a job without."""
    desk = many(1)
    for first in (1, 1_000, None):
        assert (await desk.ask(dryRun=True, first=first)).first == first


WAITED_FOR = {Action.RETRY, Action.RESUME, Action.RETARGET}


@pytest.mark.parametrize("action", sorted(set(FITS) - WAITED_FOR))
async def test_only_for_what_runs_complete_after(action: Action) -> None:
    """No run completes for a cancel: the job would stop, or wait for ever."""
    refused = await Desk(run("a")).refusal(action=action, first=1)
    assert (refused.problem, refused.members) == (Problem.INVALID_REQUEST, {"member": "first"})
    assert f"no run completes for a `{action}`" in refused.detail
