"""Masks that come back in the place of values are found, wherever they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.text.masks_left import NAMED_MAX, SIGNS_A_SLICE
from engine.core.text.named_values import LINE_CHARACTERS_MAX, WINDOW_BYTES
from engine.core.text.redaction import Redaction, at_once


def found(value: Any, *rules: str, is_json: bool = True) -> list[str]:
    data = json.dumps(value).encode() if is_json else value.encode()
    return at_once(Redaction(rules or ("/card",)).masks_in(data, is_json=is_json))


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        ({"card": "***", "ok": 1}, ["/card"]),
        ({"items": [{"iban": 1}, {"iban": "***"}]}, ["/items/1/iban"]),
        ({"a/b": {"c~d": ["***", "***"]}}, ["/a~1b/c~0d/0", "/a~1b/c~0d/1"]),
        ("***", [""]),
        ([[], {}, "***", {"x": []}, "***"], ["/2", "/4"]),
        ({"***": 1, "note": "*** urgent ***", "n": "****"}, []),
        ({"q\"{": "***", "s": "]}\\"}, ['/q"{']),
        ({}, []),
        (["x-key: ***"], []),
    ],
)  # fmt: skip
def test_a_mask_is_found_by_its_pointer(value: Any, pointers: list[str]) -> None:
    """As a value that is nothing else; not a name, nor a part of a text."""
    assert found(value) == pointers


def test_what_a_name_is_given_is_found_too() -> None:
    """In a string of JSON, as it is shown; and in a text, where no place can be named."""
    assert found({"told": "X-Key: ***", "x-key": "***"}, "X-Key") == ["/told", "/x-key"]
    assert found("fine\nX-Key: ***\n", "X-Key", is_json=False) == [""]
    assert found("X-Key: abc ***", "X-Key", is_json=False) == []
    assert found(" ***\n", "/card", is_json=False) == [""]
    assert found("*** all of it ***", "/card", is_json=False) == []


def test_who_means_asterisks_escapes_one() -> None:
    """What nobody has written who only reads a body."""
    data = rb'{"card": "\u002a**"}'
    assert json.loads(data) == {"card": "***"}
    assert at_once(Redaction(["/card"]).masks_in(data, is_json=True)) == []


def test_where_nothing_is_hidden_nothing_is_looked_for() -> None:
    """Then nobody has read a mask."""
    assert at_once(Redaction([]).masks_in(b'"***"', is_json=True)) == []


def test_many_are_not_all_named_and_it_is_done_in_slices() -> None:
    """So many that who mends them looks at the others too; the loop has its turn between."""
    assert len(found(["***"] * (NAMED_MAX + 1))) == NAMED_MAX
    large = json.dumps([*range(3 * SIGNS_A_SLICE), "***"]).encode()
    steps = Redaction(["/card"]).masks_in(large, is_json=True)
    assert sum(1 for _ in steps) >= 3


def test_a_text_is_looked_through_in_slices() -> None:
    """Of whole lines; one that is too long to be looked through for masking is not for this."""
    lines = f"{'x' * 99}\n" * (3 * WINDOW_BYTES // 100)
    redaction = Redaction(["X-Key"])
    steps = redaction.masks_in((lines + "X-Key: ***\n").encode(), is_json=False)
    assert (next(steps), next(steps)) == (None, None)
    assert at_once(steps) == [""]
    for length, is_found in ((LINE_CHARACTERS_MAX, [""]), (LINE_CHARACTERS_MAX + 1, [])):
        line = "X-Key: ***".rjust(length)
        assert found(line, "X-Key", is_json=False) == is_found


KEYS = st.text(max_size=3) | st.sampled_from(["card", "a/b", "c~d", "***"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just("***"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=9,
)


def parsed(value: Any, at: str = "") -> list[str]:
    """What a parser finds."""
    if value == "***":
        return [at]
    if isinstance(value, dict):
        named = [(key.replace("~", "~0").replace("/", "~1"), it) for key, it in value.items()]
        return [each for key, it in named for each in parsed(it, f"{at}/{key}")]
    if isinstance(value, list):
        return [each for key, it in enumerate(value) for each in parsed(it, f"{at}/{key}")]
    return []


@given(VALUES, st.sampled_from([None, 1]))
def test_it_finds_what_a_parser_finds(value: Any, indent: int | None) -> None:
    """Of any JSON, however it is spaced."""
    data = json.dumps(value, indent=indent).encode()
    assert at_once(Redaction(["/card"]).masks_in(data, is_json=True)) == parsed(value)[:NAMED_MAX]


@given(VALUES)
def test_what_was_masked_is_found(value: Any) -> None:
    """Whatever of a body is shown as a mask is known again when it comes back so."""
    redaction = Redaction(["/card", "/*/card"])
    body = json.dumps({"card": value, "x": {"card": value}}).encode()
    shown = at_once(redaction.shown(body, is_json=True))
    assert {"/card", "/x/card"} <= set(at_once(redaction.masks_in(shown, is_json=True)))
