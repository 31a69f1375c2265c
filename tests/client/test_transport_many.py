"""Many posts that hang, many threads, a fork, and no descriptors left."""

from __future__ import annotations

import os
import resource
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest

from engine.client import AsyncClient, Client, Reposts, Unreachable, sockets
from engine.client.transport import BlockingTransport
from engine.wire import Status
from tests.client.raw_server import OK, WAYS, Peer, always, serving, way_of

JSON = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}"  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_cap(backend: str):
    """A hundred and fifty posts hang at once, and one more goes through; then all are reused."""
    count = 150
    all_there = threading.Barrier(count + 1)

    def script(peer: Peer) -> None:
        for number in range(2):
            if not peer.read_request():
                return
            if number == 0 and not peer_is_last.acquire(blocking=False):
                all_there.wait(30)
            peer.sock.sendall(JSON)

    peer_is_last = threading.Semaphore(0)

    async def main(url: str) -> None:
        async with AsyncClient(url, reposts=Reposts(count=0)) as client:
            async with anyio.create_task_group() as group:
                for _ in range(count):
                    group.start_soon(client.operate.status)
                while all_there.n_waiting < count:
                    await anyio.lowlevel.checkpoint()
                peer_is_last.release()
                assert await client.operate.status() == Status()
                all_there.wait()
            assert client._exchange._own is not None
            assert client._exchange._own.connections.idle_count == count + 1
            async with anyio.create_task_group() as group:
                for _ in range(count):
                    group.start_soon(client.operate.status)

    with serving(script) as server:
        anyio.run(main, server.url.rpartition("/")[0], backend=backend)
        assert server.connections == count + 1


def test_threads_share_a_client():
    """Each answer goes to the thread that asked, and connections are used again."""

    def script(peer: Peer) -> None:
        while request := peer.read_request():
            body = request.partition(b"\r\n\r\n")[2]
            peer.sock.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )

    with serving(script) as server, httpx.Client(transport=BlockingTransport()) as client:

        def work(number: int) -> bool:
            words = [b"%d/%d" % (number, turn) for turn in range(50)]
            return all(client.post(server.url, content=word).content == word for word in words)

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(work, range(8)))
        assert server.connections <= 8


def test_a_close_ends_a_thread_that_waits():
    """A post that hangs in another thread fails when the client is closed."""
    heard = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        heard.set()
        peer.wait_closed()

    with serving(script) as server, ThreadPoolExecutor(1) as threads:
        transport = BlockingTransport()
        client = httpx.Client(transport=transport, timeout=None)
        waiting = threads.submit(client.post, server.url)
        assert heard.wait(5)
        transport.close()
        with pytest.raises(httpx.ReadError):
            waiting.result(5)


@pytest.mark.parametrize("name", WAYS)
def test_after_a_fork_connections_are_not_shared(name: str, monkeypatch: pytest.MonkeyPatch):
    """A worker that was forked with the client in it opens its own: else two processes would read
    each other's answers."""
    with serving(always()) as server, way_of(name) as way:
        way.post(server)
        monkeypatch.setattr(os, "getpid", lambda: -1)
        way.post(server)
        assert (server.connections, way.idle) == (2, 1)


@pytest.mark.parametrize("name", WAYS)
def test_too_many_open_files(name: str, monkeypatch: pytest.MonkeyPatch):
    """The error says how many there may be, and what to raise."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(always(OK)) as server, way_of(name) as way:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            with pytest.raises(httpx.ConnectError) as raised:
                way.post(server)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert str(raised.value) == (
            f"too many open files: this process may have {free} open at once, and each post that"
            " waits holds one. Raise the limit (`ulimit -n`, LimitNOFILE= of systemd, --ulimit"
            " nofile of a container)"
        )
        assert way.post(server).content == b"ok"


def test_the_client_tells_of_too_many_open_files(monkeypatch: pytest.MonkeyPatch):
    """What the application reads names the engine and the limit."""

    def none(*_: object) -> None:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(sockets, "socket", none)
    with Client("http://127.0.0.1:1", reposts=Reposts(count=0)) as client:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 cannot be reached: too many open"):
            client.operate.status()


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch):
    """Not for loopback nor for another engine: a proxy is given with `http=`."""
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with serving(always(JSON), host="localhost") as server:
        with Client(server.url.rpartition("/")[0]) as client:
            assert client.operate.status() == Status()


def test_a_name_and_a_password_in_the_address():
    """Are sent as RFC 7617 has it, for a proxy before the engine that asks for them."""
    with serving(always(JSON)) as server:
        with Client(server.url.replace("http://", "http://ada:p%40ss@").rpartition("/")[0]) as it:
            it.operate.status()
    assert b"\r\nAuthorization: Basic YWRhOnBAc3M=\r\n" in server.requests[0]
