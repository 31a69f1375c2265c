"""Payloads or answers of two runs beside each other: which lines differ."""

from __future__ import annotations

from tui.boards.cells import Cell
from tui.boards.run.beside import BETWEEN, LINES_MAX, below, beside
from tui.boards.run.bodies import ShownBody, beginning, plain_lines, told_of

BESIDE_FROM_CELLS = 100
"""In fewer they stand below each other."""
SIGN_CELLS = 2
"""Before a line that stands above another."""
Found = ShownBody | str
"""A body, or why there is none."""


def body_lines(left: Found, right: Found, names: tuple[str, str], cells: int) -> list[Cell]:
    """What differs between two bodies, which are of these runs, in lines of so many cells."""
    lines: list[Cell] = [
        (f"{sign} {name}: {it}", "plain")
        if isinstance(it, str)
        else (f"{sign} {name}: {told_of(it)}", "dim")
        for sign, name, it in (("-", names[0], left), ("+", names[1], right))
    ]
    lines.append(("", "plain"))
    if isinstance(left, str) or isinstance(right, str):
        only = right if isinstance(left, str) else left
        return lines if isinstance(only, str) else [*lines, *beginning(only, cells, LINES_MAX)]
    if left.data == right.data:
        return [*lines, (_same(left, right), "good"), *beginning(right, cells, LINES_MAX)]
    is_wide = cells >= BESIDE_FROM_CELLS
    side = (cells - len(BETWEEN)) // 2 if is_wide else cells - SIGN_CELLS
    old, new = ("\n".join(plain_lines(it, side)) for it in (left, right))
    if old == new:
        return [*lines, (f"{_same(left, right)}, but for white space", "good")]
    return lines + (beside(old, new, cells, LINES_MAX, names) if is_wide
                    else below(old, new, LINES_MAX))  # fmt: skip


def _same(left: ShownBody, right: ShownBody) -> str:
    return "the same" if left.is_whole and right.is_whole else "the same, what was read of it"
