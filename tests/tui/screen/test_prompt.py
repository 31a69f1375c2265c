"""The line at the foot: what it is for, what could follow, and what is wrong with it."""

from __future__ import annotations

from tests.tui.on_screen import World, line_with, on_screen, run_row
from tui.screen.prompt import PromptField


def fill(world: World) -> None:
    """Runs of two workflows."""
    world.runs(run_row(1), run_row(2, workflow_name="onboard partner"))


@on_screen()
async def test_the_line_says_what_it_is_for(world: World) -> None:
    """A filter behind `/`, a command behind `:`; below it the keys."""
    fill(world)
    lines = await world.press("slash")
    assert lines[-2].startswith(" filter / is:live")
    assert "enter lists · tab completes · esc leaves" in lines[-1]
    lines = await world.press("escape", "colon")
    assert lines[-2].startswith(" command : ")
    assert "enter does it" in lines[-1]
    assert "Open" in (await world.press("escape"))[-1]


@on_screen()
async def test_a_fault_stands_under_its_place_while_it_is_typed(world: World) -> None:
    """The caret is below the term; the list stays."""
    fill(world)
    await world.press("slash", "ctrl+u")
    world.app.query_one(PromptField).value = "wf:order is:nonsense"
    lines = await world.shown()
    assert lines[-1].index("^") == lines[-2].index("is:nonsense")
    assert "`is:nonsense` is none of" in lines[-1]
    line_with(lines, "onboard partner")
    world.app.query_one(PromptField).value = "wf:order is:stuck"
    assert "^" not in (await world.shown())[-1]


@on_screen()
async def test_a_fault_at_the_end_of_a_long_line_is_told_before_it(world: World) -> None:
    """There is no room behind it."""
    fill(world)
    await world.press("slash", "ctrl+u")
    world.app.query_one(PromptField).value = f"key:{'x' * 50} is:no"
    foot = (await world.shown())[-1]
    assert foot.index("^") == len(" filter / ") + 55
    assert "`is:no` is none of" in foot[: foot.index("^")]


@on_screen()
async def test_tab_completes_from_what_was_seen(world: World) -> None:
    """Fields, words and the values of runs that are on the board; a value with a blank is quoted.
    What is only begun is no mistake yet."""
    fill(world)
    await world.press("slash", "ctrl+u")
    lines = await world.press("w")
    assert "wf:" in lines[-1]
    await world.press("tab")
    field = world.app.query_one(PromptField)
    assert field.value == "wf:"
    lines = await world.press("o")
    assert "wf:order" in lines[-1]
    assert 'wf:"onboard partner"' in lines[-1]
    await world.press("r", "right")
    assert field.value == "wf:order", "the ghost was taken"
    await world.press("space", "i", "s", "colon", "s", "tab")
    assert field.value == "wf:order is:stuck"
    assert field.has_focus


@on_screen()
async def test_commands_are_completed_too(world: World) -> None:
    """By their names."""
    fill(world)
    lines = await world.press("colon", "r", "e")
    assert "rerun  resync  retarget  retries  retry" in lines[-1]
    await world.press("s", "tab")
    assert world.app.query_one(PromptField).value == "resync"


@on_screen()
async def test_the_name_of_a_theme_is_completed(world: World) -> None:
    """Behind `:theme` stand those that begin as what is typed; `tab` takes the first."""
    fill(world)
    await world.press("colon")
    world.app.query_one(PromptField).value = "theme cb"
    assert (await world.shown())[-1].split() == ["cb-dark", "cb-light"]
    await world.press("tab", "enter")
    assert world.app.theme == "cb-dark"


@on_screen()
async def test_themes_are_listed_and_an_unknown_one_is_told(world: World) -> None:
    """`:theme` alone shows them all, one a line."""
    fill(world)
    await world.press("colon")
    world.app.query_one(PromptField).value = "theme"
    lines = await world.press("enter")
    line_with(lines, "Themes: dark now")
    line_with(lines, " cb-light ")
    await world.press("escape", "colon")
    world.app.query_one(PromptField).value = "theme nope"
    line_with(await world.press("enter"), "no theme `nope`: `:theme` lists them")
