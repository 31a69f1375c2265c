"""What the transport makes of an answer: framing, limits and everything a peer may do wrong."""

from __future__ import annotations

import gzip

import httpx
import pytest
import trio

from engine.core.outcome import FAILED_BODY_BYTES_MAX
from engine.http.answers import HEADER_LINES_MAX, AnswerTooLarge, BadAnswer
from tests.call.scripted_server import OK, Peer, always_ok, answering, lean, post, serving

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK_AND_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


async def test_the_request_on_the_wire() -> None:
    """Host, identity, length and the caller's lines are sent once, and the body behind them."""
    async with serving(always_ok) as server, lean() as transport:
        answer = await post(transport, server, b'{"a":1}')
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert (answer.status, answer.body, body) == (200, b"ok", b'{"a":1}')
    assert head.split(b"\r\n") == [
        b"POST /hook HTTP/1.1",
        b"Host: 127.0.0.1:%d" % server.port,
        b"Content-Type: application/json",
        b"Accept-Encoding: identity",
        b"Content-Length: 7",
    ]


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 00 \t\r\n\r\n", b""),
        (CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n", b"abcde"),
        (OK_AND_CLOSE + b"to the end", b"to the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Encoding: identity\r\n\r\nx", b"x"),
        (
            b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2\r\nContent-Length: 1\r\n\r\nx",
            b"x",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK, b"ok"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 10_000])
async def test_every_framing_and_every_split(raw: bytes, body: bytes, piece_bytes: int) -> None:
    """RFC 9112 §6.3 in each of its forms, in one piece and byte by byte."""
    pieces = [raw[i : i + piece_bytes] for i in range(0, len(raw), piece_bytes)]

    async def script(peer: Peer) -> None:
        await peer.answer(*pieces)

    async with serving(script) as server, lean() as transport:
        answer = await post(transport, server)
    assert answer.body == body


