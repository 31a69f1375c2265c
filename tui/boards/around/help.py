"""The help of a view, made from the one table of keys, and what the numbers of the top bar mean."""

from __future__ import annotations

from collections.abc import Sequence

from tui.boards.cells import Cell, Part
from tui.boards.looks import LOOKS
from tui.keys import Command, Group, of_view, shown_key
from tui.text.sanitize import width, wrap

NUMBERS = (
    ("● live 14ms", "the engine answers; round trip, median of the latest"),
    ("▸ 214", "runs with an attempt in flight, as the engine counts"),
    ("↻ 1,421", "runs that back off: the next attempt has a time"),
    ("◷ 12", "runs that wait for one of their steps"),
    ("✗ 512", "runs that need a person: failed or paused, not dismissed"),
    ("ended 84/s", "runs that end each second, however, over the last ten"),
    ("⊘ 1 still", "in flight: calls of cancelled steps, which are let finish"),
    ("pausing", "paused as soon as its call in flight has ended"),
    ("10k+", "so many or more: the engine has not counted on"),
    ("late 3", "due over a second: a limit (4 says which), a slow engine"),
    ("<10s 38 · <1m 9", "attempts due in less than that, each counted once"),
    ("got worse", "more fail within 3 minutes than in the 8 before"),
    ("TRY 3/11", "attempts started, of how many there may be; ! one is left"),
    ("in 7s · late 3s", "on the engine's clock; ≈7s while it is not heard of"),
    ("OK% · P95", "of attempts that ended within 8 minutes, failures too"),
)
FILTER = "is:stuck error:declined wf:order* host:acme.io try:>3 due:<1m !key:test*"


def help_lines(commands: Sequence[Command], view: str, cells: int = 100) -> list[Cell]:
    """The keys of a view by group, the states, and the numbers, in lines of so many cells."""
    lines: list[Cell] = []
    for group in Group:
        found = [command for command in of_view(commands, view) if command.group is group]
        if not found:
            continue
        lines += [(group, "strong")]
        lines += [line for command in found for line in _lines(command, cells)]
        lines.append(("", "plain"))
    lines.append(("States", "strong"))
    for state, look in LOOKS.items():
        lines += _beside(
            ((f"  {look.glyph} {state:<12} ", look.style),), look.meaning, "plain", cells
        )
    lines += [("", "plain"), ("Numbers", "strong")]
    for shown, meaning in NUMBERS:
        lines += _beside(((f"  {shown:<16} ", "plain"),), meaning, "dim", cells)
    lines += [("", "plain"), ("Filter", "strong")]
    lines += _beside((("  ", "plain"),), FILTER, "plain", cells)
    return lines


def _lines(command: Command, cells: int) -> list[Cell]:
    keys = shown_key(command.keys) if command.keys else f":{command.id}"
    style = "alarm" if command.writes else "plain"
    left = ((f"  {keys:<8}", style), (f"{command.label:<18} ", "plain"))
    return _beside(left, command.help, "dim", cells)


def _beside(left: tuple[Part, ...], text: str, style: str, cells: int) -> list[Cell]:
    """A text beside what it explains, on as many lines as it takes."""
    indent = sum(width(part) for part, _ in left)
    first, *more = wrap(text, cells - indent)
    below: list[Cell] = [((" " * indent, "plain"), (line, style)) for line in more]
    return [(*left, (first, style)), *below]
