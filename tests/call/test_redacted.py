"""The reason of a failed attempt of a client that hides something, as the caller reports it."""

from __future__ import annotations

import json
import time

import pytest
from msgspec.structs import replace

from engine.call.caller import HttpCaller
from engine.call.dial import Dialler
from engine.call.policy import Policies
from engine.core.access.client import Client
from engine.core.outcome import Answered
from engine.core.rules.excerpt import excerpt_of
from engine.ports.caller import SMALL_BYTES_MAX
from engine.ports.registry import AnyClient
from tests.call.scripted_server import answering, invocation, lean, serving

CANARY = "cAnArY-9f"
PAYLOAD = json.dumps({"card": CANARY, "more": ""}).encode()
"""With room for more."""


class One(AnyClient):
    """One client."""

    def __init__(self, client: Client) -> None:
        self.clients = {client.name: client}


async def answered(status: int, body: bytes, payload: bytes, *rules: str) -> Answered:
    """What comes of an attempt with this payload that is answered so."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
    whole = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    async with serving(answering(whole)) as server, lean() as transport:
        client = Client(invocation(server.url).client, (server.url,), redact=rules)
        policies = Policies(One(client), Dialler())
        caller = HttpCaller(transport, version="1", utc_now=time.time, policies=policies)
        found = await caller.call(replace(invocation(server.url), payload=payload))
        assert isinstance(found, Answered)
        return found


TELLS = json.dumps({"error": f"no {CANARY}"}).encode()


async def test_a_reason_is_masked_before_anybody_has_it() -> None:
    """The body that is recorded is whole; without rules nothing is masked."""
    found = await answered(500, TELLS, PAYLOAD, "/card")
    assert (excerpt_of(found), found.body) == ("no ***", TELLS)
    found = await answered(500, TELLS, PAYLOAD)
    assert (excerpt_of(found), found.excerpt) == (f"no {CANARY}", None)
    assert (await answered(200, TELLS, PAYLOAD, "/card")).excerpt is None


@pytest.mark.parametrize(("beyond", "told"), [(0, "no ***"), (1, "***")])
async def test_of_a_large_payload_no_reason_is_told(beyond: int, told: str) -> None:
    """It is not kept while its answer is waited for; up to 16 KiB it is."""
    fill = "x" * (SMALL_BYTES_MAX - len(PAYLOAD) + beyond)
    payload = PAYLOAD.replace(b'""', f'"{fill}"'.encode())
    assert len(payload) == SMALL_BYTES_MAX + beyond
    assert excerpt_of(await answered(500, TELLS, payload, "/card")) == told
