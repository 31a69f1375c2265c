"""No name, key or parent token may hold or end in a control character, however it comes in."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import pytest

from engine import wire
from engine.core.errors import Refused
from engine.front.api import submit
from engine.front.api.headers import read_headers
from engine.front.server.strict import BadRequest, ServerLimits, read_head
from engine.process.config import HOST_NAME, ConfigError, load

CONTROLS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)])) + "\u2028\u2029\ufeff\u202e\u2066"
FIELDS = ("workflowName", "idempotencyKey", "stepKey", "stepName", "parent", "stepInvokeUrl")
GOOD: dict[str, Any] = {
    "workflowName": "report",
    "stepInvokeUrl": "http://127.0.0.1:9/x",
    "idempotencyKey": "k",
    "stepKey": "s",
    "stepName": "name",
    "parent": "t",
}


def take(members: dict[str, Any], *headers: tuple[bytes, bytes]) -> None:
    """What is looked at before anything is recorded. Raises Refused."""
    submission = submit.decode(json.dumps(members).encode(), 64)
    submit._spec(submission, read_headers(headers))


@pytest.mark.parametrize("field", FIELDS)
def test_no_member_takes_one(field: str) -> None:
    """At either end, in the middle, or alone; the member is named."""
    take(GOOD)
    good = GOOD[field]
    for control in CONTROLS:
        for bad in (good + control, control + good, f"{good[:2]}{control}{good[2:]}", control):
            with pytest.raises(Refused) as caught:
                take(GOOD | {field: bad})
            assert caught.value.members["member"] == field, repr(bad)
            assert field in caught.value.detail or "URL" in caught.value.detail


@pytest.mark.parametrize("name", [b"Idempotency-Key", b"Atomic-Parent", b"Prefer"])
def test_no_header_takes_one(name: bytes) -> None:
    """Of C0 only a tab may stand in a header at all, and at its ends it is no part of it."""
    for code in [*range(0x20), 0x7F]:
        raw = b"GET / HTTP/1.1\r\nHost: a\r\n%b: k%c\r\n\r\n" % (name, code)
        if code == 0x09:
            assert (name.lower(), b"k") in read_head(raw, ServerLimits()).fields
            continue
        with pytest.raises(BadRequest):
            read_head(raw, ServerLimits())


@pytest.mark.parametrize("quoted", [True, False])
def test_the_key_in_a_header_is_what_was_sent(quoted: bool) -> None:
    """What Latin-1 has for white space and line ends (U+0085, U+00A0) is refused, not dropped."""
    for code in (0x09, 0x0A, 0x0D, 0x1C, 0x85, 0xA0):
        for text in (b"k%c" % code, b"%ck" % code, b"k%ck" % code):
            value = b'"%b"' % text if quoted else text
            if not quoted and value.strip(b" \t") == b"k":
                continue
            with pytest.raises(Refused):
                read_headers(((b"idempotency-key", value),))
    assert read_headers(((b"atomic-parent", b"t\xa0"),)).parent == "t\xa0"


@pytest.mark.parametrize("client", ["shop\n", "shop\x00", "\nshop", "a" * 64 + "\n"])
def test_no_client_takes_one(client: str) -> None:
    """The pattern is used for whole names, whoever uses it how."""
    with pytest.raises(Refused):
        submit.check_client(client)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(client, _matching(wire.CLIENT_PATTERN))


@pytest.mark.parametrize("pattern", [wire.CLIENT_PATTERN, wire.PRINTABLE, HOST_NAME])
def test_patterns_end_where_the_text_does(pattern: str) -> None:
    """Python's `$` alone would let a line feed at the end through."""
    assert msgspec.convert("abc", _matching(pattern)) == "abc"
    for text in ("abc\n", "abc\n\n", "\nabc", "abc\r", "a\nc"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, _matching(pattern))


def _matching(pattern: str) -> Any:
    return Annotated[str, msgspec.Meta(pattern=pattern)]


def test_no_host_in_the_settings_takes_one() -> None:
    """A name that no request can have would only be a puzzle."""
    with pytest.raises(ConfigError, match="hosts"):
        load({"hosts": ["engine.example\n"]}, {}, None)


NAMES = [
    "Größe prüfen", "支払い", "شحن الطلب", "می\u200cخواهم", "👩\u200d💻 review", "e\u0301tape",
    "a\u3000b", "a\u00a0b", " ", "~", "n" * 128, "名" * 128,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_step_names_in_any_script(name: str) -> None:
    """Letters, marks, signs and spaces, and the joiners that some scripts are written with."""
    take(GOOD | {"stepName": name})


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\u202eb", "character 2 is U+202E"),
        ("\u200b", "character 1 is U+200B"),
        ("ab\ufeff", "character 3 is U+FEFF"),
        ("\ue000", "character 1 is U+E000"),
        ("a\nb", "character 2 is U+000A"),
        ("\U000e0041", "character 1 is U+E0041"),
        ("名" * 129, "length <= 128"),
        ("", "length >= 1"),
    ],
)
def test_step_names_that_are_refused(name: str, shown: str) -> None:
    """What cannot be seen, or turns round what can; the place is told."""
    with pytest.raises(Refused) as caught:
        take(GOOD | {"stepName": name})
    assert shown in caught.value.detail


@pytest.mark.parametrize("field", [*FIELDS, "workFlowName"])
def test_lone_surrogates_in_names(field: str) -> None:
    """Half a character is in no name, and the words are about the member at fault."""
    body = json.dumps(GOOD | {"payload": {"note": "\ud83d"}, field: "a\ud83d"}).encode()
    with pytest.raises(Refused) as caught:
        submit._spec(submit.decode(body, 64), read_headers(()))
    assert caught.value.members["member"] == field
    assert "JSON" not in caught.value.detail
    assert caught.value.detail.isprintable()


def test_an_unknown_member_is_told_as_it_was_written() -> None:
    """No stand-in of ours is told of."""
    with pytest.raises(Refused, match=r"`a\\ud83d` is not known"):
        submit.decode(rb'{"a\ud83d":1,"workflowName":"w"}', 64)
