"""A large payload has the fingerprint that it has in one go, and is read in small pieces."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.text import slices
from engine.core.text.fingerprint import fingerprint
from engine.core.text.slices import fingerprint_in_slices

T = TypeVar("T")
DEPTH_MAX = 63
SPACE = st.sampled_from(["", "", "", " ", "\n", "\t \r"])
NUMBERS = st.sampled_from(
    [
        "0",
        "-0",
        "1",
        "1.0",
        "10e-1",
        "1e19",
        "-1.5E+3",
        "1e400",
        "0.0e9",
        "18446744073709551616",
        "123456789012345678901",
    ]
)
CHARACTERS = st.sampled_from(
    ["a", "é", '"', "\\", "/", ",", "[", "}", ":", "\x01", "\U0010ffff", "\ud83d", "\udc00", "😀"]
)
STRINGS = st.lists(CHARACTERS, max_size=6).map("".join)


@st.composite
def spelled_string(draw: st.DrawFn) -> str:
    """A string as one may write it: escaped where it need not be, or where it must."""
    text = draw(STRINGS)
    if draw(st.booleans()) or any("\ud800" <= c <= "\udfff" for c in text):
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False)


@st.composite
def spelled(draw: st.DrawFn, depth: int = 4) -> str:
    """JSON with any white space, members twice, and everything that a string may hold."""
    kind = draw(st.sampled_from("nws" if depth == 0 else "nwsaaoo"))
    if kind == "n":
        return draw(NUMBERS)
    if kind == "w":
        return draw(st.sampled_from(["true", "false", "null"]))
    if kind == "s":
        return draw(spelled_string())
    items = draw(st.lists(spelled(depth - 1), max_size=5))
    space = draw(SPACE)
    if kind == "a":
        return f"[{space}" + f"{space},{space}".join(items) + f"{space}]"
    members = [f"{draw(spelled_string())}{space}:{draw(SPACE)}{item}" for item in items]
    return f"{{{space}" + f"{space},".join(members) + f"{space}}}"


def result(steps: Generator[None, None, T]) -> tuple[T, int]:
    """What it returns, and how often it paused."""
    pauses = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1


@pytest.mark.slow
@pytest.mark.parametrize("piece_bytes", [1, 8, 40])
@given(text=spelled())
@example(text='{"a":[1,[2,3]],"b":{},"a":[ ]}')
@example(text='[[],[[]],"\\ud83d",{"\\ud83d":1,"\U0010ffff":2,"\U0010ffffa":3,"x":[1,2,3,4,5,6]}]')
@example(text='{"k\\"":[1,2,3,4,5,6,7,8,9],"z":1}')
def test_it_is_the_same_fingerprint(piece_bytes: int, text: str) -> None:
    """Wherever it is cut, and however it is written: the one that files hold already."""
    payload = text.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "PIECE_BYTES", piece_bytes)
        patch.setattr(slices, "NAMES_A_SLICE", 2)
        patch.setattr(slices, "SYMBOLS_A_SLICE", 1)
        found, _ = result(fingerprint_in_slices(payload, DEPTH_MAX))
    assert found == fingerprint(payload)


def repeated(unit: str, end: str = "1") -> str:
    """An array of some 200 KiB."""
    return "[" + unit * (200_000 // len(unit)) + end + "]"


COSTLY = {
    "numbers": repeated("1.1,"),
    "empty arrays": repeated("[],"),
    "objects": repeated('{"a":1},'),
    "deep": repeated("[" * 60 + "]" * 60 + ","),
    "long integers": repeated("9" * 4_300 + ","),
    "longer integers": repeated("9" * 5_000 + ","),
    "strings": repeated('"",'),
    "escapes": '["' + '\\"' * 100_000 + '"]',
    "names": json.dumps({str(number): 1 for number in range(20_000)}),
    "in one member": json.dumps({"a": {"b": [1.5] * 50_000}}),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_costly_bodies_are_read_in_pieces(kind: str) -> None:
    """No part between two pauses is large: what another's post waits for has a bound."""
    payload = COSTLY[kind].encode()
    found, pauses = result(fingerprint_in_slices(payload, DEPTH_MAX))
    assert found == fingerprint(payload)
    # A string is one piece, which the decoder reads fast; its end is looked for in several.
    assert pauses >= len(payload) / (50_000 if kind == "escapes" else 5_000)


@pytest.mark.parametrize(
    "inside", ["1", '{"a":1}', "[]", '"' + "x" * 5_000 + '"', "1," * 3_000 + "1"]
)
def test_nesting_at_the_limit_and_beyond(inside: str) -> None:
    """Counted while it is read; a small container is one level too."""
    levels = DEPTH_MAX - (inside in ('{"a":1}', "[]"))
    fits = ("[" * levels + inside + "]" * levels).encode()
    assert result(fingerprint_in_slices(fits, DEPTH_MAX))[0] == fingerprint(fits)
    with pytest.raises(RecursionError):
        result(fingerprint_in_slices(b"[" + fits + b"]", DEPTH_MAX))


@pytest.mark.parametrize("where", ["%s", "[%s]", '[%s,"x"]', '{"a":[1,%s]}'])
def test_numbers_that_the_decoder_does_not_make(where: str) -> None:
    """Wherever they lie: what one value is in one go is one value in pieces."""
    padding = json.dumps("x" * 100) + ","
    marks = set()
    for number in ("9" * 5_000, "9" * 5_000 + ".0", "9" * 4_999 + "0.9e1"):
        payload = f"[{padding * 100}{where % number}]".encode()
        marks |= {result(fingerprint_in_slices(payload, DEPTH_MAX))[0], fingerprint(payload)}
    assert len(marks) == 2, "the third is another number"


def test_a_long_number_is_read_in_pieces() -> None:
    """Other work has its turn between what is done with a million digits."""
    for number in ("0." + "1" * 1_000_000, "9" * 1_000_000):
        _, pauses = result(fingerprint_in_slices(number.encode(), DEPTH_MAX))
        assert pauses >= 2
