"""Signed calls: what Standard Webhooks' own package says of them."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence

import pytest
import trio
from standardwebhooks.webhooks import WebhookVerificationError

from engine.call.caller import HttpCaller
from engine.call.dial import Dialler
from engine.call.policy import Policies
from engine.call.signing import JOINED_BYTES_MAX, SIGNED_AT_ONCE_BYTES_MAX, Signer
from engine.core.access.client import Client, ClientLimits
from engine.core.model import Step, StepSpec, child_id
from engine.core.outcome import Answered
from engine.ports.caller import Invocation
from engine.process.clock import Ids
from tests.call.scripted_server import always_ok, invocation, lean, serving
from tests.call.signed import NEW, OLD, received, verifying
from tests.world import FakeClock

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class Registry:
    """Client `shop` with these secrets."""

    limits: Mapping[str, ClientLimits] = {}

    def __init__(self, url: str, *secrets: bytes) -> None:
        self.url = url
        self.set(*secrets)

    def set(self, *secrets: bytes) -> None:
        self.clients = {"shop": Client("shop", (self.url,), signing_secrets=secrets)}


def attempt(url: str, number: int = 1, payload: bytes = b'{"a" : 1.0}') -> Invocation:
    """An attempt of one step."""
    return Invocation(
        **{name: getattr(invocation(url), name) for name in Invocation.__struct_fields__}
        | {"attempt": number, "payload": payload, "step_own_key": "01STEP-ab"}
    )


async def called(*secrets: bytes, payload: bytes = b"{}") -> tuple[dict[str, str], bytes]:
    """What an endpoint gets of a client with these secrets."""
    async with serving(always_ok) as server, lean() as transport:
        policies = Policies(Registry(server.url, *secrets), Dialler())
        caller = HttpCaller(transport, version="1", utc_now=time.time, policies=policies)
        assert isinstance(await caller.call(attempt(server.url, payload=payload)), Answered)
        return received(server)


@pytest.mark.parametrize(
    "payload",
    [
        b"null",
        b'{"a" : "\xc3\xbc"}',
        *(b'"%b"' % (b"x" * size) for size in (JOINED_BYTES_MAX, 1_000_000)),
    ],
    ids=len,
)
@pytest.mark.parametrize("secret", [OLD, NEW])
async def test_the_package_of_the_standard_verifies_it(secret: bytes, payload: bytes) -> None:
    """Byte for byte the body that was sent, whatever its size; with another secret it does not."""
    headers, body = await called(secret, payload=payload)
    verifying(secret).verify(body, headers)
    assert headers["webhook-id"] == "01STEP-ab" == headers["idempotency-key"].strip('"')
    with pytest.raises(WebhookVerificationError):
        verifying(b"x" * 24).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        verifying(secret).verify(body[:-1] + b" }", headers)


async def test_the_vector_of_the_standard() -> None:
    """The example of Standard Webhooks itself: secret, id, time, body, and what they are signed."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    lines = await Signer([secret]).header_lines(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, [b'{"test": 2432232314}']
    )
    assert lines == (
        b"webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\nwebhook-timestamp: 1614265330\r\n"
        b"webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n"
    )


async def test_two_secrets_are_valid_at_once() -> None:
    """While a client changes from one to the other, each of both verifies every call."""
    headers, body = await called(NEW, OLD)
    for secret in (NEW, OLD):
        verifying(secret).verify(body, headers)
    assert len(headers["webhook-signature"].split(" ")) == 2


async def test_a_client_without_a_secret_is_called_unsigned() -> None:
    """None of the three headers is there."""
    headers, _ = await called()
    assert not headers.keys() & set(HEADERS)


async def test_the_second_attempt_has_the_same_id_and_a_new_time() -> None:
    """So an endpoint can tell a step called again from a call that was recorded and replayed."""
    clock = [1_795_435_200.9, 1_795_435_260.1]
    async with serving(always_ok) as server, lean() as transport:
        policies = Policies(Registry(server.url, OLD), Dialler())
        caller = HttpCaller(transport, version="1", utc_now=lambda: clock.pop(0), policies=policies)
        for number in (1, 2):
            await caller.call(attempt(server.url, number))
        first, second = (received(server, number)[0] for number in (0, 1))
    assert first["webhook-id"] == second["webhook-id"]
    times = [headers["webhook-timestamp"] for headers in (first, second)]
    assert times == ["1795435200", "1795435260"]
    assert first["webhook-signature"] != second["webhook-signature"]


async def test_a_secret_that_changes_signs_the_next_call() -> None:
    """And no call after it is signed with one that was taken away."""
    async with serving(always_ok) as server, lean() as transport:
        registry = Registry(server.url, OLD)
        policies = Policies(registry, Dialler())
        caller = HttpCaller(transport, version="1", utc_now=time.time, policies=policies)
        await caller.call(attempt(server.url))
        registry.set(NEW)
        await caller.call(attempt(server.url))
        headers, body = received(server)
        verifying(NEW).verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            verifying(OLD).verify(body, headers)


async def lines_of(body: Sequence[bytes]) -> bytes:
    return await Signer([OLD]).header_lines("k", 1, body)


async def test_a_large_body_is_signed_between_others_turns() -> None:
    """The same signature however the body is cut, and nobody waits for all of it."""
    size = SIGNED_AT_ONCE_BYTES_MAX
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await trio.lowlevel.checkpoint()
        for length, turns_min in ((size, 0), (size + 1, 0), (8 * size, 6)):
            turns, whole = 0, b"x" * length
            lines = await lines_of([whole])
            assert turns >= turns_min
            pieces = [whole[at : at + 1_000] for at in range(0, length, 1_000)]
            assert await lines_of(pieces) == lines
        nursery.cancel_scope.cancel()


async def test_no_key_of_a_step_has_a_dot() -> None:
    """Dots part what is signed: a key with one could stand for another key and time."""
    run_id = Ids(FakeClock()).run_id()
    spec = StepSpec("w.1", "k.2", "http://a.b/c.d", "s.3", "n.4", b"")
    for id in (run_id, child_id(run_id, spec.identity), child_id(run_id, spec.identity, 3)):
        for reruns in (0, 12):
            step = Step(id, run_id, None, 0, 0, spec, 0, 0, reruns=reruns)
            assert "." not in step.own_key
