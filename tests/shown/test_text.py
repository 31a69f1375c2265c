"""What is made safe, and how it is spelled: one rule for lines and for columns."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.shown.text import MARKS_MAX, UNSEEN, ascii_only, printable, safe
from tests.tui.support import STEADY

NEVER = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
PILE = "e" + "\u0301" * MARKS_MAX
anything = st.text(st.characters(), max_size=80)  # surrogates too


@settings(STEADY, max_examples=300)
@given(anything, st.booleans())
def test_any_text_becomes_one_harmless_line(text: str, exact: bool) -> None:
    """Nothing that a terminal obeys, hides or turns round is left; and twice safe is safe."""
    shown = safe(text, exact=exact)
    assert not {unicodedata.category(c) for c in shown} & NEVER
    assert shown.isprintable()
    assert exact or len(shown) <= len(text)
    assert safe(shown, exact=exact) == shown
    shown.encode()


@STEADY
@given(anything)
def test_both_spellings_refuse_the_same(text: str) -> None:
    """What one shows as it is, the other does: they differ in the sign alone."""
    for end in range(1, len(text) + 1):
        part = text[:end]
        assert (safe(part, exact=True) == part) is (safe(part, exact=False) == part)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("\x1b[31m", "\\u001b[31m", "␛[31m"),
        ("a\nb\tc\x00\x7f", "a\\nb\\tc\\u0000\\u007f", "a␊b␉c␀␡"),
        ("\x9b1m\u202ea", "\\u009b1m\\u202ea", f"{UNSEEN}1m{UNSEEN}a"),
        ("b\u200b\u2028", "b\\u200b\\u2028", f"b{UNSEEN * 2}"),
        ("a\u00a0b\u3000", "a\\u00a0b\\u3000", "a b "),
        ("❤\ufe0f👍🏽", "❤\\ufe0f👍\\ud83c\\udffd", f"❤{UNSEEN}👍{UNSEEN}"),
        (f"{PILE}\u0301\u0301f", f"{PILE}\\u0301\\u0301f", f"{PILE}f"),
        ("é 日本 क्षि", "é 日本 क्षि", "é 日本 क्षि"),
    ],
)
def test_lines_say_which_character_it_was_columns_keep_to_their_cells(
    text: str, line: str, column: str
) -> None:
    """A column has a cell for it, and no room to say more."""
    assert (safe(text, exact=True), safe(text, exact=False)) == (line, column)


def test_what_is_for_programs_is_escaped_only_where_it_does_not_print() -> None:
    """Of JSON the values stay as they are."""
    assert printable("❤\ufe0f \x1b é") == "❤\ufe0f \\u001b é"
    assert ascii_only("❤ é x") == "\\u2764 \\u00e9 x"
