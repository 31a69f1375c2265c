"""Bodies of requests: any bytes are a request of the contract, or refused in words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import wire
from engine.core.errors import Problem, Refused
from engine.core.model import StepSpec
from engine.core.target import URL_BYTES_MAX
from engine.front.api import submit
from engine.front.api.headers import read_headers
from engine.front.asked import decode_asked
from engine.wire.routes import ROUTES, SUBMIT, Route
from tests.fuzz.taken import refusal_of

DEPTH_MAX = 64
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["http://127.0.0.1:9/x", "http://a/", "k", "w", "retry", "client", "is:failed", "\ud83d", "a\n"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda of: st.lists(of, max_size=4) | st.dictionaries(TEXTS, of, max_size=4),
    max_leaves=8,
)


def bodies(kind: type[msgspec.Struct]) -> st.SearchStrategy[bytes]:
    """Objects with members of the type, most of them with values that are none of it; and JSON that
    is cut, nested or none."""
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    members = st.dictionaries(st.sampled_from(names) | TEXTS, ANYTHING, max_size=len(names))
    documents = (members | ANYTHING).map(lambda it: json.dumps(it).encode())
    cut = st.tuples(documents, st.integers(0, 40)).map(lambda it: it[0][: it[1]])
    deep = st.integers(1, 5_000).map(lambda depth: b'{"payload":' + b"[" * depth)
    return documents | cut | deep | st.binary(max_size=40)


def take(body: bytes) -> StepSpec:
    """What is looked at before a post does anything. Raises Refused."""
    return submit._spec(submit.decode(body, DEPTH_MAX), read_headers(()))


def is_plain(text: str, longest: int) -> bool:
    """Whether it can stand in every header, log line and file."""
    return text.isascii() and text.isprintable() and 1 <= len(text) <= longest


GOOD = {"workflowName": "w", "stepInvokeUrl": "http://a/", "idempotencyKey": "k"}
NEARLY = st.dictionaries(
    st.sampled_from([it.encode_name for it in msgspec.structs.fields(wire.Submission)]),
    ANYTHING,
    max_size=3,
).map(lambda members: json.dumps(GOOD | members).encode())


@given(bodies(wire.Submission) | NEARLY)
def test_any_body_is_a_submission_or_refused(body: bytes) -> None:
    """Of one that is taken all names are such; a refusal names a member, in words."""
    if why := refusal_of(Refused, take, body):
        assert why.problem is Problem.INVALID_SUBMISSION
        assert "member" in why.members
        assert why.detail
        return
    spec = take(body)
    assert is_plain(spec.workflow, 128)
    assert is_plain(spec.key, 255)
    assert is_plain(spec.url, URL_BYTES_MAX)
    assert wire.unseen(spec.name) is None
    assert len(spec.fingerprint) == 32


@given(st.binary(max_size=12), st.integers(0, 120))
def test_a_body_with_bytes_put_in(noise: bytes, at: int) -> None:
    """What nearly is a submission: still one, or refused, and nothing else."""
    body = json.dumps(GOOD | {"payload": {"a": ["é", 1e300]}}).encode()
    why = refusal_of(Refused, take, body[:at] + noise + body[at:])
    assert why is None or why.problem is Problem.INVALID_SUBMISSION


ASKED = [it for it in ROUTES if it.body is not None and it is not SUBMIT]


@pytest.mark.parametrize("route", ASKED, ids=lambda it: it.path)
@given(data=st.data())
def test_what_operators_ask(route: Route[Any], data: st.DataObject) -> None:
    """A request of the route, or the refusal that says what is wrong with it."""
    kind: Any = route.body
    body = data.draw(bodies(kind))
    decode = msgspec.json.Decoder(kind).decode
    if why := refusal_of(Refused, decode_asked, body, decode, "request"):
        assert why.problem is Problem.INVALID_REQUEST
        assert why.detail.startswith("The request is not valid: ")
    else:
        asked = decode_asked(body, decode, "request")
        assert type(asked) is kind
        assert msgspec.json.decode(msgspec.json.encode(asked), type=kind) == asked
