"""What was begun with a token ends with it: answers that were waited for, and event streams."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from engine.core.access.client import Client
from engine.core.access.token import Role, Token
from engine.front.access.gate import Gate
from engine.front.access.request import Access
from engine.front.access.who import EVERYBODY, Who
from engine.front.api.context import Front
from engine.front.api.events import EventTail, Start, stream
from engine.front.server.reply import Reply
from engine.front.show.digests import Digests
from engine.ports.views import EventRecord, Summary, Views
from engine.registry.registry import Registry, digest_of
from engine.wire import routes
from tests.front.gates import NOW, Kept, bearing, gate_of, token
from tests.world import FakeClock

SHOP = Who("it", Role.SUBMIT, "shop")


def lapsed(gate: Gate, who: Who = SHOP) -> int | None:
    """The status of what an answer is refused with."""
    found = gate.lapsed(who, "POST", bearing("it"))
    return None if found is None else found.status


def rotated(until: int) -> Token:
    """The token with another secret; the one before is good until then."""
    return Token("it", b"new", Role.SUBMIT, "shop", None, "", digest_of("atomic_it"), until)


@pytest.mark.parametrize(
    ("now_there", "status"),
    [
        (token("it", Role.SUBMIT, "shop"), None),
        (token("it", Role.SUBMIT, "shop", expires_at=NOW[0] + 1), None),
        (token("it", Role.SUBMIT, "shop", expires_at=NOW[0]), 401),
        (rotated(NOW[0] + 1), None),
        (rotated(NOW[0]), 401),
        (token("other", Role.SUBMIT, "shop"), 401),
        (token("it", Role.SUBMIT, "cafe"), 403),
        (token("it", Role.READ, "shop"), 403),
    ],
)
def test_an_answer_belongs_to_who_may_still_ask(now_there: Token, status: int | None) -> None:
    """To the very millisecond; with an overlap both secrets are good."""
    assert lapsed(gate_of(now_there)) == status


def test_who_needed_no_token_gets_the_answer() -> None:
    """No secret of theirs has leaked: the first client of an engine cuts nobody off."""
    assert lapsed(gate_of(), EVERYBODY) is None


def test_a_client_that_is_turned_off_gets_the_answer() -> None:
    """What was recorded is still read, as with `GET …/outcome`."""
    gate = gate_of(token("it", Role.SUBMIT, "shop"), clients=[Client("shop", disabled=True)])
    assert lapsed(gate) is None


def test_the_refusal_is_as_that_of_any_request() -> None:
    """The problem that a token which was never one is answered with."""
    found = gate_of().lapsed(SHOP, "POST", bearing("it"))
    assert isinstance(found, Reply)
    assert json.loads(found.body)["type"] == "/problems/unauthorized"


# -- streams --------------------------------------------------------------------------------------

HEARTBEAT_MS = 5_000


class Quiet:
    """A store in which an event is committed when the test says so."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.moved = trio.Event()
        self.last = 0

    async def summary(self, now: int) -> Summary:
        return Summary({}, 0, 0, 0, 1, 0)

    async def events(self, after: int, limit: int) -> list[EventRecord]:
        await trio.lowlevel.checkpoint()
        seqs = range(after + 1, self.last + 1)
        return [EventRecord(it, 0, "r", "s", "running", 1, '{"kind":"acted"}') for it in seqs]

    def commit(self) -> None:
        self.last += 1
        moved, self.moved = self.moved, trio.Event()
        moved.set()


class Reader:
    """Somebody who reads a stream with a token, by a clock that the test moves."""

    def __init__(self, gate: Gate) -> None:
        self.views = Quiet()
        self.heard: list[bytes] = []
        self.ended_at: float | None = None
        self._gate = gate

    async def read(self) -> None:
        who = self._gate.check(routes.EVENTS, "", "GET", bearing("it"), "")
        assert isinstance(who, Who)
        front: Any = SimpleNamespace(
            views=self.views, clock=FakeClock(), file_id="f", instance="i",
            registry=self._gate.registry, engine=SimpleNamespace(draining=False),
            config=SimpleNamespace(heartbeat_ms=HEARTBEAT_MS),
        )  # fmt: skip
        tail = EventTail(cast(Views, self.views), "f", Digests(b""))

        def may_read() -> bool:
            return self._gate.check(routes.EVENTS, "", "GET", bearing("it"), "") == who

        async for part in await stream(cast(Front, front), tail, Start(), may_read):
            self.heard.append(part)
        self.ended_at = trio.current_time()


async def test_a_stream_ends_at_once_when_its_token_goes(autojump_clock: MockClock) -> None:
    """Not only at its next sign of life. A change of others' ends nothing."""
    gate = gate_of(token("it", Role.READ))
    reader = Reader(gate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.read)
        await trio.sleep(1)
        gate.registry.set_defined([], [token("it", Role.READ), token("new", Role.READ)])
        await trio.sleep(1)
        assert reader.ended_at is None
        gate.registry.set_defined([], [token("new", Role.READ)])
    assert reader.ended_at == pytest.approx(2)


async def test_a_stream_ends_within_a_heartbeat_when_its_token_runs_out(
    autojump_clock: MockClock,
) -> None:
    """And says nothing more from that moment on, whatever is committed."""
    clock = FakeClock()
    registry = Registry(Kept(), clock.utc_ms)
    registry.set_defined([], [token("it", Role.READ, expires_at=clock.utc_ms() + 2_000)])
    reader = Reader(Gate(Access(()), registry))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.read)
        await trio.sleep(1)
        reader.views.commit()
        await trio.sleep(0.5)
        assert any(b"id: f-1\n" in part for part in reader.heard)
        heard = len(reader.heard)
        await trio.sleep(1)
        reader.views.commit()
    assert len(reader.heard) == heard
    assert reader.ended_at is not None
    assert 2 <= reader.ended_at <= 2 + HEARTBEAT_MS / 1000
