"""`c`: which columns a board shows; what was chosen goes before what was not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.tui.on_screen import World, line_with, on_screen, run_row
from tui.act.columns import ONE_STAYS, wanted_of
from tui.boards.cells import layout, wanted_columns
from tui.boards.rows import GRIDS
from tui.command import tui
from tui.keys import BY_ID


def shown(board: str, cells_wide: int, wanted: dict[str, bool]) -> list[str]:
    """The columns of a board that is so wide."""
    return [c.key for c, _ in layout(wanted_columns(GRIDS[board], wanted), cells_wide)]


def test_what_is_put_away_leaves_its_room_to_the_others() -> None:
    """HOST of thirty equal rows, to what is cut: the reason."""
    usual = {c.key: cells for c, cells in layout(GRIDS["runs"], 117)}
    without = wanted_columns(GRIDS["runs"], {"host": False})
    there = {c.key: cells for c, cells in layout(without, 117)}
    assert "host" in usual
    assert "host" not in there
    assert there["reason"] > usual["reason"]


def test_others_give_way_to_what_was_asked_for() -> None:
    """First those that are shown from the widest screens on; nothing is cut by the screen's end."""
    assert "host" not in shown("runs", 78, {})
    assert shown("runs", 78, {"host": True}) == ["state", "workflow", "run", "at", "next", "host"]
    assert shown("runs", 58, {"client": True}) == ["state", "workflow", "at", "client"]
    for board in (it for it in GRIDS if it != "run"):
        everything = {column.key: True for column in GRIDS[board]}
        for cells_wide in range(58, 300):
            sized = layout(wanted_columns(GRIDS[board], everything), cells_wide)
            assert sum(cells for _, cells in sized) + len(sized) - 1 <= cells_wide
    assert shown("runs", 400, dict.fromkeys(shown("runs", 400, {}), True)) == shown("runs", 400, {})


@on_screen(size=(120, 30))
async def test_columns_are_chosen_one_after_the_other(world: World) -> None:
    """The question stays, and says what is there; of another board nothing changes; `0` takes all
    of it back."""
    lines = await world.lists(run_row(1))
    assert "HOST" in line_with(lines, "WORKFLOW")
    line_with(await world.press("c"), " 8  HOST")
    lines = await world.press("8", "5")
    line_with(lines, " 8  HOST              hidden")
    line_with(lines, " 5  TRY               hidden")
    head = line_with(await world.press("escape"), "WORKFLOW")
    assert "HOST" not in head
    assert "TRY" not in head
    assert "REASON" in head
    assert world.app.looking.wanted.keys() == {"runs"}
    await world.press("c", "8", "escape")
    assert "HOST" in line_with(await world.shown(), "WORKFLOW")
    head = line_with(await world.press("c", "0", "escape"), "WORKFLOW")
    assert "TRY" in head


@on_screen()
async def test_one_column_stays(world: World) -> None:
    """And it is said why; a run has no columns to choose."""
    await world.lists(run_row(1))
    keys = [str(number) for number in range(2, 8)]
    lines = await world.press("c", *keys, "1")
    line_with(lines, ONE_STAYS)
    head = line_with(await world.press("escape"), "STATE")
    assert head.split() == ["STATE"]
    line_with(await world.press("enter", "c"), "Columns: that is for Runs, Retries")


@on_screen(size=(120, 30), columns={"runs": "-host, client", "hosts": ""})
async def test_columns_of_the_file_of_settings(world: World) -> None:
    """From the start; what is chosen then goes before them."""
    head = line_with(await world.lists(run_row(1)), "WORKFLOW")
    assert "HOST" not in head
    assert "CLIENT" in head
    head = line_with(await world.press("c", "8", "escape"), "WORKFLOW")
    assert "HOST" in head
    assert "CLIENT" in head


def test_what_a_file_may_say() -> None:
    """Heads as they are on the screen, in any case."""
    assert wanted_of({}) == {}
    assert wanted_of({"runs": " - HOST,at step,, Client "}) == {
        "runs": {"host": False, "at": True, "client": True}
    }


@pytest.mark.parametrize(("text", "told"), [
    ("run = 'step'", "there is no board `run`. There are "),
    ("runs = 'hots'", "runs has no column `hots`. It has state, workflow"),
    ("runs = '" + ",".join(f"-{c.title}" for c in GRIDS["runs"]) + "'", "no column left"),
])  # fmt: skip
def test_what_it_may_not_say(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told before there is a screen, with what there is."""
    monkeypatch.setattr("tui.command.on_terminal", lambda: True)
    path = tmp_path / "dashboard.toml"
    path.write_text(f"[columns]\n{text}\n")
    refused = CliRunner().invoke(tui, ["--config", str(path)])
    assert refused.exit_code == 2
    assert told in " ".join(refused.output.split())


def test_every_column_has_a_head_of_its_own() -> None:
    """It is known by it."""
    for board in BY_ID["columns"].views:
        heads = [column.title.casefold() for column in GRIDS[board]]
        assert len(set(heads)) == len(heads), board
