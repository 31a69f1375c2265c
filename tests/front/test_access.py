"""Which requests pass the checks of their heads."""

from __future__ import annotations

import json

import pytest

from engine.front.access.request import Access

HOST, JSON = (b"host", b"localhost"), (b"content-type", b"application/json")


@pytest.mark.parametrize(("coding", "taken"), [("", True), ("Identity ", True), ("gzip", False)])
def test_a_body_is_taken_as_it_is(coding: str, taken: bool) -> None:
    """An encoded one is refused as such, and not as bad JSON. Of a read nothing is asked."""
    headers = (HOST, JSON, (b"content-encoding", coding.encode()))
    refused = Access(()).check("POST", headers)
    assert (refused is None) is taken
    assert refused is None or (refused.status, json.loads(refused.body)["detail"]) == (
        415,
        "Send the body as it is: `Content-Encoding: gzip` is not taken.",
    )
    assert Access(()).check("GET", headers) is None
