"""What people did in the place of an endpoint is told where a step is: who, what, and why."""

from __future__ import annotations

from typing import Any

from engine.core.text.times import rfc3339
from engine.wire import AttemptRow, RepairRow
from tests.tui.on_screen import World, line_with, on_screen, run_row
from tests.tui.on_screen import step_row as screen_row
from tests.tui.support import (
    NOW,
    RUN,
    attempt_row,
    event,
    row_text,
    step_row,
    store_at,
    tree_read,
)
from tui.act.open import open_run
from tui.boards.cells import Seen, event_more, event_words, text_of
from tui.boards.looks import in_ascii
from tui.boards.rows import GRIDS, BoardRows
from tui.boards.run.bodies import answer_name
from tui.boards.run.detail import inspector
from tui.data.model import SET_BY_HAND, Step
from tui.data.store import Store
from tui.past.happened import EventRow

CHARGE = f"{RUN}-charge"
FAILED = attempt_row(1, "failure", 0, 1_000, http_status=402, error="http-status")


def repaired(act: str = "set-result", generation: int = 2, **more: Any) -> RepairRow:
    """What ana did."""
    given = {"actor": "ana", "reason": "the vendor says it is paid", "at": rfc3339(NOW)}
    return RepairRow(generation, act, **(given | more))


def run_with(*repairs: RepairRow, **step: Any) -> Store:
    """A run whose step failed, and was then repaired."""
    store = store_at()
    charge: dict[str, Any] = {
        "status": "completed",
        "generation": 2,
        "ended": 2_000,
        "http_status": 200,
    }
    row = step_row("charge", parent=RUN, attempts=[FAILED], repairs=repairs, **(charge | step))
    store.apply(tree_read(step_row(), row))
    return store


def step_of_run(store: Store) -> Step:
    return store.trees[RUN].steps[CHARGE]


def tree_line(store: Store, cells: int = 100) -> str:
    rows = BoardRows(store)
    rows.seen_now()
    rows.looking.open_run(RUN)
    rows.draw_run(GRIDS["run"], cells + 2)
    found = rows.cells("run", CHARGE)
    assert found is not None
    return row_text(GRIDS["run"], found, cells)


def told_of(store: Store) -> list[str]:
    return [text_of(line) for line in inspector(step_of_run(store), Seen(NOW), 90, roomy=True)]


def test_the_tree_says_who_set_a_result() -> None:
    """A sign before the name, for narrow trees, and the words behind it."""
    line = tree_line(run_with(repaired()))
    assert line.startswith("└─ ✓ ✎ charge  result set by ana")
    assert in_ascii(line).startswith("`- + & charge  result set by ana")
    assert "└─ ✓ ✎ charge  skipped by ana" in tree_line(run_with(repaired("skip")))


def test_what_was_repaired_in_an_earlier_generation_stands_by_itself_again() -> None:
    """Its sign goes when the step runs again; what was done is still told of."""
    store = run_with(repaired(generation=1), status="running", ended=None)
    assert "✎" not in tree_line(store)
    assert any(line.startswith("hand   result set by ana") for line in told_of(store))
    assert step_of_run(store).last_answered == 1


def test_the_inspector_says_why_it_was_done() -> None:
    """Each repair with its time and reason, the latest first; of many the last few."""
    store = run_with(repaired("skip", 1, actor="bob", reason=""), repaired())
    told = told_of(store)
    assert "hand   result set by ana, 14:13:20: the vendor says it is paid" in told
    assert "       skipped by bob, 14:13:20" in told
    many = run_with(*[repaired(generation=at) for at in range(1, 6)], generation=5)
    assert "       … and 2 before" in told_of(many)


def test_the_answer_is_the_result_that_was_set() -> None:
    """Not what the attempt before was answered, which can still be read. Of a skipped one there is
    none, and it is said why."""
    step = step_of_run(run_with(repaired()))
    assert (step.answers, step.last_answered) == ([1, SET_BY_HAND], SET_BY_HAND)
    assert answer_name(step, SET_BY_HAND) == "result set by ana · 200"
    assert answer_name(step, 1) == "answer to try 1 · 402"
    skipped = step_of_run(run_with(repaired("skip"), http_status=204))
    assert (skipped.answers, skipped.last_answered) == ([1], None)
    assert skipped.why_no_answer.startswith("it was skipped")


def test_a_step_that_is_called_with_another_payload() -> None:
    """Whose that is, is told while it runs and after; its answer is its endpoint's."""
    store = run_with(repaired("rerun"), status="running", ended=None)
    assert "▸ ✎ charge  other payload by ana" in tree_line(store)
    assert step_of_run(store).last_answered == 1


def test_an_event_tells_it_at_once() -> None:
    """Without the run being read again; and on the board of events a person's act stands out."""
    store = run_with(status="failed", generation=1, http_status=402)
    reopened = event("reopened", 2, "pending", CHARGE, seq=1, awaitingPost=True)
    given: dict[str, Any] = {
        "act": "set-result",
        "actor": "ana",
        "reason": "paid",
        "httpStatus": 200,
    }
    store.apply(reopened)
    store.apply(event("result-set", 3, "completed", CHARGE, seq=2, **given))
    by = step_of_run(store).by_hand
    assert by is not None
    assert (by.actor, by.act, by.generation) == ("ana", "set-result", 2)
    assert "✎ charge  result set by ana" in tree_line(store)
    happened = store.events[-1]
    assert event_words(EventRow(happened)) == ("result set", "strong")
    assert event_more(EventRow(happened)) == "by ana · “paid”"


@on_screen(size=(140, 30))
async def test_b_shows_the_result_that_was_set(world: World) -> None:
    """From where the engine has it, not what the attempt before was answered; that is one key
    further. Of a skipped step it is said that there is none."""
    run = run_row(1, "completed")
    world.runs(run)
    failed = AttemptRow(1, 1, "failure", rfc3339(NOW), rfc3339(NOW), 402, "http-status")
    done: dict[str, Any] = {"generation": 2, "attempt_rows": (failed,), "ended_at": rfc3339(NOW)}
    world.tree(
        run,
        screen_row(run.id, None, "completed", attempt_rows=()),
        screen_row(run.id, "charge", "completed", repairs=(repaired(),), http_status=200, **done),
        screen_row(run.id, "mail", "completed", repairs=(repaired("skip"),), **done),
    )
    world.answers["/attempts/1/response"] = (200, {"error": "declined"})
    world.answers["-charge/response"] = (200, {"paid": 7})
    open_run(world.app, run.id, f"{run.id}-charge")
    lines = await world.press()
    line_with(lines, "✓ ✎ charge  result set by a")
    line_with(lines, "result set by ana · 200 · b shows all")
    lines = await world.press("b")
    line_with(lines, "charge: result set by ana · 200 · 2 of 2")
    line_with(lines, '"paid": 7')
    line_with(await world.press("["), "charge: answer to try 1 · 402 · 1 of 2")
    await world.press("escape", "j")
    line_with(await world.press("b"), "it was skipped, and has no answer: p, then ] shows")
