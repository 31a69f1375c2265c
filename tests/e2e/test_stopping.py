"""Stopping and starting: in time, with an answer for everybody, and one engine for each file."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.e2e import harness
from tests.e2e.harness import (
    Answer,
    Application,
    Call,
    Client,
    EngineProcess,
    Handler,
    application,
    eventually,
    is_problem,
)

STOP_S_MAX = 10.0
REFUSED_S_MAX = 1.0
UNREAD_BYTES = 1_000_000


class Workflows:
    """An application whose workflow waits for a step that is not answered until `release`."""

    def __init__(self, shop: Client) -> None:
        self.shop = shop
        self.release = trio.Event()
        self.hang_url = ""

    async def workflow(self, call: Call) -> Answer:
        answer = await self.shop.post(self.hang_url, call.key)
        return Answer(200 if answer.status_code == 200 else 500, answer.content)

    async def hang(self, call: Call) -> Answer:
        await self.release.wait()
        return Answer(200, b'"released"')

    async def big(self, call: Call) -> Answer:
        return Answer(200, b'"' + b"x" * UNREAD_BYTES + b'"')


@asynccontextmanager
async def scene(engine: EngineProcess) -> AsyncIterator[tuple[Workflows, Application, Client]]:
    """The application, listening, and a client of the engine and of the one that follows it."""
    async with harness.client(engine.url) as shop:
        it = Workflows(shop)
        handlers: dict[str, Handler] = {"index": it.workflow, "hang": it.hang, "big": it.big}
        async with application(**handlers) as app:
            it.hang_url = app.at("hang")
            yield it, app, shop


async def unread_client(engine: EngineProcess, url: str, requests: int) -> trio.SocketStream:
    """A connection that asks for large answers and reads none of them."""
    sock = trio.socket.socket()
    sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4_096)
    await sock.connect(("127.0.0.1", int(engine.url.rpartition(":")[2])))
    stream = trio.SocketStream(sock)
    body = b'{"workflowName":"w","stepInvokeUrl":"%s","idempotencyKey":"big"}' % url.encode()
    head = (
        b"POST /shop HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    await stream.send_all((head + body) * requests)
    return stream


@pytest.mark.slow
async def test_sigterm_with_everything_at_once(tmp_path: Path) -> None:
    """Held callers, an unread client, a hanging endpoint: exit 0 within 10 s; then all goes on."""
    answers: dict[str, httpx.Response] = {}

    async def submit(name: str) -> None:
        answers[name] = await shop.post(app.at(name), name, retry={"count": 0})

    with harness.running(tmp_path, drain_grace_ms=1_500) as engine:
        async with scene(engine) as (it, app, shop):
            async with await unread_client(engine, app.at("big"), 20):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(submit, "index")
                    nursery.start_soon(submit, "hang")
                    await eventually(lambda: len(app.called("hang")) == 2)
                    await eventually(lambda: app.called("big"))
                    began = time.monotonic()
                    engine.signal(signal.SIGTERM)
                assert await engine.ended() == 0
                assert time.monotonic() - began < STOP_S_MAX
            assert engine.events("engine-stopped-well")
            for answer in answers.values():
                document = is_problem(answer, 503, "draining")
                assert answer.headers["retry-after"] == "1"
                assert answer.headers["location"] == f"/api/v1/steps/{document['id']}/outcome"
            assert len(answers) == 2
            it.release.set()
            second = await harness.restart(engine, tmp_path)
            try:
                for answer in answers.values():
                    await completed_after_the_stop(shop, answer.headers["location"])
                assert (await shop.read("/runs?status=completed"))["total"] == 3
            finally:
                second.kill()


async def completed_after_the_stop(shop: Client, location: str) -> None:
    """The step that the first engine had accepted is finished, at no retry's cost."""
    outcome = await shop.get(location)
    assert outcome.status_code == 200, outcome.text
    root = await shop.read(f"/steps/{outcome.json()['id']}")
    assert root["failures"] == 0
    assert root["attemptRows"][0]["status"] == "interruption"


@pytest.mark.slow
async def test_sigterm_lets_requests_in_flight_end(tmp_path: Path) -> None:
    """An endpoint that answers within the grace: its outcome is recorded, not asked for again."""
    with harness.running(tmp_path) as engine:
        async with scene(engine) as (it, app, shop):
            started = await shop.post(app.at("hang"), prefer="respond-async")
            await eventually(lambda: app.calls)
            engine.signal(signal.SIGTERM)
            await eventually(lambda: engine.events("stopping"))
            it.release.set()
            assert await engine.ended() == 0
            assert engine.events("engine-stopped-well")
            second = await harness.restart(engine, tmp_path)
            try:
                outcome = await shop.get(started.headers["location"])
                assert (outcome.status_code, outcome.json()["attempts"]) == (200, 1)
                assert len(app.calls) == 1
            finally:
                second.kill()


