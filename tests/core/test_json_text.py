"""JSON by the grammar of RFC 8259, also where the decoder is narrower."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.text.fingerprint import fingerprint
from engine.core.text.json_text import StandIns, declares_json, json_fault, nesting

FAULTS: dict[bytes, int] = {
    b"NaN": 0,
    b'{"a": NaN}': 6,
    b"[1, Infinity]": 4,
    b"-Infinity": 1,
    b"{} {}": 3,
    b"1\n2": 2,
    b" \n": 2,
    b"\xef\xbb\xbf{}": 0,
    b"\xff\xfe1\x00": 0,
    b"1\x00": 1,
    b"01": 1,
    b"1.": 2,
    b"[1,]": 3,
    b"{'a':1}": 1,
    b"// a\n1": 0,
    b'"a\nb"': 2,
    b'"\\x"': 2,
    rb'"\ud8"': 5,
    rb'"\uzzzz"': 3,
    rb'{"\ud83d": NaN}': 11,
    rb'"\ud83d': 7,
    b'{"a":': 5,
    b"": 0,
}


@pytest.mark.parametrize("text", FAULTS)
def test_where_a_text_ceases_to_be_json(text: bytes) -> None:
    """The byte is the first that no JSON goes on with, or the end."""
    assert (json_fault(text) or "").startswith(f"not JSON at byte {FAULTS[text]} (")


WHOLE = [
    b"null", b" 1\n", b"1e400", b"9" * 5_000, b'"\x7f"', b"[" * 500 + b"]" * 500,
    rb'"\ud83d"', rb'"\ude00\ud83d"', rb'"\ud83d\ude00\ude00"', rb'{"\uD83d":"\\\udfff"}',
]  # fmt: skip


@pytest.mark.parametrize("text", WHOLE)
def test_what_is_json(text: bytes) -> None:
    """Numbers of any size, and halves of characters wherever a string may stand."""
    assert json_fault(text) is None


def test_nesting_beyond_the_stack_is_said() -> None:
    """No crash, and no word about a byte that is not at fault."""
    assert json_fault(b"[" * 100_000 + b"]" * 100_000) == "JSON nested too deep to be read"


def test_the_grammar_is_that_of_another_reader() -> None:
    """Texts changed at random are JSON to both or to neither, and hold as many lone surrogates."""
    chance = random.Random(1)
    seeds = [
        rb'{"a":[1,2.5e-3,true,null,"x\ud83d\n\\"],"b":{"c":"\ud83d\ude00"}}',
        rb'["\\ud83d\ude00\ude00", -0.0, "\ud83d\ud83d"]',
    ]
    pieces = [b'"', b"\\", rb"\u", rb"\ud800", rb"\udc00", b",", b"1", b" ", b"}"]
    found = 0
    for _ in range(5_000):
        text = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(text))
            text[at : at + chance.randrange(2)] = chance.choice([b"", *pieces])
        value = _read_by_python(bytes(text))
        assert (json_fault(bytes(text)) is None) == (value is not None), text
        if value is not None:
            found += 1
            assert StandIns(bytes(text)).found == _halves(value), text
    assert found > 1_000


def _read_by_python(text: bytes) -> object:
    try:
        return json.loads(text, object_pairs_hook=list, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return None


def _halves(value: object) -> int:
    if isinstance(value, str):
        return sum(0xD800 <= ord(character) <= 0xDFFF for character in value)
    return sum(map(_halves, value)) if isinstance(value, list | tuple) else 0


@pytest.mark.parametrize(
    ("content_type", "says_json"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json;x=y", True),
        ("application/vnd.a.b+JSON ", True),
        ("text/json", False),
        ("application/jsonl", False),
        ("application/x-ndjson", False),
        ("text/plain; application/json", False),
        ("", False),
    ],
)
def test_which_types_say_json(content_type: str, says_json: bool) -> None:
    """application/json and the suffix +json (RFC 6839), whatever the parameters."""
    assert declares_json(content_type) is says_json


def test_stand_ins_give_back_what_stood_there() -> None:
    """A part that was decoded is found as it came; what is told of it has its spelling."""
    text = rb'{"a":"\ud83d\\","b":["\uDE00" , "x"]}'
    stand_ins = StandIns(text)
    assert (stand_ins.found, len(stand_ins.text)) == (2, len(text))
    decoded = json.loads(stand_ins.text)
    assert stand_ins.spelled(decoded["b"][0]) == r"\uDE00"
    begin = stand_ins.text.index(b"[")
    assert stand_ins.original(stand_ins.text[begin:-1]) == rb'["\uDE00" , "x"]'


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (rb'"\ud83d"', rb' "\uD83D" ', True),
        (rb'{"a\udc00":1,"b":2}', rb'{"b":2.0,"a\uDC00":10e-1}', True),
        (rb'"\ud83d"', rb'"\\ud83d"', False),
        (rb'"\ud83d"', rb'"\ud83e"', False),
        (rb'"\ud83d"', rb'"\ufffd"', False),
        (rb'"\ud83d"', rb'"\ud83d\ud83d"', False),
        (rb'"\ud83d\ude00"', rb'"\ude00\ud83d"', False),
        (rb'"\udbff\udfffd83d\ud83d"', rb'"\ud83d\ud83d"', False),
        (rb'"\udbff\udfff\ud83d"', '"\U0010ffff\\uD83d"'.encode(), True),
        (rb'["\ud83d",1]', rb'["\ud83d",true]', False),
    ],
)
def test_fingerprints_of_lone_surrogates(one: bytes, other: bytes, same: bool) -> None:
    """Payloads differ where their values do, and not where only their spelling does."""
    assert (fingerprint(one) == fingerprint(other)) is same


@given(
    st.recursive(
        st.sampled_from([1, "", 'a"[', "\\{", "]"]),
        lambda it: st.lists(it, max_size=4) | st.dictionaries(st.text(max_size=2), it, max_size=4),
        max_leaves=40,
    ),
    st.integers(0, 8),
)
def test_nesting_is_counted_to_the_limit_and_one_beyond(value: Any, at_most: int) -> None:
    """Brackets in strings are none."""

    def depth(it: Any) -> int:
        if isinstance(it, dict):
            it = list(it.values())
        return 1 + max(map(depth, it), default=0) if isinstance(it, list) else 0

    assert nesting(json.dumps(value).encode(), at_most) == min(depth(value), at_most + 1)


def test_what_does_not_stand_in_the_text_is_as_it_is() -> None:
    """A default, such as the `null` of a payload that was left out."""
    stand_ins = StandIns(rb'{"stepName": "a\ud83d"}')
    assert stand_ins.original(b"null") == b"null"
    assert stand_ins.with_halves(json.loads(stand_ins.text)["stepName"]) == "a\ud83d"
