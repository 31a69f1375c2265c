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


LOCAL, EVIL = "localhost:8420", "evil.example"
SETS: list[tuple[str, dict[str, str], int | None]] = [
    # -- a command, a client, a page of the engine itself
    ("GET", {"host": LOCAL}, None),
    ("GET", {"host": "127.0.0.1"}, None),
    ("GET", {"host": "[::1]:8420"}, None),
    ("GET", {"host": "ENGINE.example:1"}, None),
    ("GET", {"host": LOCAL, "origin": f"http://{LOCAL}"}, None),
    ("GET", {"host": LOCAL, "sec-fetch-site": "same-origin"}, None),
    ("GET", {"host": LOCAL, "sec-fetch-site": "none"}, None),
    ("POST", {"host": LOCAL, "content-type": "application/json"}, None),
    ("POST", {"host": LOCAL, "content-type": "Application/JSON; charset=utf-8"}, None),
    # -- a page of another origin: a fetch, a form, an image, a link
    ("GET", {"host": LOCAL, "origin": f"https://{EVIL}"}, 403),
    ("GET", {"host": LOCAL, "origin": "null"}, 403),
    ("GET", {"host": LOCAL, "origin": "http://localhost:9999"}, 403),
    ("GET", {"host": LOCAL, "origin": "http://localhost"}, 403),
    ("GET", {"host": LOCAL, "origin": f"http://{LOCAL}.{EVIL}"}, 403),
    ("GET", {"host": LOCAL, "origin": f"chrome-extension://{LOCAL}"}, 403),
    ("GET", {"host": LOCAL, "origin": f"http://{LOCAL} http://{EVIL}"}, 403),
    ("GET", {"host": LOCAL, "sec-fetch-site": "cross-site"}, 403),
    ("POST", {"host": LOCAL, "origin": "null", "content-type": "application/json"}, 403),
    ("POST", {"host": LOCAL, "origin": f"http://{EVIL}", "content-type": "text/plain"}, 403),
    # -- a name that was made to lead here
    ("GET", {"host": EVIL}, 421),
    ("GET", {"host": f"{EVIL}:8420", "origin": f"http://{EVIL}:8420"}, 421),
    ("GET", {"host": "localhost.evil.example"}, 421),
    ("GET", {"host": "localhost."}, 421),
    ("GET", {"host": "127.0.0.2"}, 421),
    ("GET", {"host": "127.1"}, 421),
    ("GET", {"host": "[::ffff:127.0.0.1]"}, 421),
    ("GET", {"host": ""}, 421),
    # -- what a form or a beacon can send without being asked
    ("POST", {"host": LOCAL}, 415),
    ("POST", {"host": LOCAL, "content-type": "text/plain"}, 415),
    ("POST", {"host": LOCAL, "content-type": "application/x-www-form-urlencoded"}, 415),
    ("POST", {"host": LOCAL, "content-type": "multipart/form-data; boundary=a"}, 415),
    ("POST", {"host": LOCAL, "content-type": "text/plain;application/json"}, 415),
    ("POST", {"host": LOCAL, "content-type": "application/json-seq"}, 415),
    ("DELETE", {"host": LOCAL, "content-type": "text/plain"}, 415),
]


@pytest.mark.parametrize(("method", "headers", "status"), SETS)
def test_what_a_page_can_send(method: str, headers: dict[str, str], status: int | None) -> None:
    """By its head alone: which page asks, for which name, with which kind of body."""
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    refused = Access(("engine.example",)).check(method, raw)
    assert (None if refused is None else refused.status) == status
