"""Small things that a tour of the dashboard found: a colour that says nothing, a key that says no
reason, an error that is not so."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from msgspec import to_builtins

import tui.command as command
from engine.core.text.times import rfc3339
from engine.wire import AttemptRow, CauseRow
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tests.tui.support import NOW, RUN
from tui.act.open import open_run
from tui.boards.cells import Seen, cause_cells
from tui.boards.hosts import host_cells
from tui.data.hosts import Host
from tui.data.inputs import LinkMoved, LinkState
from tui.data.model import cause_of


@pytest.mark.parametrize(
    ("new", "style"), [(0, "dim"), (12, "alarm"), (60, "plain")],
)  # fmt: skip
def test_new_stands_out_where_others_are_older(new: int, style: str) -> None:
    """In a fresh incident all are new: a colour in every row says nothing."""
    row = CauseRow("c", 60, new, rfc3339(NOW), rfc3339(NOW), RUN, "order", "failed", None)
    assert cause_cells(cause_of(row), Seen(NOW))["new"][1] == style


@pytest.mark.parametrize(
    ("succeeded", "style"), [(100, "plain"), (80, "alarm"), (1, "alarm"), (0, "failed")]
)
def test_a_host_that_is_down_is_red(succeeded: int, style: str) -> None:
    """Not of the colour of one that fails at times."""
    host = Host("a", 100, succeeded, 10, ((100, succeeded),), 0, 0)
    assert host_cells(host, Seen(NOW))["ok"][1] == style


@on_screen()
async def test_enter_goes_to_what_a_step_failed_for(world: World) -> None:
    """Its own last answer is one key further, and that is said."""
    run = run_row(1, "failed")
    world.runs(run)
    tried = AttemptRow(1, 1, "failure", at(-9), at(-8), 500, "http-status")
    world.tree(
        run,
        step_row(run.id, None, "failed", cause_id=f"{run.id}-card", attempt_rows=(tried,)),
        step_row(run.id, "card", "failed", attempt_rows=(tried,)),
    )
    open_run(world.app, run.id)
    await world.shown()
    line_with(await world.press("enter"), "order ended for this one: b shows its own last answer")
    assert world.app.selection().cursor_id == f"{run.id}-card"
    await world.press("n")
    assert world.app.selection().cursor_id == f"{run.id}-card", "the root is no problem of its own"


@on_screen()
async def test_a_key_that_is_for_another_board_says_which(world: World) -> None:
    """Not that it is not here."""
    await world.lists(run_row(1))
    line_with(await world.press("E"), "Re-run from here: that is for the steps of a run, not for")
    line_with(await world.press("2", "D"), "Dismiss: that is for Runs, Stuck and the steps of a")


@on_screen()
async def test_a_failed_run_runs_again_from_its_root(world: World) -> None:
    """It is asked which steps that are; of a run that goes on it is said why not."""
    run = run_row(1, "failed")
    root, charge = step_row(run.id, None, "failed"), step_row(run.id, "charge", "failed")
    world.runs(run)
    world.tree(run, root, charge)
    plan = {"action": "rerun", "dryRun": True, "run": to_builtins(run), "step": None}
    world.answers["/actions"] = (202, plan | {"changed": [root.id, charge.id]})
    lines = await world.open_first("E")
    line_with(lines, "Re-run from here?")
    line_with(lines, "runs again: order, charge")
    world.clock.pass_s(1)
    await world.press("escape")
    run = run_row(1)
    world.runs(run)
    world.tree(run, step_row(run.id, None, "running"))
    await world.shown()
    line_with(await world.press("E"), "Re-run from here: it is running")
    assert len(world.posts) == 1


@pytest.mark.parametrize(
    "reason",
    [
        "http://a.test/api/v1/events answered without an event stream",
        "GET http://a.test/ was answered HTTP 200 (text/html), not as the engine does",
    ],
)
@on_screen(live=False)
async def test_a_server_that_is_no_engine(world: World, reason: str) -> None:
    """It was reached."""
    world.store.apply(LinkMoved(LinkState.LOST, reason, 1, 2.0))
    lines = await world.shown()
    line_with(lines, "Something answers there, but it is no engine.")
    assert not any("cannot be reached" in line for line in lines)


def test_an_address_without_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host and its port are typed everywhere."""
    asked: list[str] = []
    monkeypatch.setattr(command, "_once", lambda options, as_json: asked.append(options.url))
    for typed in ("127.0.0.1:1", "engine.example:8420", "http://127.0.0.1:1"):
        CliRunner().invoke(command.tui, [typed, "--once"])
    assert asked == ["http://127.0.0.1:1", "http://engine.example:8420", "http://127.0.0.1:1"]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_what_is_stuck_is_counted_on_every_tab_line(columns: int) -> None:
    """It goes last where there is no room; jobs are there while one runs."""

    async def test(world: World) -> None:
        world.live(stuckCount=303)
        lines = await world.shown()
        assert "3 Stuck 303" in lines[1] or "3 303" in lines[1]
        assert "Jobs" not in lines[1]
        assert "6 Jobs" in (await world.press("6"))[1]

    showing(test, size=(columns, 12 if columns == 60 else 24))
