"""Excerpts of answers as frameworks, services and proxies send them: the line one looks for."""

from __future__ import annotations

import json

import pytest

from tests.core.answers import FRAMEWORKS, JSON, SERVICES, XML, told


@pytest.mark.parametrize(
    ("status", "content_type", "body", "excerpt"),
    [case[1:] for case in FRAMEWORKS + SERVICES],
    ids=[case[0] for case in FRAMEWORKS + SERVICES],
)
def test_it_is_the_line_that_one_looks_for(
    status: int, content_type: str, body: object, excerpt: str
) -> None:
    """Not "Error", not the declaration of an XML document, not only a code."""
    assert told(body, content_type, status) == excerpt


def test_json_that_was_cut_is_read_as_far_as_it_goes() -> None:
    """What is deep in it, or echoed of the payload, is not taken for the reason."""
    echoed = {
        "loc": ["body"],
        "msg": "Field required",
        "input": {"message": "x", "pad": "y" * 20_000},
    }
    assert told({"detail": [echoed]}, JSON) == "body: Field required"
    assert told({"error": "no funds", "trace": [{"message": "x"}] * 5_000}, JSON) == "no funds"
    assert told({"error": f"no funds {'z' * 20_000}"}, JSON) == "no funds…"
    for cut in (
        '{"error": "no funds", "a',
        '{"error": "no funds", "n": 1',
        '{"error": "no funds",',
    ):
        assert told(cut, JSON) == "no funds"
    assert told('{"error', JSON) == '{"error'


WORDS = "Größe: Fehler über äöü"


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (WORDS.encode("utf-8-sig"), "text/plain"),
        (json.dumps({"error": WORDS}).encode("utf-16"), JSON),
        (WORDS.encode("utf-16"), "text/plain; charset=utf-8"),
        (WORDS.encode("utf-16-le"), "text/plain; charset=utf-16le"),
        (WORDS.encode("latin-1"), "text/plain"),
        (WORDS.encode("latin-1"), "text/plain; charset='iso-8859-1'"),
        (f'<meta charset="cp850"><title>{WORDS}</title>'.encode("cp850"), "text/html"),
        (f'<?xml version="1.0" encoding="cp850"?><error>{WORDS}</error>'.encode("cp850"), XML),
        (WORDS.encode("mac-roman"), "text/plain; charset=macintosh"),
    ],
)
def test_encodings_are_known_by_mark_head_or_document(data: bytes, content_type: str) -> None:
    """And a text that is none of UTF-8 and says nothing is read as browsers read it."""
    assert told(data, content_type) == WORDS
