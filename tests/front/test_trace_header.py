"""Whose trace a post is part of, as its headers say it."""

from __future__ import annotations

import pytest

from engine.front.api.headers import read_headers

ONE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("values", "kept"),
    [((), None), ((ONE,), ONE), ((f" {ONE}\t",), ONE), ((ONE, OTHER), None), ((ONE, ONE), None),
     (("none",), None)],
)  # fmt: skip
def test_of_two_contexts_neither_is_kept(values: tuple[str, ...], kept: str | None) -> None:
    """As W3C Trace Context has it: more than one is none."""
    headers = tuple((b"traceparent", value.encode()) for value in values)
    assert read_headers(headers).trace == kept
