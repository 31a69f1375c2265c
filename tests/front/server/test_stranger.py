"""Connections from elsewhere than the proxies: refused by their head, before a body is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from trio.testing import MockClock

from tests.front.raw_http import App, Client, connected, get, post

pytestmark = pytest.mark.usefixtures("by_the_door")


@pytest.fixture
def by_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a door nobody knows the proxies."""
    monkeypatch.setattr("tests.front.raw_http.WITH_DOOR", True)


@asynccontextmanager
async def stranger() -> AsyncIterator[tuple[App, Client]]:
    """A client that is one."""
    async with connected() as (app, server, _):
        app.strangers = frozenset({"127.0.0.1"})
        yield app, await server.connect()


@pytest.mark.parametrize(
    "raw",
    [
        get("/second"),
        post("/echo", b"x" * 100_000)[:100],
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=["get", "post", "chunked", "expect"],
)
async def test_a_stranger_is_refused_by_its_head(raw: bytes, mock_clock: MockClock) -> None:
    """And the connection ends: nothing is read of a body."""
    async with stranger() as (app, client):
        await client.send(raw)
        answer = await client.read_answer()
        assert (answer.status, answer.body) == (403, b"not 127.0.0.1")
        assert answer.headers["connection"] == "close"
        assert await client.read_rest() == b""
        assert app.calls == []


async def test_a_stranger_may_ask_for_health(mock_clock: MockClock) -> None:
    """Again and again, and each request is looked at."""
    async with stranger() as (_, client):
        for _turn in range(2):
            await client.send(get("/fine"))
            assert (await client.read_answer()).status == 200
        await client.send(get("/fine") + get("/second"))
        assert (await client.read_answer()).status == 200
        assert (await client.read_answer()).status == 403


async def test_whoever_is_none_is_served(mock_clock: MockClock) -> None:
    """Where a connection comes from matters only if it comes from elsewhere."""
    async with connected() as (app, server, _):
        app.strangers = frozenset({"192.0.2.1"})
        client = await server.connect()
        await client.send(post("/echo", b"x"))
        assert (await client.read_answer()).body == b"x"
