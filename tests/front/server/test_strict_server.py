"""The server refuses every request that two parsers could read in two ways."""

from __future__ import annotations

import json

import pytest

from tests.front.raw_http import connected, get
from tests.front.server.strict_requests import CHUNKED, GOOD, LIMITS, REFUSED, echo

pytestmark = pytest.mark.usefixtures("all_ways")


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(name: str, mock_clock: object) -> None:
    """A refused request gets one problem document and the end; the next one is never served."""
    status, raw = REFUSED[name]
    async with connected(LIMITS) as (app, server, client):
        await client.send(raw + get("/second"))
        answer = await client.read_answer()
        assert await client.read_rest() == b""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    problem = json.loads(answer.body)
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert problem["detail"]
    assert "/second" not in app.calls
    assert app.calls == []
    assert server.counters.requests_refused == 1
    assert server.counters.faults_contained == 0


@pytest.mark.parametrize("name", GOOD)
async def test_accepted(name: str, mock_clock: object) -> None:
    """What RFC 9112 allows is served, up to each limit exactly."""
    raw, body = GOOD[name]
    async with connected(LIMITS) as (_, _, client):
        await client.send(raw)
        answer = await client.read_answer()
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    "upgrade",
    [
        ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
        ["Connection: Upgrade", "Upgrade: TLS/1.0"],
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAA"],
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: %%%"],
        ["Connection: Upgrade", "Upgrade: h2c, websocket"],
        ["Upgrade: H2C"],
    ],
)
async def test_no_upgrade(upgrade: list[str], mock_clock: object) -> None:
    """An Upgrade is ignored: answered in HTTP/1.1, and the connection goes on in HTTP/1.1."""
    async with connected() as (app, _, client):
        for _ in range(2):
            await client.send(get("/fine", *upgrade))
            answer = await client.read_answer()
            assert (answer.status, answer.body) == (200, b"fine")
            assert "upgrade" not in answer.headers
    assert app.calls == ["/fine", "/fine"]


H2C = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAA"]


@pytest.mark.parametrize("framing", ["Content-Length: 33", CHUNKED])
async def test_a_body_behind_an_upgrade_to_http2(framing: str, mock_clock: object) -> None:
    """It is read as HTTP/1.1 has it, and what follows is the next request: nothing is smuggled."""
    inner = get("/second")
    body = inner if framing != CHUNKED else b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)
    async with connected() as (app, _, client):
        await client.send(echo(framing, *H2C, body=body) + get("/fine", *H2C))
        answers = [await client.read_answer() for _ in range(2)]
    assert [(each.status, each.body) for each in answers] == [(200, inner), (200, b"fine")]
    assert app.calls == ["/echo", "/fine"]


async def test_a_client_that_takes_the_upgrade_for_granted(mock_clock: object) -> None:
    """Its request is answered in HTTP/1.1; its frames are no request, and end the connection."""
    async with connected() as (app, _, client):
        await client.send(get("/fine", *H2C) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        first, second = await client.read_answer(), await client.read_answer()
        assert await client.read_rest() == b""
    assert (first.status, first.body, second.status) == (200, b"fine", 505)
    assert "only HTTP/1.1" in json.loads(second.body)["detail"]
    assert app.calls == ["/fine"]


async def test_bad_body_after_head(mock_clock: object) -> None:
    """A body that turns out bad while its handler waits: 400, the handler cancelled, the end."""
    async with connected(LIMITS) as (app, _, client):
        await client.send(echo(CHUNKED, body=b"1\r\na\r\n"))
        await client.send(b"zz\r\n" + get("/second"))
        answer = await client.read_answer()
        assert await client.read_rest() == b""
    assert answer.status == 400
    assert "/second" not in app.calls


async def test_refusal_survives_unread_input() -> None:
    """The refusal of a long upload arrives though the client goes on sending: no reset."""
    async with connected(LIMITS) as (app, _, client):
        await client.send(echo("Content-Length: 500000"))
        await client.send(b"x" * 500_000)
        answer = await client.read_answer()
        assert answer.status == 413
        await client.stream.send_eof()
        assert await client.read_rest() == b""
    assert app.calls == []
