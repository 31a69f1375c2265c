"""Bodies as lines: pretty, as they came, as hex and compared."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.client import BodyPart
from tests.tui.support import STEADY
from tui.boards.cells import text_of
from tui.boards.run.bodies import (
    DIFF_LINES_MAX,
    BodyLook,
    ShownBody,
    lines_of,
    longer,
    looks_of,
    readable,
)
from tui.boards.run.json_text import indented
from tui.text.redact import Redactor
from tui.text.sanitize import width


def body(data: bytes, kind: str = "application/json", **more: int) -> BodyPart:
    kept = more.get("kept", len(data))
    return BodyPart(data, kind, kept, more.get("full", kept))


def clean(data: bytes, kind: str = "application/json", **more: int) -> ShownBody:
    return ShownBody.of(body(data, kind, **more), Redactor())


def shown(part: BodyPart, cells: int = 40, look: BodyLook = BodyLook.PRETTY) -> list[str]:
    """The lines below the head, without what is told of the rest."""
    lines = [text_of(line) for line in lines_of(ShownBody.of(part, Redactor()), look, cells)[2:]]
    return lines if len(part.data) >= part.kept_bytes else lines[:-2]


def test_json_is_shown_pretty() -> None:
    """As it is to be read, not as it travelled."""
    assert shown(body(b'{"a":[1,2],"b":null}')) == [
        "{", '  "a": [', "    1,", "    2", "  ],", '  "b": null', "}",
    ]  # fmt: skip
    assert shown(body(b'{"a":1}', "text/plain")) == ['{"a":1}']
    assert shown(body(b'{"a":', "application/problem+json")) == ['{"a":']


def test_the_head_says_what_is_not_there() -> None:
    """How long it is, how much the engine kept, and how much is shown."""
    part = body(b"x" * 1_024, "text/plain", kept=4_096, full=5_242_880)
    assert text_of(lines_of(ShownBody.of(part, Redactor()), BodyLook.RAW, 80)[0]) == (
        "5.0 MiB · text/plain · the engine kept the first 4.0 KiB · the first 1.0 KiB shown"
    )
    assert text_of(lines_of(clean(b"", ""), BodyLook.RAW, 80)[0]) == "0 B · no content type"
    assert shown(body(b"")) == ["(empty)"]


@pytest.mark.slow
def test_five_megabytes_in_one_line() -> None:
    """They are cut to lines that fit, and all of it is there."""
    data = json.dumps({"text": "x" * 5_000_000}).encode()
    lines = shown(body(data), 100, BodyLook.RAW)
    assert max(map(len, lines)) == 100
    assert "".join(lines).encode() == data


def test_what_is_no_text_is_shown_as_hex() -> None:
    """As many bytes a line as fit, with their characters where they have any."""
    assert shown(body(b"\x89PNG\r\n\x1a\n\x00\xffabcdefgh", "image/png"), 80) == [
        "00000000  89 50 4e 47 0d 0a 1a 0a 00 ff 61 62 63 64 65 66  .PNG......abcdef",
        "00000010  67 68                                            gh",
    ]
    assert shown(body(b"\x89PNG\r\n\x1a\n\x00\xff"), 74) == [
        "00000000  89 50 4e 47 0d 0a 1a 0a  .PNG....",
        "00000008  00 ff                    ..",
    ]


def test_a_character_that_was_cut_is_no_binary() -> None:
    """The part that was read may end within one; a whole body must not."""
    data = "grüß".encode()[:-1]
    assert shown(body(data, "text/plain", kept=99)) == ["grü"]
    assert shown(body(data, "text/plain"))[0].startswith("00000000  67 72 c3 bc  gr")


def test_a_hostile_body_is_only_shown() -> None:
    """Its sequences become pictures, its lines stay lines, its content type is no better."""
    data = b"\x1b]52;c;aGk=\x07\r\n\xc2\x9b31m\tx\x00\x0cy\xe2\x80\xae"
    assert shown(body(data, "text/\x1b[31m")) == ["␛]52;c;aGk=␇", "␦31m    x␀␌y␦"]
    assert "␛[31m" in text_of(lines_of(clean(b"x", "text/\x1b[31m"), BodyLook.RAW, 80)[0])


@STEADY
@given(st.binary(max_size=300), st.integers(8, 60), st.sampled_from(["text/plain", "a/json"]))
def test_no_line_of_any_body_is_too_long(data: bytes, cells: int, kind: str) -> None:
    """Nor has it a character that a terminal obeys."""
    for line in shown(body(data, kind), cells):
        assert line.isprintable()
        assert width(line) <= max(cells, 27)  # of hex four bytes are the least


def test_wide_characters_take_two_cells() -> None:
    """Half as many of them fit on a line."""
    assert shown(body(("日本" * 5).encode(), "text/plain"), 9) == ["日本日本", "日本日本", "日本"]
    assert shown(body("aaaaaaaa日\n\nb".encode(), "text/plain"), 9) == ["aaaaaaaa", "日", "", "b"]


@STEADY
@given(st.text(st.sampled_from("ab日本é\u0301 "), max_size=300), st.integers(8, 60))
def test_lines_of_wide_characters_fit(text: str, cells: int) -> None:
    """Those of two cells too."""
    for line in shown(body(text.encode(errors="replace"), "text/plain"), cells):
        assert width(line) <= cells


def test_each_look() -> None:
    """JSON pretty, as it came, and as hex; what is none in fewer ways, no text in one."""
    data = b'{"a":1}'
    assert shown(body(data), look=BodyLook.RAW) == ['{"a":1}']
    assert shown(body(data), 80, BodyLook.HEX) == [
        '00000000  7b 22 61 22 3a 31 7d                             {"a":1}'
    ]
    assert looks_of(clean(data)) == [BodyLook.PRETTY, BodyLook.RAW, BodyLook.HEX]
    assert looks_of(clean(b"x", "text/plain")) == [BodyLook.RAW, BodyLook.HEX]
    assert looks_of(clean(b"\xff")) == [BodyLook.HEX]


def test_json_that_was_cut_is_pretty_too() -> None:
    """As far as it was read."""
    data = b'{"a":[],"b":[1,{"c":"d, '
    assert shown(body(data, kept=99)) == [
        "{", '  "a": [],', '  "b": [', "    1,", "    {", '      "c": "d, ',
    ]  # fmt: skip
    assert shown(body(b"[warn] no json", kept=99, kind="text/plain")) == ["[warn] no json"]


@STEADY
@given(
    st.recursive(
        st.none() | st.text(max_size=5), lambda of: st.lists(of) | st.dictionaries(st.text(), of)
    )
)
def test_pretty_json_is_the_same_json(document: object) -> None:
    """Only its white space is another."""
    text = json.dumps(document, separators=(",", ":"))
    assert json.loads(indented(text)) == document


def test_deep_json_is_not_mostly_indentation() -> None:
    """Somebody's brackets do not use the memory up."""
    assert len(indented("[" * 50_000)) < 50_000 * 90


