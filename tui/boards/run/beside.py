"""Two texts side by side or below each other, line by line: what differs, a little around it."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import zip_longest

from tui.boards.cells import Cell
from tui.text.sanitize import fit, safe

AROUND = 1
"""So many lines that are the same stand around what differs."""
LINES_MAX = 2_000
"""Longer texts are not compared: the time for it grows with the square."""
BETWEEN = " │ "
Row = tuple[str | None, str | None]
"""A line of each text; None: the other has one more here."""


def beside(
    old: str, new: str, cells: int, most: int, heads: tuple[str, str] = ("WAS", "WILL BE")
) -> list[Cell]:
    """The two below their heads, in lines of so many cells, at most so many of them."""
    side = (cells - len(BETWEEN)) // 2
    lines: list[Cell] = [((fit(heads[0], side) + BETWEEN + fit(heads[1], side), "dim"),)]
    for row in _rows_of(old, new, most):
        if isinstance(row, str):
            lines.append((row, "dim"))
            continue
        left, right = row
        is_same = left == right
        lines.append(
            (
                (fit(safe(left or ""), side), "dim" if is_same else "failed"),
                (BETWEEN, "dim"),
                (fit(safe(right or ""), side), "dim" if is_same else "good"),
            )
        )
    return lines


def below(old: str, new: str, most: int) -> list[Cell]:
    """The same where there is no room for that: each line of the old text above that of the new."""
    lines: list[Cell] = []
    for row in _rows_of(old, new, most):
        if isinstance(row, str):
            lines.append((row, "dim"))
        elif row[0] == row[1]:
            lines.append((f"  {safe(row[0] or '')}", "dim"))
        else:
            lines += [
                (f"{sign} {safe(line)}", style)
                for sign, line, style in (("-", row[0], "failed"), ("+", row[1], "good"))
                if line is not None
            ]
    return lines


def _rows_of(old: str, new: str, most: int) -> Iterator[Row | str]:
    """At most so many, and what there is to say of the others."""
    lefts, rights = old.splitlines(), new.splitlines()
    if max(len(lefts), len(rights)) > LINES_MAX:
        yield f"more than {LINES_MAX:,} lines are not compared"
        return
    found = list(_rows(lefts, rights))
    yield from found[:most]
    if len(found) > most:
        yield f"… and {len(found) - most:,} lines more"


def _rows(lefts: list[str], rights: list[str]) -> Iterator[Row]:
    matcher = SequenceMatcher(None, lefts, rights, autojunk=False)
    for group in matcher.get_grouped_opcodes(AROUND):
        for _, left_from, left_to, right_from, right_to in group:
            yield from zip_longest(lefts[left_from:left_to], rights[right_from:right_to])
