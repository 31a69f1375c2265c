"""Posts with lone surrogates: a large one is taken apart as a small one is, at a fair price."""

from __future__ import annotations

import re

import msgspec
import pytest

from engine import wire
from engine.front.api import surrogates

LONE, OTHER = "\\ud83d", "\\udc00"
REST = '"workflowName":"w","stepInvokeUrl":"http://a/x","idempotencyKey":"k"'
NOTHING = msgspec.Raw(b"null")
HALF, STAND_IN = "\ufffd", re.compile("[\ue000-\uf8ff]{2}")
decode_plain = msgspec.json.Decoder(wire.Submission).decode


def decoded(body: str, large_bytes: int) -> object:
    """The submission and its payload, or what is said against it; a half character as U+FFFD."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surrogates, "LARGE_BYTES", large_bytes)
        try:
            found = surrogates.decode(body.encode(), decode_plain)
        except msgspec.DecodeError as error:
            text = str(error).replace(LONE, HALF)
            return f"{type(error).__name__}: {text}"
    name = STAND_IN.sub(HALF, found.step_name or "")
    named = msgspec.structs.replace(found, step_name=name, payload=NOTHING)
    return named, bytes(found.payload)


@pytest.mark.parametrize(
    "body",
    [
        f'{{{REST},"payload":"{LONE}"}}',
        f'{{{REST},"payload":{{"a":"{LONE}","payload":"{LONE}"}}}}',
        f'{{{REST},"p\\u0061yload":["{LONE}"]}}',
        f'{{"payload":["{LONE}"],{REST},"payload":["{OTHER}"]}}',
        f'{{"payload":"{OTHER}",{REST},"payload":"{LONE}","timeout":5}}',
        f'{{{REST},"payload":["{LONE}","\\\\\\\\ud83d",{{"{OTHER}":"\\\\\\"{LONE}"}}]}}',
        f'{{{REST},"stepName":"a \\\\u0041\\\\","payload":"{LONE}"}}'.replace("\\\\u", "\\u"),
        f'{{{REST},"stepKey":"x","payload":null,"{LONE}":1}}',
        f'{{{REST},"payload":["{LONE}"],"stepName":"{LONE}"}}',
        f'{{{REST},"payload":["{LONE}"],"idempotencyKey":"{OTHER}"}}',
        f'{{{REST},"payload":["{LONE}",NaN]}}',
        f'{{{REST},"payload":["{LONE}"]',
        f'{{"payload":["{LONE}"]}}',
        f'["{LONE}"]',
    ],
)
def test_a_large_body_is_taken_apart_as_a_small_one(body: str) -> None:
    """The payload as it came, whatever else looks like it; the same words where it is refused."""
    assert decoded(body, large_bytes=0) == decoded(body, large_bytes=1 << 30)


def test_the_payload_comes_as_it_was_sent() -> None:
    """In the body's own spelling, each surrogate in its place."""
    payload = '["' + f"{LONE} {OTHER.upper().replace('U', 'u')} \\\\{LONE}" * 1_000 + '"]'
    found = surrogates.decode(f'{{{REST},"payload":{payload}}}'.encode(), decode_plain)
    assert bytes(found.payload).decode() == payload