def test_what_was_not_read_is_told_at_the_end() -> None:
    """And how to read on; two parts are one body."""
    first = body(b"ab", "text/plain", kept=5_242_880)
    assert text_of(lines_of(ShownBody.of(first, Redactor()), BodyLook.RAW, 80)[-1]) == (
        "the first 2 B of 5.0 MiB shown · space loads more"
    )
    assert longer(first, body(b"cd", kept=5_242_880)) == body(b"abcd", "text/plain", kept=5_242_880)


def diff(before: bytes, after: bytes, kind: str = "application/json") -> list[str]:
    lines = lines_of(clean(after, kind), BodyLook.DIFF, 40, clean(before, kind))
    return [text_of(line) for line in lines[2:]]


def test_two_answers_are_compared() -> None:
    """By the lines of their pretty form; what is no text by its hex."""
    assert diff(b'{"a":1,"b":2}', b'{"a":1,"b":3}') == [
        "@@ -1,4 +1,4 @@", " {", '   "a": 1,', '-  "b": 2', '+  "b": 3', " }",
    ]  # fmt: skip
    assert diff(b'{"a":1}', b'{ "a": 1 }') == ["the same as the answer before, all of it"]
    assert diff(b"\xff", b"\xfe", "image/png")[1].startswith("-00000000  ff")
    assert "not compared" in diff(b"x\n" * (DIFF_LINES_MAX + 1), b"x", "text/plain")[0]


def test_a_pager_gets_safe_text() -> None:
    """All of a long line is there, its control characters as pictures."""
    assert readable("a" * 9_000 + "\x1b[31m\n\x9b") == "a" * 9_000 + "\u241b[31m\n\u2426"
