"""How text is fitted into the cells there are."""

from __future__ import annotations

import pytest

from tui.widgets.grid import fit_parts


@pytest.mark.parametrize(
    ("cells", "told"),
    [(8, "abc def "), (7, "abc def"), (6, "abc d…"), (4, "abc…"), (3, "ab…"), (1, "…")],
)
def test_what_is_cut_says_so(cells: int, told: str) -> None:
    """A line of several parts ends with `…` wherever it is cut, also between two of them."""
    parts = fit_parts((("abc", "plain"), (" ", "dim"), ("def", "strong")), cells)
    assert "".join(text for text, _ in parts) == told


def test_a_wide_character_that_is_cut() -> None:
    """Half of one is not drawn: a blank takes its place."""
    parts = fit_parts((("a", "plain"), ("注文", "plain")), 4)
    assert "".join(text for text, _ in parts) == "a注…"
    parts = fit_parts((("ab", "plain"), ("注文", "plain")), 4)
    assert "".join(text for text, _ in parts) == "ab… "
