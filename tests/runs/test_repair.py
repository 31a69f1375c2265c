"""A result that is set, a payload that is set: in the engine, over restarts, and for who waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.model import StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action, Order
from engine.core.rules.repair import Given
from engine.ports.caller import Invocation
from engine.ports.store import Body
from engine.runs.open.callers import Recorded, Wait
from engine.store.sqlite.verify.verify import verify
from engine.store.tables.views.views import TableViews
from tests.world import ROOT, World, ok, recorded, still_open, world

STEP = "http://app:9000/steps/charge"
AT_ONCE = Wait(prefer_ms=0)
SLOW = RetryPolicy(count=20, back_off_ms=600_000, jitter=0)
ONCE = RetryPolicy(count=0)


def given(data: bytes = b'{"paid": true}', key: str | None = None, status: int = 200) -> Given:
    """A result, or a payload."""
    return Given(status, data, key, data, "application/json", json=True)


async def repair(
    it: World, action: Action, step_id: str, what: Given, why: str = "by phone", **how: Any
) -> Any:
    """Ada repairs."""
    return await it.act(
        step_id.partition("-")[0], action, step_id=step_id, given=what, reason=why, **how
    )


def down(call: Invocation) -> Outcome:
    return Answered(503)


def buying(answers: dict[str, Callable[[Invocation], Outcome]], engine: list[World]) -> Any:
    """A workflow of one step; it completes with what came of that."""

    async def app(call: Invocation) -> Outcome:
        if call.url != ROOT:
            return answers["step"](call)
        found = await engine[0].post(
            STEP, call.idempotency_key, b'"card"', retry=SLOW, parent_token=call.parent_token
        )
        if not isinstance(found, Recorded):
            return Answered(503)
        if found.step.state is not StepState.COMPLETED:
            return Answered(500)
        return ok(b"null" if found.body is None else found.body.data)

    return app


async def test_a_waiting_caller_gets_the_set_answer(autojump_clock: object, path: Path) -> None:
    """The workflow that hangs for the step, and with it who has posted the run; after a restart a
    post of it too, byte for byte."""
    engine: list[World] = []
    app = buying({"step": down}, engine)
    answers: list[Recorded] = []

    async def submit(it: World) -> None:
        answers.append(recorded(await it.post()))

    async with world(path, app) as it, trio.open_nursery() as nursery:
        engine.append(it)
        nursery.start_soon(submit, it)
        await trio.sleep(1)
        (run,) = [live.run for live in it.engine.memory.live.values()]
        (step,) = [each for each in run.steps.values() if not each.is_root]
        assert step.state is StepState.BACKING_OFF
        await repair(it, Action.SET_RESULT, step.id, given())
    (answer,) = answers
    assert answer.body is not None
    assert (answer.step.state, answer.body.data) == ("completed", b'{"paid": true}')
    async with world(path, app) as it:
        again = recorded(await it.post())
        assert again.body is not None
        assert (again.replayed, again.body.data) == (True, b'{"paid": true}')
        of_step = await it.engine.outcome(step.id, AT_ONCE)
        assert isinstance(of_step, Recorded)
        assert of_step.body is not None
        assert (of_step.step.answer_attempt, of_step.body.data) == (-1, b'{"paid": true}')
        assert of_step.body.json
    assert verify(path).faults == []


@pytest.mark.parametrize("rows_written", [True, False])
@pytest.mark.parametrize("crash", [True, False])
async def test_the_original_is_kept_and_readable(
    autojump_clock: object, path: Path, rows_written: bool, crash: bool
) -> None:
    """Generation n - 1 with its answer, the first payload beside the second: also where the rows
    had not been written, and were folded at a start."""

    async def app(call: Invocation) -> Outcome:
        return ok(b'"first"') if call.payload == b'"one"' else ok(b'"second"')

    async def changes(it: World) -> str:
        run_id = recorded(await it.post(payload=b'"one"')).step.run_id
        if rows_written:
            await it.store.writer.wait_rows(run_id)
        await repair(it, Action.SET_RESULT, run_id, given(b'"set"'))
        await repair(it, Action.RERUN, run_id, given(b'"two"'), "a typo")
        result = await it.engine.outcome(run_id, Wait())
        assert isinstance(result, Recorded)
        assert result.body is not None
        assert (result.step.generation, result.body.data) == (3, b'"second"')
        return run_id

    run_id = ""
    try:
        async with world(path, app) as it:
            run_id = await changes(it)
            if crash:
                raise Crash
    except* Crash:
        pass
    assert verify(path).faults == []
    async with world(path, app) as it:
        views = TableViews(it.store)
        ended = [(each.generation, each.answer_attempt) for each in await views.outcomes(run_id)]
        assert ended == [(1, 1), (2, -2), (3, 2)]
        for number, data in ((1, b'"first"'), (-2, b'"set"'), (2, b'"second"')):
            assert await body_of(it, run_id, number, answer=True) == data
        for generation, number, data in ((1, 1, b'"one"'), (2, 1, b'"one"'), (3, 3, b'"two"')):
            assert await views.payload_number(run_id, generation) == number
            assert await body_of(it, run_id, number, answer=False) == data
        again = recorded(await it.post(payload=b'"one"'))
        assert (again.step.generation, again.payload_differs) == (3, True)
        with pytest.raises(Refused) as caught:
            await it.post(payload=b'"two"')
        assert caught.value.problem is Problem.KEY_REUSED


class Crash(Exception):
    """The process is gone."""


async def body_of(it: World, step_id: str, number: int, *, answer: bool) -> bytes:
    body = await it.store.body(step_id, number, answer=answer)
    assert isinstance(body, Body), (step_id, number, answer)
    return body.data


async def test_a_call_with_another_payload_takes_that_one(
    autojump_clock: object, path: Path
) -> None:
    """Of a run that is paused, kept in memory or not: its caller hangs on, and has the answer of
    the new call; the endpoint sees another key."""

    async def app(call: Invocation) -> Outcome:
        return ok(call.payload) if call.payload == b'"mended"' else Answered(422)

    answers: list[Recorded] = []

    async def submit(it: World) -> None:
        answers.append(recorded(await it.post(payload=b'"typo"')))

    async with world(path, app) as it, trio.open_nursery() as nursery:
        nursery.start_soon(submit, it)
        await trio.sleep(1)
        (run_id,) = it.engine.memory.live
        await it.act(run_id, Action.PAUSE)
        done = await repair(it, Action.RERUN, run_id, given(b'"mended"', "k"), "a typo")
        assert done[1].changed == [run_id]
        again = await repair(it, Action.RERUN, run_id, given(b'"mended"', "k"), "a typo")
        assert again[1].repeated
    (answer,) = answers
    assert answer.body is not None
    assert (answer.step.generation, answer.body.data) == (2, b'"mended"')
    calls = [call for _, call in it.caller.calls]
    assert [call.payload for call in calls] == [b'"typo"', b'"mended"']
    assert calls[0].step_own_key != calls[1].step_own_key
    assert calls[0].idempotency_key == calls[1].idempotency_key


async def test_a_call_in_flight_is_let_end_and_kept(autojump_clock: object, path: Path) -> None:
    """Its answer comes late, also a good one; what its function has posted is let go, and it posts
    nothing new. Nobody else is called."""
    heard: list[str] = []
    engine: list[World] = []

    async def app(call: Invocation) -> Outcome:
        if call.url == STEP:
            await trio.sleep(50)
            return ok(b'"late"')
        await trio.sleep(10)
        with pytest.raises(Refused) as caught:
            await engine[0].post(STEP, "new", parent_token=call.parent_token)
        heard.append(caught.value.problem.value)
        return ok(b'"too late"')

    async with world(path, app) as it:
        engine.append(it)
        run_id = still_open(await it.post(wait=AT_ONCE)).run_id
        await trio.sleep(1)
        await repair(it, Action.SKIP, run_id, Given(204, b"d"))
        await trio.sleep(20)
        assert heard == [Problem.RUN_ENDED.value]
        answer = recorded(await it.post())
        assert (answer.step.http_status, answer.step.state) == (204, "completed")
        assert answer.body is None or answer.body.data == b""
        assert await body_of(it, run_id, 1, answer=True) == b'"too late"'
        found = await TableViews(it.store).tree(run_id)
        assert found is not None
        assert [each.counts_as for each in found[2]] == ["late"]
    assert len(it.caller.calls) == 1


async def test_two_operators_at_once(autojump_clock: object, path: Path) -> None:
    """Who has seen the step as it was before is refused; with the key of the one that was done it
    is the same, whatever has been seen."""
    engine: list[World] = []
    async with world(path, buying({"step": down}, engine)) as it:
        engine.append(it)
        run_id = still_open(await it.post(wait=AT_ONCE)).run_id
        await trio.sleep(1)
        run = it.engine.memory.live[run_id].run
        step = next(each for each in run.steps.values() if not each.is_root)
        seen, said = step.rev, list[str]()

        async def ask(name: str) -> None:
            order = Order(
                Action.SET_RESULT, step.id, Actor(name), "so", if_rev=seen,
                given=given(b'"%s"' % name.encode(), name),
            )  # fmt: skip
            try:
                _, done = await it.engine.act(run_id, order)
                said.append(f"{name} {'again' if done.repeated else 'done'}")
            except Refused as refused:
                said.append(f"{name} {refused.problem.value}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "ada")
            nursery.start_soon(ask, "bob")
        (first,) = (each.partition(" ")[0] for each in said if each.endswith("done"))
        await ask(first)
        came_to = sorted(each.partition(" ")[2] for each in said)
        assert came_to == ["again", "done", "revision-changed"]
        assert step.generation == 1
