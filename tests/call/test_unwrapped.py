"""The engine's own calls: the payload alone is the body, signed, where the settings say."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from engine.call.caller import HttpCaller
from engine.call.dial import Dialler
from engine.call.policy import Policies
from engine.call.transport import LeanTransport
from engine.core.access.client import ALERTS_CLIENT, Client, ClientLimits
from engine.core.outcome import Answered, CallError, Unanswered
from engine.ports.caller import Invocation
from tests.call.scripted_server import always_ok, fixed_resolver, invocation, lean, serving
from tests.call.signed import NEW, received, verifying

EVENT = b'{"specversion":"1.0","id":"01A"}'


class Registry:
    """With a client, or without any."""

    limits: Mapping[str, ClientLimits] = {}

    def __init__(self, *clients: Client) -> None:
        self.clients = {client.name: client for client in clients}


def own(url: str, payload: bytes = EVENT) -> Invocation:
    """An attempt of an alert."""
    return Invocation(
        **{name: getattr(invocation(url), name) for name in Invocation.__struct_fields__}
        | {"payload": payload, "client": ALERTS_CLIENT, "step_own_key": "01A"}
    )


def receiver(url: str, **members: object) -> Client:
    return Client(ALERTS_CLIENT, (url,), signing_secrets=(NEW,), **members)  # type: ignore[arg-type]


@pytest.mark.parametrize("others", [(), (Client("shop"),)], ids=["no clients", "clients"])
async def test_an_alert_is_the_event_and_nothing_else(others: tuple[Client, ...]) -> None:
    """Standard Webhooks verifies it; nothing in its headers lets the receiver post."""
    async with serving(always_ok) as server, lean() as transport:
        url = f"{server.url}/hook"
        policies = Policies(Registry(*others), Dialler(), alerts=receiver(url))
        caller = HttpCaller(transport, version="1", utc_now=time.time, policies=policies)
        assert isinstance(await caller.call(own(url)), Answered)
        headers, body = received(server)
    assert body == EVENT
    verifying(NEW).verify(body, headers)
    assert headers["webhook-id"] == "01A"
    assert headers["content-type"] == "application/cloudevents+json"
    assert set(headers) == {
        "host", "content-type", "content-length", "accept-encoding", "user-agent",
        "webhook-id", "webhook-timestamp", "webhook-signature",
    }  # fmt: skip


async def test_elsewhere_nothing_is_sent_and_nothing_waits() -> None:
    """An alert of before another URL was set, or of before all was taken away: it fails at once."""
    async with serving(always_ok) as server, lean() as transport:
        for alerts, why in (
            (receiver(f"{server.url}/new"), "alerts_url is"),
            (None, "alerts_url is not set"),
        ):
            policies = Policies(Registry(), Dialler(), alerts=alerts)
            caller = HttpCaller(transport, version="1", utc_now=time.time, policies=policies)
            outcome = await caller.call(own(f"{server.url}/old"))
            assert isinstance(outcome, Unanswered)
            assert outcome.error is CallError.TARGET_NOT_ALLOWED
            assert why in outcome.detail
            assert not outcome.pauses
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "addresses", "why"),
    [
        ("http://metadata.example/", ["169.254.169.254"], "never be called|may not be called"),
        ("http://self.example/", ["127.0.0.1"], "alerts_private_target"),
        ("http://many.example/", ["1.1.1.1", "10.0.0.1"], "alerts_private_target"),
        ("http://engine:8420/", ["127.0.0.1"], "is the engine itself"),
    ],
)
async def test_what_is_never_called_no_alert_calls(
    url: str, addresses: list[str], why: str
) -> None:
    """The gate is that of clients' targets: every address of the name is checked, and refused
    before anything is dialled."""
    dialler = Dialler(resolve=fixed_resolver(*addresses))
    policies = Policies(Registry(), dialler, frozenset({8420}), receiver(url))
    caller = HttpCaller(LeanTransport(dialler), version="1", utc_now=time.time, policies=policies)
    outcome = await caller.call(own(url))
    assert isinstance(outcome, Unanswered)
    assert outcome.error is CallError.TARGET_NOT_ALLOWED
    assert any(each in outcome.detail for each in why.split("|")), outcome.detail


def test_what_a_url_says_by_itself_is_told_before_anything_runs() -> None:
    """An address that may never be called, and the engine's own port."""
    for url, why in (
        ("http://169.254.169.254/", "may not be called"),
        ("http://127.0.0.1:8420/x", "is the engine itself"),
    ):
        policies = Policies(Registry(), Dialler(), frozenset({8420}), receiver(url))
        found = policies.why_not(ALERTS_CLIENT, url)
        assert found is not None
        assert why in found


async def test_a_name_with_a_dot_may_be_private_if_that_is_said() -> None:
    """`alerts_private_target`."""
    async with serving(always_ok) as server:
        url = server.url.replace("127.0.0.1", "pager.monitoring.svc") + "/"
        dialler = Dialler(resolve=fixed_resolver("127.0.0.1"))
        policies = Policies(Registry(), dialler, alerts=receiver(url, private_targets=True))
        transport = LeanTransport(dialler)
        caller = HttpCaller(transport, version="1", utc_now=time.time, policies=policies)
        assert isinstance(await caller.call(own(url)), Answered)
        await transport.aclose()
