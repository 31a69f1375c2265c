"""Why something failed, in the words of its answer: on every board, in the run, and beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from engine.wire import AttemptRow, CauseList, CauseRow, Reason, RunRow, StepRow
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tests.tui.support import RUN, event, store_at, tree_read
from tests.tui.support import attempt_row as attempt
from tests.tui.support import run_row as listed
from tests.tui.support import step_at as stands
from tests.tui.support import step_row as step
from tui.act.open import open_run
from tui.boards.cells import Seen, cause_text, event_more, reason_cell, why_text
from tui.data.inputs import CausesRead, LinkState
from tui.data.model import Run, cause_of, run_of
from tui.data.tree import at_fault
from tui.past.happened import EventRow

DECLINED = "card_declined: insufficient funds"
REFUSED = "no connection: connection refused (errno 111, ECONNREFUSED)"
OF_THE_CARD = Reason("s-card", "charge_card", 402, "http-status: answered 402", DECLINED)


@pytest.mark.parametrize(
    ("status", "error", "excerpt", "told"),
    [
        (402, "http-status: answered 402", DECLINED, f"402 {DECLINED}"),
        (402, "http-status: answered 402", None, "402"),
        (502, "http-status: answered 502", "502 Bad Gateway", "502 Bad Gateway"),
        (None, "connection-refused: x:9: no", REFUSED, f"connection-refused: {REFUSED}"),
        (None, "attempt-timeout: nothing", None, "attempt-timeout"),
        (None, None, "odd", "odd"),
        (None, None, None, "—"),
    ],
)
def test_a_reason_in_words(
    status: int | None, error: str | None, excerpt: str | None, told: str
) -> None:
    """What happened, and why; attempts from before excerpts have what they had."""
    assert why_text(status, error, excerpt) == told


def why(run: Run) -> str:
    """What the list of runs says."""
    return reason_cell(run, Seen(0.0))[0]


def test_a_run_shows_its_steps_reason_not_its_workflows_500() -> None:
    """Of one that failed or is paused what it is so for; of others the step at which they are."""
    own = stands("failed", http_status=500, error="http-status: answered 500")
    for status in ("failed", "paused"):
        run = run_of(listed(status=status, at=own, reason=OF_THE_CARD))
        assert why(run) == f"402 {DECLINED}"
    now = stands("backing-off", http_status=503, error="http-status", excerpt="busy")
    assert why(run_of(listed(status="backing-off", at=now, reason=OF_THE_CARD))) == ("503 busy")
    assert why(run_of(listed())) == "—"


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        ("failed", OF_THE_CARD, f"402 {DECLINED}"),
        ("paused", OF_THE_CARD, f"paused after 402 {DECLINED}"),
        ("paused", None, "paused"),
        ("failed", None, "failed"),
    ],
)
def test_a_cause_is_told_by_its_reason(status: str, reason: Reason | None, told: str) -> None:
    """Of the latest run that has it."""
    row = CauseRow("c", 2, 1, at(-9), at(-1), RUN, "order", status, None, reason)
    assert cause_text(cause_of(row)) == told


def test_events_bring_the_reason() -> None:
    """Into the step, its attempt, the row of its run, and the board of events; what opens the step
    again takes it away, but not from the attempt."""
    store = store_at()
    store.apply(tree_read(step(attempts=[attempt(1, "running")], rev=1), at=stands(step_id=RUN)))
    ended: dict[str, Any] = {"number": 1, "countsAs": "failure", "httpStatus": 402}
    store.apply(event("attempt-ended", 2, "failed", excerpt=DECLINED, error="http-status", **ended))
    known = store.trees[RUN].steps[RUN]
    assert (known.excerpt, known.tries[0].excerpt) == (DECLINED, DECLINED)
    run_at = store.runs[RUN].at
    assert run_at is not None
    assert run_at.excerpt == DECLINED
    assert event_more(EventRow(store.events[-1])) == f"402 {DECLINED}"
    store.apply(event("reopened", 3, "pending", seq=2))
    known = store.trees[RUN].steps[RUN]
    assert (known.excerpt, known.tries[0].excerpt) == (None, DECLINED)


def test_a_workflow_that_backs_off_from_a_failed_step_shows_that() -> None:
    """Before the list is read again: its own 500 says less than the event of the step did."""
    store = store_at()
    card = step("card", "running", parent=RUN, rev=1)
    store.apply(tree_read(step(rev=1), card, at=stands(step_id=RUN)))
    ended: dict[str, Any] = {"number": 1, "countsAs": "failure"}
    store.apply(event("attempt-ended", 2, "failed", f"{RUN}-card", httpStatus=402,
                      error="http-status: answered 402", excerpt=DECLINED, **ended))  # fmt: skip
    own = "unhandled-failure: answered 500 after it was told that card failed"
    store.apply(event("attempt-ended", 2, "backing-off", seq=2, httpStatus=500, error=own,
                      excerpt="Internal Server Error", **ended))  # fmt: skip
    assert why(store.runs[RUN]) == f"402 {DECLINED}"


def test_which_step_a_run_fails_for() -> None:
    """The one at the end of the causes; of an open run a paused one before one that failed, and
    this before one that backs off; not the workflow that is paused for it."""

    def of(*steps: StepRow) -> str | None:
        store = store_at()
        store.apply(tree_read(*steps))
        found = at_fault(store.trees[RUN])
        return None if found is None else found.name

    card = step("card", "failed", parent=RUN, cause_id=f"{RUN}-bank")
    bank = step("bank", "failed", parent=f"{RUN}-card")
    failing = step("ship", "backing-off", parent=RUN, due=9)
    assert of(step(status="failed", cause_id=f"{RUN}-card"), card, bank) == "bank"
    assert of(step(status="failed")) == "index"
    assert of(step(status="completed"), bank) is None
    assert of(step(), failing) == "ship"
    assert of(step(), failing, bank) == "bank"
    assert of(step(), bank, step("hold", "paused", parent=RUN)) == "hold"
    assert of(step(status="paused", pause_reason="unhandled-failure"), bank) == "bank"
    assert of(step(status="paused", pause_reason="unhandled-failure")) == "index"
    a = step("a", "failed", parent=RUN, cause_id=f"{RUN}-b")
    b = step("b", "failed", parent=RUN, cause_id=f"{RUN}-a")
    assert of(step(status="failed", cause_id=f"{RUN}-a"), a, b) in ("a", "b")


# -- on the screen ---------------------------------------------------------------------------------


def declined(number: int = 1) -> tuple[RunRow, StepRow, StepRow]:
    """A run that failed as its card was declined."""
    run = run_row(number, "failed", reason=OF_THE_CARD,
                  at={"status": "failed", "http_status": 500, "error": "http-status"})  # fmt: skip
    error = "http-status: answered 402"
    tried = AttemptRow(1, 1, "failure", at(-9), at(-8), 402, error, DECLINED)
    answered = {"http_status": 402, "error": error, "excerpt": DECLINED}
    card = step_row(run.id, "card", "failed", attempt_rows=(tried,), ended_at=at(-8), **answered)
    own = {"http_status": 500, "error": "http-status: answered 500", "cause_id": card.id}
    root = step_row(run.id, None, "failed", attempt_rows=(), ended_at=at(-8), **own)
    return run, root, card


def stuck(world: World, excerpt: str = DECLINED) -> None:
    """One cause."""
    reason = Reason("s", "card", 402, "http-status: answered 402", excerpt)
    row = CauseRow("c1", 40, 40, at(-9), at(-1), RUN, "invoice.sync", "failed", None, reason)
    world.store.apply(CausesRead(CauseList((row,), 40, 300_000)))


@on_screen()
async def test_stuck_says_why_at_80_columns(world: World) -> None:
    """No key has to be pressed for it."""
    stuck(world)
    line_with(await world.press("3"), "402 card_declined: insufficient")


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_the_list_of_runs_says_why(columns: int) -> None:
    """In a column, or of the row under the cursor below the list where there is no room for one."""

    async def test(world: World) -> None:
        world.app.looking.filters["runs"] = "is:failed"
        run, *_ = declined()
        lines = await world.lists(run)
        told = line_with(lines, "402 card_declined")
        assert told.startswith("▌") is (columns >= 100)
        assert any("REASON" in line for line in lines) is (columns >= 100)

    showing(test, size=(columns, 24))


@on_screen(size=(140, 40))
async def test_a_run_and_its_steps_say_why(world: World) -> None:
    """The line of the run, the root (its step's reason), the step, and its attempt."""
    run, root, card = declined()
    world.runs(run)
    world.tree(run, root, card)
    open_run(world.app, run.id, root.id)
    lines = await world.shown()
    line_with(lines, f" order 00000001  ✗ failed · card: 402 {DECLINED} ")
    line_with(lines, "order 00000001  2/2 steps  2 tries")
    line_with(lines, f"cause  card: 402 {DECLINED}")
    lines = await world.press("j")
    line_with(lines, f"last   402 {DECLINED}")
    line_with(lines, "1 ✗ 14:13:11  1.0s    402")
    assert sum(DECLINED in line for line in lines) == 3


def test_the_inspector_has_the_first_lines_of_the_last_answer() -> None:
    """As they are shown by `b`, without their secrets; not in a recording, and not over a slow
    link."""
    answer = {"error": "card_declined", "password": "hunter2", "lines": list(range(300))}

    async def test(world: World) -> None:
        run, root, card = declined()
        world.answers["/response"] = (200, json.dumps(answer).encode())
        world.tree(run, root, card)
        open_run(world.app, run.id, card.id)
        lines = await world.press()
        is_read = not world.app.options.slow_link
        assert any("answer to try 1 · 402 · b shows all" in line for line in lines) is is_read
        assert any('"error": "card_declined"' in line for line in lines) is is_read
        assert any('"password": "••••"' in line for line in lines) is is_read
        assert not any("hunter2" in line for line in lines)
        assert world.store.link.state is LinkState.LIVE

    showing(test, size=(140, 40))
    showing(test, size=(140, 40), slow_link=True)


@on_screen(size=(140, 40))
async def test_an_answer_that_was_not_kept_is_no_fault(world: World) -> None:
    """What the engine says of it stands in its place, and is asked for once."""
    run, root, card = declined()
    world.tree(run, root, card)
    open_run(world.app, run.id, card.id)
    line_with(await world.press(), "No body (404")
    line_with(await world.passes(5), "No body (404")


def test_hostile_reasons_are_shown_as_they_are() -> None:
    """Controls as pictures, markup as text, on every board."""
    hostile = "\x1b]0;pwned\x07[/red][@click=app.quit]x[/]\u202egnol"

    async def test(world: World) -> None:
        stuck(world, hostile)
        run, *_ = declined()
        reason = Reason("s", "card", 402, "http-status", hostile)
        world.runs(replace(run, reason=reason))
        for key in ("1", "3"):
            for line in await world.press(key):
                assert "\x1b" not in line
                assert "\u202e" not in line
        line_with(await world.shown(), "␛]0;pwned␇[/red][@click")

    showing(test, size=(140, 40))
