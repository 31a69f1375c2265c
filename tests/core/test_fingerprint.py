"""Two payloads have one fingerprint exactly if they are one JSON value: type for type."""

from __future__ import annotations

import json
from collections.abc import Generator
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.core.text.fingerprint import fingerprint
from engine.core.text.slices import fingerprint_in_slices

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


@settings(max_examples=300)
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


KNOWN = {
    "0": "5feceb66ffc86f38d952786c6d696c79",
    "1": "6b86b273ff34fce19d6b804eff5a3f57",
    "100": "ad57366865126e55649ecb23ae1d4888",
    "1e20": "c84d2746ff82882dece808df5db17ab5",
    "123456789012345678901": "cad8119ea3e0db22016053ef65663e00",
    "-1.5e3": "801736832ad609b28826544181c9f890",
    "0.1": "d6e27d86024e71e97ea836ca0592526e",
    "1e-400": "d42d88695a3f56ff2ce7799a2f261ccb",
    '{"b":[1e2,-0.50],"a":"\\ud83d"}': "6e2173d229a99e6c305b370e38696925",
    "120e-22": "264917e3b1c2e74fb8ffcbf924c91589",
    "12345678901234567890123e-3": "d7137fd85af2d229dd3716aca6f680b1",
    "1" * 4_300: "54d49959995bfa0241adaf5cb9801abd",
    "0." + "1" * 5_000: "5f99984c60eb1f92363ab96b761fd25b",
}
"""The first half of fingerprints as files hold them."""
NINES = "9" * 5_000
"""More digits than the interpreter makes a number of."""
MILLION = "9" * 1_000_001
"""An exponent of more digits than `decimal` takes unless it is told to."""
ONE_NUMBER = [
    [NINES, f"{NINES}.0", f"{NINES}e0", f"{NINES}0E-1", f"0.{NINES}e5000", f"{NINES[1:]}.90e+1"],
    [f"-{NINES}", f"-{NINES}.000", f"-0.{NINES}e5000"],
    [f"1e{NINES}", f"10e{NINES[:-1]}8", f"0.1e1{'0' * 5_000}", f"1.0E+00{NINES}"],
    [f"1e-{NINES}", f"10e-1{'0' * 5_000}", f"0.1e-{NINES[:-1]}8"],
    [f"1e{MILLION}", f"0.1e1{'0' * len(MILLION)}"],
    [f"1e-{MILLION}", f"0.1e-{MILLION[:-1]}8"],
    ["1e5", f"1e{'0' * 5_000}5", f"1{'0' * 5_000}e-4995", "100000"],
    ["0", f"0e{NINES}", f"-0.{'0' * 5_000}", f"0e-{NINES}"],
    [f"0.{'0' * 5_000}1", "1e-5001"],
    [f'"{NINES}"', f'"\\u0039{NINES[1:]}"'],
    [f'["\\"", "{NINES}", {NINES}]', f'["\\u0022","{NINES}",{NINES}.0]'],
    [f'{{"{NINES}":-{NINES},"a":[{NINES},{NINES}]}}',
     f'{{"a":[{NINES},{NINES}e0],"{NINES}":-{NINES}}}'],
]  # fmt: skip
"""Spellings of one value each, with numbers of any length."""


def in_slices(text: str) -> bytes:
    """The fingerprint as a large payload's is made."""

    def work() -> Generator[None, None, None]:
        found.append((yield from fingerprint_in_slices(text.encode(), 63)))

    found: list[bytes] = []
    for _ in work():
        pass
    return found[0]


@pytest.mark.parametrize("payload", KNOWN, ids=lambda payload: payload[:20])
def test_fingerprints_of_old_files_hold(payload: str) -> None:
    """A payload that is posted again is the one recorded, by whichever version."""
    assert fingerprint(payload.encode()).hex().startswith(KNOWN[payload])


def test_numbers_of_any_length_have_one_fingerprint_for_each_value() -> None:
    """JSON knows no limit of digits: such a payload is taken, and equal to its other spellings."""
    marks = [{fingerprint(text.encode()) for text in texts} for texts in ONE_NUMBER]

    assert [len(each) for each in marks] == [1] * len(ONE_NUMBER)
    assert len(set.union(*marks)) == len(ONE_NUMBER)
    for texts in ONE_NUMBER:
        for text in texts:
            assert in_slices(text) == fingerprint(text.encode())


@pytest.mark.parametrize(
    "text", [f"0{NINES}", f"-{NINES}.", f"{NINES} {NINES}", f"[{NINES}", f"+{NINES}"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    """However long it is."""
    with pytest.raises(msgspec.DecodeError):
        fingerprint(text.encode())
