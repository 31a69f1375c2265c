"""Commands by key, by palette and by name are those of the one table."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from tests.tui.on_screen import World, accepted, found, line_with, on_screen, run_row
from tui.keys import BY_ID


@on_screen(size=(100, 60))
async def test_the_palette_finds_every_command_of_the_view(world: World) -> None:
    """By a part of its name, or of what it says; nothing of other views."""
    await world.lists(run_row(1))
    shown = await found(world, "", BY_ID["events"].help)
    assert BY_ID["payload"].help not in shown
    await world.press("escape")
    await found(world, "another look", "Theme: dark")


async def choose(world: World, text: str) -> None:
    """Find a command by what it says, and do it."""
    await found(world, text, text)
    await world.press("enter")
    await world.pilot.pause()


@on_screen()
async def test_a_chosen_command_is_done(world: World) -> None:
    """As if its key had been pressed; one that takes something behind it waits for that."""
    await choose(world, "hosts that are called")
    assert world.app.looking.view == "hosts"
    await choose(world, "a run by its id")
    assert isinstance(world.app.focused, Input)
    assert world.app.focused.value == "run "


@on_screen()
async def test_the_palette_is_about_the_row_it_was_opened_on(world: World) -> None:
    """The list moves under it; the action is done to that run."""
    rows = [run_row(number, "backing-off") for number in range(3)]
    world.answers["/actions"] = accepted(rows[0])
    await world.lists(*rows)
    await found(world, BY_ID["retry"].help[:12], BY_ID["retry"].help)
    await world.lists(*rows[1:])
    await world.press("enter")
    assert [path for path, _ in world.posts] == [f"/api/v1/runs/{rows[0].id}/actions"]


@on_screen(keys={"retry": "T", "help": "f1"})
async def test_a_remapped_key_shows_everywhere(world: World) -> None:
    """Footer, help, menu and palette; the old key does nothing any more, the new one does."""
    run = run_row(1, "backing-off")
    world.answers["/actions"] = accepted(run)
    lines = await world.lists(run)
    assert "T Retry now" in lines[-1]
    assert "f1 Help" in lines[-1]
    line_with(await world.press("f1", *["space"] * 2), "T       Retry now")
    line_with(await world.press("escape", "x"), " T  Retry now")
    await world.press("escape", "R", "question_mark")
    assert (world.posts, len(world.app.screen_stack)) == ([], 1)
    await world.press("T")
    assert [members["action"] for _, members in world.posts] == ["retry"]
    await found(world, BY_ID["retry"].help[:12], f"T  {BY_ID['retry'].help}")


@pytest.mark.parametrize("key", ["R", "P"])
@on_screen(strict=True, badge="PROD")
async def test_strict_asks_before_every_action(world: World, key: str) -> None:
    """Of an engine whose profile says so; its badge is on every board."""
    run = run_row(1, "backing-off")
    world.runs(run)
    world.answers["/actions"] = accepted(run)
    assert " PROD " in (await world.shown())[1]
    await world.press(key)
    assert world.posts == []
    world.clock.pass_s(1)
    await world.press("y")
    assert len(world.posts) == 1


@on_screen()
async def test_what_is_typed_in_one_piece_keeps_its_order(world: World) -> None:
    """Over a slow link keys come together: those that edit are not overtaken by those behind."""
    await world.shown()
    await world.press_at_once("slash", "ctrl+u", *"wx", "backspace", *"fpay")
    assert isinstance(world.app.focused, Input)
    assert world.app.focused.value == "wfpay"


@on_screen()
async def test_a_choice_in_one_piece_with_its_menu(world: World) -> None:
    """The key behind `x`, `y` and `s` chooses: it came after them, so it is meant for what they
    open, and is no command of the board below."""
    run = run_row(1)
    world.answers["/actions"] = accepted(run)
    await world.lists(run, run_row(2))
    await world.press_at_once("x", "P")
    assert [body["action"] for _, body in world.posts] == ["pause"]
    told = await world.press_at_once("j", "y", "j", "enter")
    line_with(told, "key sent to the terminal")
    await world.press_at_once("4", "s", "2")
    assert world.app.looking.sorted_by.keys() == {"hosts"}
