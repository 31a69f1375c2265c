"""Secrets do not come out of a body, whatever it looks like."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.client import BodyPart
from tests.tui.support import STEADY
from tui.boards.cells import text_of
from tui.boards.run.bodies import BodyLook, ShownBody, lines_of
from tui.text.redact import MASK, NAMES, Redactor, plain_name

SECRET = "Zx9-s3cr3t-Qk7"
OFFSET = re.compile("[0-9a-f]{8}  ")
TEXTS = st.text(st.sampled_from("ab\"'\\{}[]:,&= \n/é\u2028日token"), max_size=12)
NAME = st.sampled_from(sorted(NAMES)).flatmap(
    lambda name: st.sampled_from([name, name.upper(), name.title(), name.replace("_", "")])
)


def redacted(text: str, kind: str = "application/json") -> str:
    """A body without its secrets."""
    return Redactor().body(text.encode(), kind)[0].decode()


def secrets() -> st.SearchStrategy[Any]:
    """A secret as a value of any kind."""
    text = TEXTS.map(lambda around: f"{around}{SECRET}{around}")
    return st.recursive(
        text,
        lambda of: st.tuples(of).map(list) | st.tuples(TEXTS, of).map(lambda drawn: dict([drawn])),
        max_leaves=2,
    )


def around(secret: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A document with such a member somewhere in it, with other members around."""
    other = st.none() | st.integers() | st.booleans() | TEXTS
    member = st.tuples(NAME, secret, TEXTS, other, TEXTS, other).map(
        lambda drawn: {drawn[2]: drawn[3]} | {drawn[0]: drawn[1]} | {f":{drawn[4]}": drawn[5]}
    )
    return st.recursive(
        member,
        lambda of: (
            st.tuples(other, of, other).map(list)
            | st.tuples(TEXTS, of, TEXTS, other).map(lambda d: {f"x{d[2]}": d[3], f"y{d[0]}": d[1]})
            | of.map(lambda inner: {"body": json.dumps(inner)})
        ),
        max_leaves=3,
    )


@STEADY
@given(around(secrets()), st.booleans(), st.sampled_from([None, 1]), st.integers(0, 400))
def test_a_secret_is_in_no_view(document: Any, ascii_only: bool, indent: Any, cut: int) -> None:
    """However deep it lies, also in JSON that is a string of JSON, whole or cut anywhere: neither
    as it is, nor pretty, nor as hex."""
    whole = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
    for data in (whole, whole[: max(0, len(whole) - cut)]):
        part = BodyPart(data, "application/json", len(whole), len(whole))
        clean = Redactor().body(data)[0]
        assert SECRET.encode() not in clean
        for look in (BodyLook.PRETTY, BodyLook.RAW, BodyLook.HEX):
            lines = [text_of(line) for line in lines_of(ShownBody.of(part, Redactor()), look, 60)]
            assert SECRET not in "".join(lines)
            if look is BodyLook.HEX:
                columns = [line[10:57].partition("  ")[0] for line in lines if OFFSET.match(line)]
                assert SECRET.encode() not in bytes.fromhex("".join(columns))


@STEADY
@given(around(st.just("x")))
def test_what_was_json_is_json(document: Any) -> None:
    """A whole document stays one, with the mask in place of values and nothing else changed."""
    found = json.loads(redacted(json.dumps(document)))
    assert type(found) is type(document)


@STEADY
@given(st.recursive(TEXTS | st.integers(), lambda of: st.lists(of) | st.dictionaries(TEXTS, of)))
def test_what_has_no_such_name_stays(document: Any) -> None:
    """Byte for byte, also where names and values resemble one; without names everything does."""
    data = json.dumps(document).encode()
    assert Redactor(("cvv",)).body(data) == (data, 0)
    assert Redactor(()).body(data) == (data, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"password": "a", "b": 1}', '{"password": "••••", "b": 1}'),
        ('{"a":{"Token":12.5e3},"b":1}', '{"a":{"Token":"••••"},"b":1}'),
        ('{"secret":{"a":["}",{}]},"b":[1]}', '{"secret":"••••","b":[1]}'),
        ('{"apiKey":true,"API-KEY":null}', '{"apiKey":"••••","API-KEY":null}'),
        (r'{"p\u0061ssword":"x"}', r'{"p\u0061ssword":"••••"}'),
        (r'{"token":"a\"b\\","b":2}', '{"token":"••••","b":2}'),
        (r'"{\"cvv\":\"1\\\"2\",\"b\":2}"', r'"{\"cvv\":\"••••\",\"b\":2}"'),
        (r'["{\"cvv\":123}",4]', r'["{\"cvv\":\"••••\"}",4]'),
        (r'["{\"cvv\":{\"a\":1}}",4]', r'["{\"cvv\":\"••••\"",4]'),
        ('{"cookie": "abc', '{"cookie": "••••"'),
        ('{"cookie": {"a": "abc', '{"cookie": "••••"'),
        ('{"cookie', '{"cookie'),
        ('oops " {"password": "x"} {', 'oops " {"password": "••••"} {'),
        ("{'password': 'x', 'b': 1}", "{'password': '••••', 'b': 1}"),
        ('{"the token": "x", "tokens": 3}', '{"the token": "x", "tokens": 3}'),
        ('["password", "token"]', '["password", "token"]'),
        ('{"at": "http://a/?q=1&token=x#y"}', '{"at": "http://a/?q=1&token=••••"}'),
        (r'{"at": "http://a/?q=1\u0026token=x"}', r'{"at": "http://a/?q=1\u0026token=••••"}'),
    ],
)
def test_secret_values_are_replaced(text: str, told: str) -> None:
    """By their name alone, in JSON and in what is nearly JSON."""
    assert redacted(text) == told


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("a=1&password=x y'z&b=2", "a=1&password=••••&b=2"),
        ("user%5Bpassword%5D=x&b=2", "user%5Bpassword%5D=••••&b=2"),
        ("pass%77ord=x", "pass%77ord=••••"),
        ("token=&a=token", "token=&a=token"),
    ],
)
def test_members_of_forms_are_replaced(form: str, told: str) -> None:
    """Members of forms, whose names may be escaped or in brackets."""
    assert redacted(form, "application/x-www-form-urlencoded") == told


def test_bytes_that_are_no_text_stay() -> None:
    """All but the secret among them."""
    data = b'\xff\x00{"token": "\xfe!"}\x80'
    clean, replaced = Redactor().body(data)
    assert (clean, replaced) == (b'\xff\x00{"token": "' + MASK.encode() + b'"}\x80', 1)


def test_names_are_compared_loosely() -> None:
    """Case, dashes and underscores do not count; further names can be given."""
    assert plain_name("Set-Cookie") == plain_name("set_cookie") == plain_name("setCookie")
    assert Redactor((*NAMES, "IBAN")).body(b'{"iban": "x"}')[1] == 1
