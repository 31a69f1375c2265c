"""What comes between the last drawing and a key: the key is meant for what was seen. And answers
that an engine should not give."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import tui.screen.app
from engine.client import Action
from engine.wire import ActionAnswer, RetryPage, RetryRow
from tests.tui.on_screen import World, accepted, at, bulk, line_with, on_screen, run_row, step_row
from tui.data.inputs import RetriesRead


@pytest.fixture(autouse=True)
def _drawn_by_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn but when a test says so."""
    monkeypatch.setattr(tui.screen.app, "FLUSH_S", 1e6)
    monkeypatch.setattr(tui.screen.app, "TICK_S", 1e6)


def retries(*numbers: int) -> RetriesRead:
    """A page of steps that are backing off."""
    due = {"status": "backing-off", "due_at": at(9)}
    rows = [run_row(number, "backing-off", at=due) for number in numbers]
    found = [RetryRow(row.id, row.client, "order", 4, row.at) for row in rows if row.at is not None]
    return RetriesRead("retries", RetryPage(tuple(found)))


@on_screen()
async def test_a_retry_that_has_left_is_not_opened(world: World) -> None:
    """`enter` on a row whose step was retried since it was drawn does nothing."""
    world.store.apply(retries(1, 2))
    await world.press("2")
    world.store.apply(retries(2))
    await world.press("enter")
    assert world.app.looking.view == "retries"


@on_screen()
async def test_pause_does_not_resume_what_was_seen_running(world: World) -> None:
    """Somebody else pauses a run, and `P` comes before that is drawn: it asks for a pause of what
    was seen, which the engine refuses."""
    run = run_row(1)
    await world.lists(run)
    world.answers["/actions"] = accepted(run)
    world.runs(msgspec.structs.replace(run, status="paused", rev=5))
    await world.press("P")
    assert [members for _, members in world.posts] == [{"action": "pause"}]
    await world.press("P")
    assert world.posts[-1][1] == {"action": "resume", "ifRev": 5}


@pytest.mark.parametrize(("first", "action"), [("running", "pause"), ("paused", "resume")])
@on_screen()
async def test_one_question_is_about_one_action(world: World, first: str, action: str) -> None:
    """Of marked runs some are paused and some are not: all get what the question said."""
    second = "paused" if first == "running" else "running"
    rows = [run_row(1, first), run_row(2, second)]
    world.answers["/actions"] = accepted(rows[0])
    await world.lists(*rows)
    lines = await world.press("space", "space", "P")
    line_with(lines, f"{action.capitalize()}: 2 marked")
    world.clock.pass_s(1)
    await world.press("y")
    assert [members["action"] for _, members in world.posts] == [action] * 2


@pytest.mark.parametrize("rate", [0, -1])
@on_screen()
async def test_a_job_without_a_rate_is_asked_about(world: World, rate: int) -> None:
    """How long it takes cannot be told; nothing breaks."""
    world.app.looking.filters["runs"] = "wf:order"
    await world.lists(*(run_row(number, "failed") for number in range(120)))
    world.answers["/bulk"] = (200, bulk(ratePerS=rate))
    line_with(await world.press("a", "R"), "retry 219 of 231 runs")


@on_screen()
async def test_a_run_without_its_root(world: World) -> None:
    """A step without a parent that is not the run's own stands for itself, not for the run."""
    run = run_row(1, "running")
    step = step_row(run.id, "a", "running", parent_id=None)
    world.runs(run)
    world.tree(run, step)
    answer: dict[str, Any] = accepted(run)[1]
    world.answers["/actions"] = (202, answer)
    await world.open_first("P")
    sent = {"action": "pause", "step": step.id}
    assert [members for _, members in world.posts] == [sent]


@on_screen()
async def test_an_action_beside_another_is_not_lost_in_silence(world: World) -> None:
    """While the engine has not answered a pause, a cancel of the same run is refused with words."""
    run = run_row(1)
    await world.lists(run)
    (target,) = world.app.acting.targets()
    doing, app, posted = world.app.acting.doing, world.app, asyncio.Event()

    async def slow(*_: Any, **__: Any) -> ActionAnswer:
        await posted.wait()
        return ActionAnswer(Action.PAUSE, False, run, None, ())

    assert app.client is not None
    app.client.operate.act = slow  # type: ignore[method-assign]
    app.start(doing.act_and_tell(Action.PAUSE, target), "acting")
    app.start(doing.act_and_tell(Action.PAUSE, target), "acting")
    await world.pilot.pause()
    assert app.flash.now[0] == ""
    app.start(doing.act_and_tell(Action.CANCEL, target), "acting")
    await world.pilot.pause()
    assert app.flash.now[0].startswith("cancel: order 00000001: pause is under way")
    posted.set()
    line_with(await world.press(), "paused: order")


@pytest.mark.parametrize("run_id", ["", ".", ".."])
@on_screen()
async def test_what_has_no_usable_id_ends_nothing(world: World, run_id: str) -> None:
    """The client refuses to ask for it; that is told like any other refusal."""
    run = msgspec.structs.replace(run_row(1), id=run_id)
    world.runs(run)
    world.tree(run, msgspec.structs.replace(step_row("", None, "failed"), id=run_id))
    await world.shown()
    line_with(await world.press("P"), "is not an id")
    await world.press("y", "u", "y", "a", "enter", "y", "c", "E", "p", "escape")
    assert world.app.is_running
    assert world.posts == []


@on_screen(live=False)
async def test_a_terminal_of_one_cell_is_not_laid_out_for_ever(world: World) -> None:
    """What says that it is too small has no scroll bars, which would come and go without end."""
    await world.pilot.resize_terminal(1, 1)
    assert not any(world.app.screen.scrollbars_enabled)
    assert world.app.screen.styles.overflow_x == "hidden"


@on_screen()
async def test_a_key_right_after_another_knows_what_that_one_did(world: World) -> None:
    """The answer to the first was told; the second names its revision, though no event has come."""
    run = run_row(1)
    world.answers["/actions"] = accepted(replace(run, status="paused", rev=5))
    await world.lists(run)
    await world.press("P")
    world.answers["/actions"] = accepted(replace(run, rev=6))
    await world.press("P")
    asked = [(members["action"], members.get("ifRev")) for _, members in world.posts]
    assert asked == [("pause", None), ("resume", 5)]
