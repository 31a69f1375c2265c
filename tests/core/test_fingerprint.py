"""Two payloads have one fingerprint exactly if they are one JSON value: type for type."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.core.fingerprint import fingerprint

LOOK_ALIKE = (
    "0", "-0", "0.0", "false", "null", '""', "[]", "{}", '"0"', '"false"', '"null"', "[0]",
    "1", "1.0", "10e-1", "true", '"1"', '"true"', "[1]", "[true]", '{"1":1}', '{"a":null}',
    "-1", "1e1", "10", "0.1", "1E-1", "12", "[1,2]", "[12]", '["1,2"]', "[[1],2]", '"[]"',
)  # fmt: skip
"""Values that a careless reader takes for each other, and spellings of one number."""


def meaning(value: Any) -> Any:
    """What a decoded JSON value is, comparable: a number is never a truth value or a text."""
    match value:
        case None:
            return ("null",)
        case bool():
            return ("boolean", value)
        case int() | Fraction():
            return ("number", Fraction(value))
        case str():
            return ("string", value)
        case list():
            return ("array", tuple(map(meaning, value)))
        case dict():
            return ("object", frozenset((name, meaning(item)) for name, item in value.items()))
        case _:
            raise AssertionError(value)


def meaning_of(text: str) -> Any:
    """The same of a text, read by another reader than the engine's."""
    return meaning(json.loads(text, parse_float=Fraction))


SPELLINGS = {
    one: [other for other in LOOK_ALIKE if meaning_of(other) == meaning_of(one)]
    for one in LOOK_ALIKE
}
"""Each value's own."""


@st.composite
def two_alike(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts that differ in one place at most: there each has a value of LOOK_ALIKE."""
    one = draw(st.sampled_from(LOOK_ALIKE))
    other = draw(st.sampled_from(SPELLINGS[one] if draw(st.booleans()) else LOOK_ALIKE))
    for _ in range(draw(st.integers(0, 3))):
        beside = draw(st.sampled_from(LOOK_ALIKE))
        form = draw(st.sampled_from(("[%s]", "[%s,%s]", '{"a":%s}', '{"b":%s,"a":%s}')))
        more = (beside,) * (form.count("%s") - 1)
        one, other = form % (one, *more), form % (other, *more)
    return one, other


@settings(max_examples=300, derandomize=True)
@given(two_alike())
@example(("1", "true"))
@example(('{"paid":0}', '{"paid":false}'))
def test_one_fingerprint_exactly_for_one_value(texts: tuple[str, str]) -> None:
    """Neither are two values taken for one, whatever their types, nor one for two."""
    one, other = texts

    same = fingerprint(one.encode()) == fingerprint(other.encode())

    assert same is (meaning_of(one) == meaning_of(other))


@pytest.mark.parametrize("one", LOOK_ALIKE)
def test_look_alikes_are_told_apart(one: str) -> None:
    """Each value against each other."""
    marks = {other: fingerprint(other.encode()) for other in LOOK_ALIKE}

    alike = {other for other in LOOK_ALIKE if meaning_of(other) == meaning_of(one)}

    assert {other for other in LOOK_ALIKE if marks[other] == marks[one]} == alike