BAD = {
    "not HTTP": (b"SSH-2.0-OpenSSH_9\r\n", None),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\n\r\n", None),
    "RTSP": (b"RTSP/1.0 200 OK\r\n\r\n", None),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", None),
    "empty lines first": (b"\r\n\r\n" + OK, None),
    "NUL in a header": (b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", None),
    "folded header": (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", None),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", None),
    "length and chunked": (CHUNKED[:-2] + b"Content-Length: 1\r\n\r\n", None),
    "status 000": (b"HTTP/1.1 000 Odd\r\n\r\n", None),
    "switching protocols": (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", 101),
    "length cut short": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", 200),
    "chunk cut short": (CHUNKED + b"9\r\ncut", 200),
    "last chunk missing": (CHUNKED + b"3\r\nabc\r\n", 200),
    "bad chunk": (CHUNKED + b"zz\r\nabc\r\n", 200),
    "gzip, chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 200),
    "chunked twice": (CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200),
    "chunked in 1.0": (CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", 200),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_answer_is_refused(case: str) -> None:
    """What is not one whole, plain HTTP/1.1 answer is an error, and the connection is not kept."""
    raw, status = BAD[case]
    async with serving(answering(raw)) as server, lean() as transport:
        with pytest.raises(BadAnswer) as caught:
            await post(transport, server)
        assert transport.idle_count == 0
    assert caught.value.http_status == status
    assert "\n" not in str(caught.value)


async def test_what_is_not_http_is_known_before_the_peer_closes() -> None:
    """A peer that greets with another protocol and waits costs no attempt time-out."""

    async def script(peer: Peer) -> None:
        await peer.answer(b"220 mail ESMTP\r\n")
        await peer.wait_closed()

    async with serving(script) as server, lean() as transport:
        with pytest.raises(BadAnswer):
            await post(transport, server)


async def test_a_gzip_bomb_is_not_inflated() -> None:
    """Nothing encoded is inflated."""
    packed = gzip.compress(b"\0" * 1_000_000)
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
    async with serving(answering(raw % (len(packed), packed))) as server, lean() as transport:
        assert (await post(transport, server)).body == packed


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", OK_AND_CLOSE, CHUNKED + b"3e9\r\n"],
)
async def test_one_byte_over_the_limit(head: bytes) -> None:
    """The body's limit holds with a length, without one and over chunks; at the limit it fits."""
    async with lean(answer_bytes_max=1000) as transport:
        async with serving(answering(head + b"x" * 1001)) as server:
            with pytest.raises(AnswerTooLarge) as caught:
                await post(transport, server)
        assert caught.value.http_status == 200
        fits = head.replace(b"1001", b"1000").replace(b"3e9", b"3e8") + b"x" * 1000
        tail = b"\r\n0\r\n\r\n" if b"chunked" in head else b""
        async with serving(answering(fits + tail)) as server:
            assert len((await post(transport, server)).body) == 1000


@pytest.mark.parametrize("head", [OK_AND_CLOSE, CHUNKED, CHUNKED + b"1;"])
async def test_an_endless_body_ends_at_the_limit(head: bytes) -> None:
    """A body (or a chunk extension) without end is given up once it is over the limit."""
    piece = b"100\r\n" + b"x" * 256 + b"\r\n" if head == CHUNKED else b"x" * 4096

    async def script(peer: Peer) -> None:
        await peer.answer(head)
        while True:
            await peer.stream.send_all(piece)

    async with serving(script) as server, lean(answer_bytes_max=10_000) as transport:
        with pytest.raises(AnswerTooLarge):
            await post(transport, server)


FAILED = b"HTTP/1.1 503 Service Unavailable\r\n"


@pytest.mark.parametrize(
    ("framing", "size"),
    [
        (b"Content-Length: 1100000\r\n\r\n", 1_100_000),
        (b"Connection: close\r\n\r\n", None),
        (b"Transfer-Encoding: chunked\r\n\r\n10c8e0\r\n", None),
        (b"Content-Encoding: br\r\nContent-Length: 1100000\r\n\r\n", 1_100_000),
    ],
)
async def test_a_failure_is_read_no_further_than_is_kept(framing: bytes, size: int | None) -> None:
    """A page of a gateway's over the limit is an answer like any other, also one without end."""

    async def script(peer: Peer) -> None:
        await peer.answer(FAILED + framing + b"x" * 20_000)
        await peer.wait_closed()

    async with serving(script) as server, lean(answer_bytes_max=1_000_000) as transport:
        answer = await post(transport, server)
        assert transport.idle_count == 0
    assert (answer.status, answer.body) == (503, b"x" * FAILED_BODY_BYTES_MAX)
    assert answer.size == size if size else FAILED_BODY_BYTES_MAX < answer.size <= 20_000


async def test_a_failure_that_fits_keeps_its_connection() -> None:
    """What is kept whole is read whole."""
    page = b"x" * FAILED_BODY_BYTES_MAX
    raw = FAILED + b"Content-Length: %d\r\n\r\n%b" % (len(page), page)
    async with serving(answering(raw)) as server, lean() as transport:
        answer = await post(transport, server)
        assert (answer.body, answer.size, transport.idle_count) == (page, -1, 1)


@pytest.mark.parametrize("rest", [b"X: " + b"y" * 70_000, b"X: y\r\n" * (HEADER_LINES_MAX + 1)])
async def test_a_failure_whose_head_is_over_its_limits(rest: bytes) -> None:
    """It may have no such head the next time: bad, but not too large for good."""
    async with serving(answering(FAILED + rest + b"\r\n\r\n")) as server, lean() as transport:
        with pytest.raises(BadAnswer) as caught:
            await post(transport, server)
    assert (type(caught.value), caught.value.http_status) == (BadAnswer, 503)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (HEADER_LINES_MAX + 1) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
async def test_a_head_over_its_limits(head: bytes) -> None:
    """100,000 header lines, one line too many, and lines without end are refused."""
    async with serving(answering(head)) as server, lean() as transport:
        with pytest.raises(AnswerTooLarge):
            await post(transport, server)


async def test_endless_informational_answers_end_by_cancelling() -> None:
    """100 Continue for ever neither ends the call nor grows; the caller's cancel ends it."""
    sent = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        for n in range(1_000_000):
            await peer.stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)
            if n == 50:
                sent.set()

    async with serving(script) as server, lean() as transport:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, transport, server)
            await sent.wait()
            nursery.cancel_scope.cancel()
        assert nursery.cancel_scope.cancelled_caught
        assert transport.idle_count == 0


@pytest.mark.parametrize("sent_before", [b"", b"HTTP/1.1 200 O"])
@pytest.mark.parametrize("reset", [True, False])
async def test_a_connection_lost_before_the_head_is_whole(sent_before: bytes, reset: bool) -> None:
    """Closed or reset after the request, before a whole head: a read error."""

    async def script(peer: Peer) -> None:
        await peer.answer(sent_before)
        if reset:
            await peer.reset()

    async with serving(script) as server, lean() as transport:
        with pytest.raises(httpx.ReadError):
            await post(transport, server)


async def test_a_reset_within_the_body_is_an_answer_cut_short() -> None:
    """Once the head has come, a lost connection is reported with the answer's status."""

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n")
        await peer.reset()

    async with serving(script) as server, lean() as transport:
        with pytest.raises(BadAnswer) as caught:
            await post(transport, server)
        assert caught.value.http_status == 201


async def test_refused() -> None:
    """Nobody listens: a connect error, nothing sent."""
    async with serving(always_ok) as server:
        pass
    async with lean() as transport:
        with pytest.raises(httpx.ConnectError, match="no connection"):
            await post(transport, server)


async def test_an_answer_before_the_body_was_read() -> None:
    """A server that answers 413, reads nothing and resets while we send is heard."""

    async def script(peer: Peer) -> None:
        await peer.stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    async with serving(script) as server, lean() as transport:
        assert (await post(transport, server, b"x" * 10_000_000)).status == 413
        assert transport.idle_count == 0


async def test_a_redirect_is_told_and_not_followed() -> None:
    """It is an answer like any other, and ends the call."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(moved)) as server, lean() as transport:
        answer = await post(transport, server)
        assert (answer.status, answer.fields[b"location"]) == (302, b"http://127.0.0.1:1/")
    assert len(server.requests) == 1
