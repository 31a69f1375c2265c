"""One table of keys: bindings, footer, help and `:` all come from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tui.boards.around.help import help_lines
from tui.boards.cells import text_of
from tui.boards.looks import in_ascii
from tui.keys import (
    BY_ID,
    COMMANDS,
    DETAIL,
    EVERYWHERE,
    LISTS,
    WRITES,
    Group,
    NoCommand,
    of_view,
    parse_command,
    shown_key,
)
from tui.screen.app import DOES
from tui.text.sanitize import width


def test_the_docs_have_the_keys_of_the_boards_and_of_what_writes() -> None:
    """The tables of the how-to say what the one table of commands says, and no more."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "dashboard.md").read_text()
    rows = re.findall(r"^\| `(\w)` \| (.+?) \|", page, re.MULTILINE)
    boards = {key: name for key, name in rows if key.isdigit()}
    assert boards == {shown_key(BY_ID[view].keys): BY_ID[view].label for view in LISTS}
    acting = page[page.index("## Keys that change something") : page.index("## Find a command")]
    assert set(re.findall(r"^\| `(\w)` \|", acting, re.MULTILINE)) == WRITES
    bodies = page[page.index("## Bodies") : page.index("## Copy")]  # these are of their screen
    firsts = re.findall(r"^\| (`.+?) \|", page.replace(bodies, ""), re.MULTILINE)
    named = {key for first in firsts for key in re.findall(r"`([^`]+)`", first)}
    known = {key for command in COMMANDS for key in command.keys.split(",")}
    assert named <= known | {shown_key(key) for key in known}


def test_ids_are_unique() -> None:
    """They are names: for `:`, for a configuration of keys, and of what is done."""
    assert len(BY_ID) == len(COMMANDS)
    assert DOES.keys() == BY_ID.keys()
    for command in COMMANDS:
        assert command.views <= EVERYWHERE
        assert command.help


@pytest.mark.parametrize("view", sorted(EVERYWHERE))
def test_keys_are_unique_in_a_view(view: str) -> None:
    """No key of a view means two things there."""
    keys = [key for command in of_view(COMMANDS, view) for key in command.keys.split(",") if key]
    assert sorted(keys) == sorted(set(keys))


def test_only_capitals_and_z_write() -> None:
    """Lower case looks. `G` and `N` only move, as in vi."""
    assert set("RPCEDMWSKAHXz") == WRITES
    for command in COMMANDS:
        keys = [key for key in command.keys.split(",") if key]
        capitals = [key for key in keys if len(key) == 1 and key.isupper()]
        assert command.writes == (command.group is Group.ACT and command.id != "menu")
        if command.writes:
            assert keys == capitals or command.id == "undo"
        else:
            assert set(capitals) <= {"G", "N"}
    assert not any(key.startswith("ctrl") for key in WRITES)


def test_a_command_has_a_key_or_a_name_to_be_typed() -> None:
    """Nothing in the table is out of reach: each can be typed, and those without a key say so."""
    for command in COMMANDS:
        found, argument = parse_command(command.id)
        assert (found, argument) == (command, "")


@pytest.mark.parametrize(
    ("line", "id", "argument"),
    [
        ("q", "quit", ""), ("f is:stuck wf:a b", "filter", "is:stuck wf:a b"),
        ("failed", "causes", ""), ("stuck", "causes", ""), ("bulk", "jobs", ""),
        ("run 01kaq", "run", "01kaq"), ("theme  dark ", "theme", "dark"), ("undo", "undo", ""),
        ("runs", "runs", ""), ("ut", "utc", ""),
    ],
)  # fmt: skip
def test_parse_command(line: str, id: str, argument: str) -> None:
    """A name, its beginning, or another name for it; and what stands behind it."""
    command, found = parse_command(line)
    assert (command.id, found) == (id, argument)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "is none of"),
        ("  ", "is none of"),
        ("frobnicate", "`frobnicate` is none of: home, runs"),
        ("re", "could be: retries, retry, rerun, retarget, resync"),
        ("retry now", "takes nothing"),
        ("und", "`undo` changes the engine: type its whole name"),
    ],
)
def test_parse_command_tells_what_there_is(line: str, told: str) -> None:
    """A mistake is answered with the choice."""
    with pytest.raises(NoCommand) as error:
        parse_command(line)
    assert told in str(error.value)


def test_keys_as_people_write_them() -> None:
    """Not as Textual does."""
    assert shown_key("question_mark") == "?"
    assert shown_key("ctrl+d") == "^d"
    assert shown_key("j,down") == "j"
    for command in COMMANDS:
        assert len(shown_key(command.keys)) <= 6, command


@pytest.mark.parametrize("view", sorted(EVERYWHERE))
def test_the_help_has_each_command_of_the_view(view: str) -> None:
    """And none of another one's."""
    lines = [text_of(line) for line in help_lines(COMMANDS, view)]
    for command in COMMANDS:
        told = f"{command.label:<18} {command.help}"
        assert any(told in line for line in lines) == (view in command.views), command.id
    assert sum(line in list(Group) for line in lines) == len(
        {c.group for c in of_view(COMMANDS, view)}
    )
    assert any(line.startswith("  ✗ failed ") for line in lines)
    assert any("late 3" in line for line in lines)


@pytest.mark.parametrize("cells", [55, 75, 95])
def test_the_help_is_cut_nowhere(cells: int) -> None:
    """What is long goes on below, beside what it explains."""
    for view in EVERYWHERE:
        told = [text_of(line) for line in help_lines(COMMANDS, view, cells)]
        assert all(width(line) <= cells for line in told)
        assert not any("…" in line for line in told)
    words = " ".join(text_of(line).strip() for line in help_lines(COMMANDS, "run", cells))
    assert "take the last pause, resume or dismissal" in " ".join(words.split())


def test_the_help_in_ascii() -> None:
    """All of it: the signs of the states, those of the numbers, and the keys."""
    for view in EVERYWHERE:
        lines = [in_ascii(text_of(line)) for line in help_lines(COMMANDS, view)]
        assert not any("?" in line.replace("  ? ", "") for line in lines if "Help" not in line)
        assert any(line.startswith("  X failed ") for line in lines)


def test_views() -> None:
    """The boards and the run are all there is."""
    assert EVERYWHERE == LISTS | DETAIL
