"""The client's own transport on asyncio, Trio and in threads: framing, errors, time-outs, pool."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator

import httpx
import pytest

from engine.client import transport as transport_module
from tests.client.raw_server import CHUNKED, OK, WAYS, Peer, Way, always, serving, way_of


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """A client on each of the three ways."""
    with way_of(request.param) as it:
        yield it


def test_the_request_on_the_wire(way: Way):
    """Lines as httpx gives them; how the message is framed is said by the transport alone."""
    with serving(always()) as server:
        answer = way.post(server, b"[1]", headers={"Transfer-Encoding": "x", "A": "b"})
        way.request("GET", server.url + "?q=a%20b")
    assert (answer.status_code, answer.content) == (200, b"ok")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /hook HTTP/1.1"
    assert lines.count(b"Content-Length: 3") == 1
    assert b"Host: 127.0.0.1:%d" % server.port in lines
    assert b"A: b" in lines
    assert b"transfer-encoding" not in head.lower()
    assert body == b"[1]"
    assert server.requests[1].startswith(b"GET /hook?q=a%20b HTTP/1.1\r\n")
    assert b"content-length" not in server.requests[1].lower()


@pytest.mark.parametrize("piece_bytes", [1, 10_000])
@pytest.mark.parametrize(
    ("raw", "body", "kept"),
    [
        (OK, b"ok", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n" + OK, b"ok", True),
        (CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n", b"abcde", True),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", b"old", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
            % (len(gzip.compress(b"packed", mtime=0)), gzip.compress(b"packed", mtime=0)),
            b"packed",
            True,
        ),
    ],
)
def test_every_framing(way: Way, raw: bytes, body: bytes, kept: bool, piece_bytes: int):
    """RFC 9112 §6.3 in each of its forms, in one piece and byte by byte, reused where it may be."""

    def script(peer: Peer) -> None:
        peer.answer(*(raw[i : i + piece_bytes] for i in range(0, len(raw), piece_bytes)))
        if kept:
            peer.answer(OK)

    with serving(script) as server:
        assert way.post(server).content == body
        assert way.idle == kept
        if kept:
            assert way.post(server).content == b"ok"
            assert server.connections == 1


def test_a_large_answer_and_a_large_request(way: Way):
    """Megabytes go both ways whole, over one connection."""
    body = bytes(range(256)) * 8192

    def script(peer: Peer) -> None:
        while request := peer.read_request():
            sent = request.partition(b"\r\n\r\n")[2]
            peer.sock.sendall(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(sent), sent))

    with serving(script) as server:
        for _ in range(2):
            assert way.post(server, body).content == body
        assert server.connections == 1


def test_an_endless_answer_is_streamed_and_left(way: Way):
    """Pieces come as they are sent; leaving closes the connection at once."""

    def script(peer: Peer) -> None:
        peer.answer(CHUNKED + b"1\r\na\r\n")
        peer.wait_closed()

    with serving(script) as server:
        assert way.stream(server.url, 1) == [b"a"]
        assert server.closed.acquire(timeout=5)
        assert way.idle == 0


BAD = {
    "not HTTP": b"SSH-2.0-OpenSSH_9\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "length cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
    "last chunk missing": CHUNKED + b"3\r\nabc\r\n",
    "bad chunk": CHUNKED + b"zz\r\nabc\r\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_answer(way: Way, case: str):
    """Is httpx's RemoteProtocolError, and costs its connection."""
    with serving(lambda peer: peer.answer(BAD[case])) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            way.post(server)


def test_a_connection_that_breaks(way: Way):
    """Closed or reset before an answer: ReadError; nobody there: ConnectError, in words."""
    with serving(lambda peer: peer.answer()) as server, pytest.raises(httpx.ReadError):
        way.post(server)

    def reset(peer: Peer) -> None:
        peer.read_request()
        peer.reset()

    with serving(reset) as server, pytest.raises(httpx.ReadError):
        way.post(server)
    with pytest.raises(httpx.ConnectError, match=r"^connection refused$"):
        way.post(server)
    with pytest.raises(httpx.ConnectError, match="not resolved"):
        way.request("GET", "http://no-such-host.invalid/")
    with pytest.raises(httpx.UnsupportedProtocol):
        way.request("GET", "ftp://127.0.0.1/")


def test_an_answer_before_the_request_was_read(way: Way):
    """A server that refuses a large body and closes is heard; its connection is not kept."""

    def script(peer: Peer) -> None:
        peer.sock.recv(10)
        peer.sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        peer.sock.shutdown(socket.SHUT_WR)
        peer.wait_closed()

    with serving(script) as server:
        assert way.post(server, b"x" * 100_000).status_code == 413


