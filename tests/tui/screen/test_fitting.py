"""How text is fitted into the cells there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.boards.cells import Piece
from tui.screen.widgets.bar import fit_pieces
from tui.screen.widgets.grid import fit_parts
from tui.text.sanitize import width, wrap


@given(st.text("ab 注e\u0301", max_size=60), st.integers(2, 20), st.integers(0, 4))
def test_wrapped_lines_fit(text: str, cells: int, most: int) -> None:
    """No line is too long, none too many, and nothing but blanks is lost unless `…` says so."""
    lines = wrap(text, cells, most)
    assert all(width(line) <= cells for line in lines)
    assert not most or len(lines) <= most
    if not lines[-1].endswith("…"):
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("cells", "told"),
    [(8, "abc def "), (7, "abc def"), (6, "abc d…"), (4, "abc…"), (3, "ab…"), (1, "…")],
)
def test_what_is_cut_says_so(cells: int, told: str) -> None:
    """A line of several parts ends with `…` wherever it is cut, also between two of them."""
    parts = fit_parts((("abc", "plain"), (" ", "dim"), ("def", "strong")), cells)
    assert "".join(text for text, _ in parts) == told


@pytest.mark.parametrize(
    ("cells", "told"),
    [(12, " Runs  Jobs "), (11, " Runs  Jobs"), (10, " Runs  Jo…"), (7, " Runs …"), (6, " Runs…"),
     (1, "…"), (0, "")],
)  # fmt: skip
def test_a_bar_that_is_cut_says_so(cells: int, told: str) -> None:
    """Also between two of its pieces; a blank at its end is no loss."""
    pieces = fit_pieces((Piece(" Runs "), Piece(" Jobs ")), cells)
    assert "".join(piece.text for piece in pieces) == told
    more = fit_pieces((Piece(" Runs "), Piece(" Jobs ")), cells + 20)
    assert "".join(piece.text for piece in more) == " Runs  Jobs ".ljust(cells + 20)


def test_a_wide_character_that_is_cut() -> None:
    """Half of one is not drawn: a blank takes its place."""
    parts = fit_parts((("a", "plain"), ("注文", "plain")), 4)
    assert "".join(text for text, _ in parts) == "a注…"
    parts = fit_parts((("ab", "plain"), ("注文", "plain")), 4)
    assert "".join(text for text, _ in parts) == "ab… "


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("http://10.0.0.7/steps/charge", ["http://10.0.0.7/", "steps/charge"]),
        ("was 12 of http://10.0.0.7/ab", ["was 12 of", "http://10.0.0.7/ab"]),
        ("http://10.0.0.7?a=1&b=2", ["http://10.0.0.7?a=1&", "b=2"]),
        ("0123456789012345678901", ["01234567890123456789", "01"]),
    ],
)
def test_a_url_is_broken_where_its_parts_meet(text: str, lines: list[str]) -> None:
    """A name that ends on the next line is not read as one."""
    assert wrap(text, 20) == lines
