"""JSON as it is to be read: in colour, with the lines and the characters that its strings have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.support import STEADY
from tui.boards.cells import text_of
from tui.boards.run.json_text import indented, json_lines, string_lines
from tui.text.sanitize import safe, width

TRACE = 'Traceback:\n  File "x.py", line 3\nValueError: no'


def told(document: Any, cells: int = 60) -> list[str]:
    return [text_of(line) for line in json_lines(json.dumps(document), cells)]


def test_each_kind_has_its_style() -> None:
    """Names, strings, numbers and words; what only holds them together is dim."""
    lines = list(json_lines('{"a": "b", "n": [1.50, null]}', 60))
    assert lines[1] == (
        ("  ", "plain"), ('"a"', "json-name"), (": ", "dim"), ('"b"', "json-string"), (",", "dim"),
    )  # fmt: skip
    assert lines[3] == (("    ", "plain"), ("1.50", "json-number"), (",", "dim"))
    assert lines[4] == (("    ", "plain"), ("null", "json-word"))


def test_a_string_with_line_ends_has_lines() -> None:
    """Below each other, indented to where it began: what an operator reads most."""
    assert told({"trace": TRACE, "x": 1}) == [
        "{",
        '  "trace": "Traceback:',
        '              File "x.py", line 3',
        '            ValueError: no",',
        '  "x": 1',
        "}",
    ]


def test_a_line_end_at_its_end_alone_is_no_line() -> None:
    """Programs end their output so."""
    assert told(["done\n"]) == ["[", '  "done\\n"', "]"]


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ('"\\u65e5\\u672c\\u8a9e"', '"日本語"'),
        ('"a\\/b"', '"a/b"'),
        ('"\\u0041\\u001b[31m"', '"A\\u001b[31m"'),
        ('"\\u202egnol"', '"\\u202egnol"'),
        ('"\\ud83d"', '"\\ud83d"'),
        ('"\\ud83d\\ude00"', '"😀"'),
        ('"\\u0022 \\u005c"', '"\\" \\\\"'),
        ('"\\\\u0041"', '"\\\\u0041"'),
        ('"\\u00e9 cut', '"\\u00e9 cut'),
    ],
)
def test_an_escape_is_the_character_if_it_can_only_be_printed(token: str, shown: str) -> None:
    """What `sanitize` refuses stays escaped, and what ends a string too."""
    assert string_lines(token) == [shown]
    assert safe(shown) == shown


def test_no_line_of_a_string_is_obeyed() -> None:
    """Controls in a string of many lines stay escapes."""
    lines = string_lines(json.dumps("a\n\x1b]0;pwned\x07\tb\r\n\u202ec"))
    assert lines == ['"a', "\\u001b]0;pwned\\u0007  b", '\\u202ec"']


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@STEADY
@given(DOCUMENTS, st.integers(8, 80), st.booleans(), st.integers(0, 200))
def test_any_json_is_shown_in_its_cells(
    document: Any, cells: int, is_ascii: bool, cut: int
) -> None:
    """Wherever it is cut, and harmless; and as a text it is the document still."""
    text = json.dumps(document, ensure_ascii=is_ascii)
    assert json.loads(indented(text)) == document
    for line in json_lines(text[: len(text) - cut] or " ", cells):
        shown = text_of(line)
        assert width(shown) <= cells
        assert safe(shown) == shown