def test_time_outs(way: Way):
    """Nothing comes: ReadTimeout. Nothing is taken: WriteTimeout. No connection: ConnectTimeout."""
    with serving(Peer.wait_closed) as server:
        with pytest.raises(httpx.ReadTimeout):
            way.post(server, timeout=httpx.Timeout(5, read=0.01))
        assert server.closed.acquire(timeout=5)

    def stop(peer: Peer) -> None:
        peer.answer(OK[:-1])
        peer.wait_closed()

    with serving(stop) as server, pytest.raises(httpx.ReadTimeout):
        way.post(server, timeout=httpx.Timeout(5, read=0.01))

    def deaf(peer: Peer) -> None:
        server.closed.acquire(timeout=5)

    with serving(deaf) as server:
        with pytest.raises(httpx.WriteTimeout):
            way.post(server, b"x" * 50_000_000, timeout=httpx.Timeout(5, write=0.01))
        server.closed.release()


def test_no_place_in_the_queue_of_a_listener_is_a_connect_timeout(way: Way):
    """A SYN that nobody answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            with pytest.raises(httpx.ConnectTimeout):
                way.request(
                    "GET", f"http://127.0.0.1:{port}/", timeout=httpx.Timeout(5, connect=0.01)
                )


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1"])
def test_both_families_of_localhost(way: Way, bind: str):
    """The one that answers is taken, whichever comes first."""
    with serving(always(), host="localhost", bind=bind) as server:
        assert way.post(server).content == b"ok"


def test_an_address_of_ipv6(way: Way):
    """In brackets in the URL and in Host."""
    with serving(always(), host="[::1]", bind="::1") as server:
        assert way.post(server).content == b"ok"
    assert b"Host: [::1]:%d\r\n" % server.port in server.requests[0]


@pytest.mark.parametrize(
    "headers",
    [{"a": "b\r\nc: d"}, {"a": "b\nc"}, {"a": "b\0"}, {"a b": "c"}, {"": "c"}, {"a\r\nb": "c"}],
)
def test_what_no_header_may_hold(way: Way, headers: dict[str, str]):
    """Is refused before anything is sent."""
    with serving(always()) as server, pytest.raises(httpx.LocalProtocolError):
        way.post(server, headers=headers)
    assert server.connections == 0


def test_an_idle_connection_is_checked_before_it_is_used(way: Way):
    """Closed meanwhile, or with bytes that nobody asked for: another one is opened."""
    for unasked in (b"", OK):

        def script(peer: Peer, unasked: bytes = unasked) -> None:
            peer.answer(OK)
            if unasked:
                peer.sock.sendall(unasked)

        with serving(script) as server:
            way.post(server)
            assert server.closed.acquire(timeout=5)
            assert way.post(server).content == b"ok"
            assert server.connections == 2


def test_an_answer_with_more_behind_it_costs_the_connection(way: Way):
    """What lies behind would answer the next request."""
    with serving(always(OK + b"HTTP/1.1 200")) as server:
        for _ in range(2):
            assert way.post(server).content == b"ok"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("line", "age_s", "reused"),
    [
        (b"", 3.9, True),
        (b"", 4.0, False),
        (b"Keep-Alive: timeout=3\r\n", 1.9, True),
        (b"Keep-Alive: timeout=3\r\n", 2.0, False),
    ],
)
def test_a_connection_is_used_while_it_is_young(
    way: Way, line: bytes, age_s: float, reused: bool, monkeypatch: pytest.MonkeyPatch
):
    """Four seconds, or a second less than the server says."""
    now = 1000.0
    monkeypatch.setattr(transport_module, "monotonic", lambda: now)
    with serving(always(OK.replace(b"\r\n", b"\r\n" + line, 1))) as server:
        way.post(server)
        now += age_s
        way.post(server)
        assert server.connections == (1 if reused else 2)
        assert way.idle == 1


def test_a_closed_client(way: Way):
    """Ends what is under way, and takes nothing more."""
    hears = []

    def script(peer: Peer) -> None:
        peer.read_request()
        hears.append(True)
        if way.transport.connections.in_use_count:
            way.transport.connections.close()
        peer.wait_closed()

    with serving(script) as server:
        with pytest.raises(httpx.ReadError):
            way.post(server)
        with pytest.raises(RuntimeError, match="closed"):
            way.post(server)
    assert hears == [True]
