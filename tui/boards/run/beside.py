"""Two texts side by side, line by line: what differs, and a little around it."""

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


def beside(old: str, new: str, cells: int, most: int) -> list[Cell]:
    """The two below `WAS` and `WILL BE`, in lines of so many cells, at most so many of them."""
    lefts, rights = old.splitlines(), new.splitlines()
    side = (cells - len(BETWEEN)) // 2
    lines: list[Cell] = [((fit("WAS", side) + BETWEEN + "WILL BE", "dim"),)]
    if max(len(lefts), len(rights)) > LINES_MAX:
        return [*lines, (f"more than {LINES_MAX:,} lines are not compared", "dim")]
    found = list(_rows(lefts, rights))
    for left, right in found[:most]:
        is_same = left == right
        lines.append(
            (
                (fit(safe(left or ""), side), "dim" if is_same else "failed"),
                (BETWEEN, "dim"),
                (fit(safe(right or ""), side), "dim" if is_same else "good"),
            )
        )
    if len(found) > most:
        lines.append((f"… and {len(found) - most:,} lines more", "dim"))
    return lines


def _rows(lefts: list[str], rights: list[str]) -> Iterator[Row]:
    matcher = SequenceMatcher(None, lefts, rights, autojunk=False)
    for group in matcher.get_grouped_opcodes(AROUND):
        for _, left_from, left_to, right_from, right_to in group:
            yield from zip_longest(lefts[left_from:left_to], rights[right_from:right_to])