@pytest.mark.slow
async def test_draining_refuses_new_work_and_says_so(tmp_path: Path) -> None:
    """While it drains: no new submission, not ready, alive."""
    with harness.running(tmp_path) as engine:
        async with scene(engine) as (it, app, shop):
            await shop.post(app.at("hang"), prefer="respond-async")
            await eventually(lambda: app.calls)
            engine.signal(signal.SIGTERM)
            await eventually(lambda: engine.events("stopping"))
            assert (await shop.get("/readyz")).status_code == 503
            assert (await shop.get("/healthz")).status_code == 200
            refused = await shop.post(app.at("hang"), "other")
            is_problem(refused, 503, "draining")
            assert refused.headers["retry-after"] == "1"
            it.release.set()
            assert await engine.ended() == 0


@pytest.mark.slow
async def test_sigterm_twice(tmp_path: Path) -> None:
    """The second one hastens the end, and takes nothing that was acknowledged."""
    grace = {"drain_grace_ms": 50_000, "stop_deadline_ms": 60_000}
    with harness.running(tmp_path, **grace) as engine:
        async with scene(engine) as (it, app, shop):
            started = await shop.post(app.at("hang"), prefer="respond-async")
            await eventually(lambda: app.calls)
            engine.signal(signal.SIGTERM)
            await eventually(lambda: engine.events("stopping"))
            began = time.monotonic()
            while engine.exit_code is None:  # somebody who cannot wait; right after, it is an echo
                engine.signal(signal.SIGTERM)
                await trio.sleep(0.02)
            assert await engine.ended() == 0
            assert time.monotonic() - began < 25  # the grace was 50 s
            it.release.set()
            second = await harness.restart(engine, tmp_path)
            try:
                outcome = await shop.get(started.headers["location"])
                assert outcome.status_code == 200
            finally:
                second.kill()


@pytest.mark.slow
async def test_sigint_stops_as_well(tmp_path: Path) -> None:
    """Ctrl-C in a terminal is a graceful stop too."""
    with harness.running(tmp_path) as engine:
        engine.signal(signal.SIGINT)
        assert await engine.ended() == 0
        assert engine.events("engine-stopped-well")


def refused_start(directory: Path, **settings: Any) -> str:
    """Start an engine that must not start: exit code 2; what it says."""
    engine = harness.launch(directory, **settings)
    try:
        assert engine.wait() == 2
    except subprocess.TimeoutExpired:
        engine.kill()
        raise
    return engine.text


@pytest.mark.slow
def test_one_engine_for_each_file(tmp_path: Path) -> None:
    """A second engine is refused within 1 s and names the owner; kill -9 frees the file.

    Within 1 s of what a start takes that is refused for its settings. Of several, as the machine
    may be busy with one; if it waited for the file, each of them would.
    """
    with harness.running(tmp_path) as owner:
        empty = min(refused_start_time(tmp_path, host="0.0.0.0") for _ in range(3))
        assert min(refused_start_time(tmp_path) for _ in range(3)) < REFUSED_S_MAX + empty
        text = refused_start(tmp_path)
        assert f"process id {owner.pid}" in text
        assert owner.url in text
        assert "Traceback" not in text
        twice = refused_start(tmp_path, port=int(owner.url.rpartition(":")[2]))
        assert f"process id {owner.pid}" in twice, "the port that is taken too hides the owner"
        owner.kill()
        with harness.running(tmp_path):
            pass


def refused_start_time(directory: Path, **settings: Any) -> float:
    """How long a process takes here that must not start."""
    began = time.monotonic()
    refused_start(directory, **settings)
    return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_addresses_are_refused(tmp_path: Path, host: str) -> None:
    """Without tokens the engine binds loopback only, and says what it takes."""
    text = refused_start(tmp_path, host=host)
    assert host in text
    assert "is reached by others than this machine. Add to atomic.toml `admin_token_file" in text
    assert "one of `tls_cert" in text
    assert "Traceback" not in text
    assert not (tmp_path / "a.db").exists()


@pytest.mark.slow
def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The line names address and port, and what to do; the file is left alone."""
    with harness.running(tmp_path) as engine:
        port = int(engine.url.rpartition(":")[2])
        text = refused_start(tmp_path, port=port, db=str(tmp_path / "other.db"))
        assert str(port) in text
        assert "--port" in text
        assert "Traceback" not in text
