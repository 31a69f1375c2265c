"""Who may not send a request is told so by its head: its body is not read."""

from __future__ import annotations

import pytest

from tests.front import raw_http
from tests.front.raw_http import Answer, connected, get, post


@pytest.fixture(autouse=True)
def _door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_http, "WITH_DOOR", True)


def check_denied(answer: Answer) -> None:
    assert (answer.status, answer.body) == (401, b"{}")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/echo", "/early/now"])
@pytest.mark.parametrize("size", ["Content-Length: 500000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("expects", ["Expect: 100-continue", "X-Nothing: 1"])
async def test_the_body_is_not_waited_for(path: str, size: str, expects: str) -> None:
    """Not a byte of it has to come, nor is `100 Continue` said; whichever way it would go."""
    async with connected() as (app, server, client):
        app.asks_token = True
        await client.send(
            f"POST {path} HTTP/1.1\r\nHost: a\r\n{size}\r\n{expects}\r\n\r\n".encode()
        )
        check_denied(await client.read_answer())
        await client.stream.send_eof()
        assert await client.read_rest() == b""
    assert app.calls == []
    assert server.counters.requests_refused == 1


async def test_the_answer_survives_a_body_that_comes_all_the_same() -> None:
    """No reset overtakes it, and what follows on the connection is not served."""
    async with connected() as (app, _, client):
        app.asks_token = True
        await client.send(post("/echo", b"x" * 500_000) + get("/second"))
        check_denied(await client.read_answer())
        await client.stream.send_eof()
        assert await client.read_rest() == b""
    assert app.calls == []


async def test_what_has_no_body_is_answered_like_any_other() -> None:
    """Its connection goes on: who asks without a token may ask again with one."""
    async with connected() as (app, _, client):
        app.asks_token = True
        for _ in range(2):
            await client.send(get("/fine"))
            assert (await client.read_answer()).status == 200
        await client.send(post("/echo", b""))
        assert (await client.read_answer()).status == 200


async def test_the_next_request_is_looked_at_too() -> None:
    """A token is asked for from one request to the next, on a connection that is open."""
    async with connected() as (app, _, client):
        await client.send(post("/echo", b"x"))
        assert (await client.read_answer()).body == b"x"
        app.asks_token = True
        await client.send(post("/echo", b"x"))
        check_denied(await client.read_answer())
