"""What the end-to-end tests share: engine process, small application, client, cutting proxy.

Everything is real: processes, sockets on 127.0.0.1, the clock. So nothing here waits for a length
of time in the hope that something has happened by then: `eventually` waits for a condition and has
a deadline, and times are asserted only where they are the promise ("never early"). How late is the
machine's doing here; under Trio's MockClock (tests/runs) it is the engine's.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.e2e import warm
from tests.loopback import free_port

ROOT_DIRECTORY = Path(__file__).parents[2]
START_TIMEOUT_S = 60
EXIT_TIMEOUT_S = 60
PATIENCE_S = 60.0
"""How long a condition may take to come true before its test fails. Never waited out in full."""
CLOCK_S = 0.001
"""The engine counts whole milliseconds: what has begun within one ends so much earlier."""
SETTINGS = {"drain_grace_ms": 200, "heartbeat_ms": 100}
"""Short: what a test leaves behind is not waited for, and the stream says often that it lives."""
SLOW_POST = b"POST /shop HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SLOW_POST += b"Content-Length: 100\r\n\r\n{"
"""Its body is on its way, so that its connection makes room for nobody."""


# -- the engine ----------------------------------------------------------------------------------


class EngineProcess:
    """An engine as a process of its own. Ended by its id, and always waited for."""

    def __init__(self, process: warm.Engine, log_path: Path) -> None:
        self._process = process
        self.log_path = log_path
        self.url = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def text(self) -> str:
        """All that the process has written to standard error."""
        return self.log_path.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's records of this name."""
        lines = [line for line in self.text.splitlines() if line.startswith("{")]
        return [record for record in map(json.loads, lines) if record["event"] == name]

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float = EXIT_TIMEOUT_S) -> int:
        """Its exit code, once it has ended. Blocks; raises TimeoutExpired of subprocess."""
        return self._process.wait(timeout_s)

    async def ended(self, timeout_s: float = EXIT_TIMEOUT_S) -> int:
        """The same without blocking the loop."""
        await eventually(lambda: self.exit_code is not None, timeout_s)
        return self.wait()

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()


def launch(
    directory: Path, *, stderr: int | None = None, descriptors: int | None = None, **settings: Any
) -> EngineProcess:
    """Start an engine and do not wait for it. The file is `directory`/a.db unless settings say.

    It logs to a file of its own, or to the descriptor `stderr`, and may open `descriptors` files.
    """
    values = {"db": str(directory / "a.db"), "port": free_port(), "log_format": "json", **settings}
    number = len(list(directory.glob("engine-*.log")))
    log_path = directory / f"engine-{number}.log"
    with log_path.open("wb") as log:
        err = log.fileno() if stderr is None else stderr
        process = warm.engine(values, directory, log.fileno(), err, descriptors)
    return EngineProcess(process, log_path)


def start(directory: Path, **settings: Any) -> EngineProcess:
    """Start an engine and wait until it listens; its address is in `url`."""
    engine = launch(directory, **settings)
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (listening := engine.events("listening")):
        if engine.exit_code is not None or time.monotonic() > deadline:
            engine.kill()
            raise AssertionError(f"the engine did not start:\n{engine.text}")
        time.sleep(0.01)
    engine.url = listening[0]["url"]
    return engine


@contextmanager
def running(directory: Path, **settings: Any) -> Iterator[EngineProcess]:
    """An engine for the length of a block. Killed at its end if the test has not ended it."""
    engine = start(directory, **settings)
    try:
        yield engine
    finally:
        if engine.exit_code is None:
            engine.kill()


async def restart(engine: EngineProcess, directory: Path, **settings: Any) -> EngineProcess:
    """A new engine on the file and the port of one that has ended.

    Does not block the test's own servers: they may be called before this returns.
    """
    assert engine.exit_code is not None
    port = int(engine.url.rpartition(":")[2])
    return await trio.to_thread.run_sync(lambda: start(directory, port=port, **settings))


# -- the application -----------------------------------------------------------------------------


@dataclass
class Call:
    """One request that reached the application."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    at: float
    """Trio time when it had been read whole."""
    answered_at: float = 0.0
    """Just before the answer was sent."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def key(self) -> str:
        """The submitted idempotency key."""
        return str(json.loads(self.body)["idempotencyKey"])

    @property
    def payload(self) -> Any:
        return json.loads(self.body)["payload"]

    @property
    def own_key(self) -> str:
        """The step's own key, as the header has it (a structured-field string)."""
        return self.headers["idempotency-key"]

    @property
    def parent_token(self) -> str:
        return self.headers["atomic-parent"]

    @property
    def run_id(self) -> str:
        return self.headers["atomic-run-id"]

    @property
    def attempt(self) -> int:
        return int(self.headers["atomic-attempt"])


@dataclass
class Answer:
    """What an endpoint answers."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Answer]]


class Application:
    """An HTTP server of the test's own: one handler for each last segment of a path.

    A handler that fails with an HTTP error of its client answers 500, as frameworks do. Any other
    exception is the test's bug and fails the test. A caller that hangs up does not end a handler.
    """

    def __init__(self, port: int, handlers: Mapping[str, Handler]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.handlers = dict(handlers)
        self.calls: list[Call] = []

    def at(self, name: str, port: int | None = None) -> str:
        """The URL of an endpoint, on another port where a proxy stands before it."""
        return f"http://127.0.0.1:{port or self.port}/workflows/w/steps/{name}"

    def called(self, name: str) -> list[Call]:
        """The calls of one endpoint, in the order they came."""
        return [call for call in self.calls if call.name == name]

    async def serve_connection(self, stream: trio.SocketStream) -> None:
        """Answer the requests of one connection, in turn."""
        reader = _Reader(stream)
        async with stream:
            try:
                while (call := await reader.next_call()) is not None:
                    self.calls.append(call)
                    answer = await self._answer(call)
                    call.answered_at = trio.current_time()
                    await stream.send_all(_encoded(answer))
            except trio.BrokenResourceError:
                pass  # the engine hung up: what it makes of that is what tests look at

    async def _answer(self, call: Call) -> Answer:
        handler = self.handlers.get(call.name)
        if handler is None:
            return Answer(404, b"no such endpoint", {"Content-Type": "text/plain"})
        try:
            return await handler(call)
        except httpx.HTTPError:
            return Answer(500, b'{"error":"a post failed"}')


def _encoded(answer: Answer) -> bytes:
    headers = {"Content-Type": "application/json", **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} Whatever", f"Content-Length: {len(answer.body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


class _Reader:
    """Reads requests that have a Content-Length: the engine sends no others."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._data = bytearray()

    async def next_call(self) -> Call | None:
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            if not await self._more():
                return None
        first, *lines = bytes(self._data[:end]).decode().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        size = end + 4 + int(headers["content-length"])
        while len(self._data) < size:
            if not await self._more():
                return None
        body = bytes(self._data[end + 4 : size])
        del self._data[:size]
        return Call(first.split()[1], headers, body, trio.current_time())

    async def _more(self) -> bool:
        received = await self._stream.receive_some()
        self._data += received
        return bool(received)


async def fine(call: Call) -> Answer:
    """Answers 200 at once, naming the endpoint."""
    return Answer(200, json.dumps({"done": call.name}).encode())


@asynccontextmanager
async def application(_port: int = 0, /, **handlers: Handler) -> AsyncIterator[Application]:
    """A listening application. At the end its connections are cut and its handlers cancelled."""
    listeners = await trio.open_tcp_listeners(_port, host="127.0.0.1")
    app = Application(listeners[0].socket.getsockname()[1], handlers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, app.serve_connection, listeners)
        yield app
        nursery.cancel_scope.cancel()


# -- the client ----------------------------------------------------------------------------------


class Client:
    """Somebody who talks to an engine: posts under one client name, reads, and operates."""

    def __init__(self, http: httpx.AsyncClient, name: str) -> None:
        self.http = http
        self.name = name

    async def post(
        self,
        url: str,
        key: str = "k",
        payload: Any = None,
        *,
        parent_token: str | None = None,
        prefer: str | None = None,
        **members: Any,
    ) -> httpx.Response:
        """Submit a step. `members` are the further members of the body, as the wire has them."""
        headers = {} if parent_token is None else {"Atomic-Parent": parent_token}
        if prefer is not None:
            headers["Prefer"] = prefer
        body = {"workflowName": "w", "stepInvokeUrl": url, "idempotencyKey": key, **members}
        if payload is not None:
            body["payload"] = payload
        return await self.http.post(f"/{self.name}", json=body, headers=headers)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def read(self, path: str) -> Any:
        """The JSON document at a path under /api/v1; fails the test unless it is there."""
        answer = await self.http.get(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def steps(self, run_id: str) -> dict[str, dict[str, Any]]:
        """The steps of a run by their names."""
        return {step["name"]: step for step in (await self.read(f"/runs/{run_id}"))["steps"]}

    async def run_status(self, run_id: str) -> str:
        return str((await self.read(f"/runs/{run_id}"))["run"]["status"])

    async def wait_run(self, run_id: str, *statuses: str) -> dict[str, Any]:
        """The run, once it has one of these statuses."""
        run: dict[str, Any] = {}

        async def reached() -> bool:
            run.update((await self.read(f"/runs/{run_id}"))["run"])
            return run["status"] in statuses

        await eventually_async(reached)
        return run

    async def wait_step(self, step_id: str, status: str) -> None:
        """Return once the step has this status."""

        async def reached() -> bool:
            return bool((await self.read(f"/steps/{step_id}"))["status"] == status)

        await eventually_async(reached)

    async def act(self, run_id: str, action: str, **members: Any) -> httpx.Response:
        """An operator's action."""
        return await self.http.post(
            f"/api/v1/runs/{run_id}/actions", json={"action": action, **members}
        )


@asynccontextmanager
async def client(engine_url: str, name: str = "shop") -> AsyncIterator[Client]:
    """A client of the engine at this address."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=engine_url, limits=limits, timeout=PATIENCE_S, trust_env=False, verify=False
    ) as http:
        yield Client(http, name)


def is_problem(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """Assert that an answer is this problem, whole; returns its document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"/problems/{name}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["errorSource"] in ("request", "workflow", "engine")
    return document


# -- waiting -------------------------------------------------------------------------------------


async def eventually(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Return as soon as the condition holds; TooSlowError fails the test if it never does."""
    with trio.fail_after(within_s):
        while not condition():
            await trio.sleep(0.005)


async def eventually_async(
    condition: Callable[[], Awaitable[object]], within_s: float = PATIENCE_S
) -> None:
    """The same for a condition that has to ask."""
    with trio.fail_after(within_s):
        while not await condition():
            await trio.sleep(0.01)


# -- the proxy -----------------------------------------------------------------------------------


@dataclass
class Proxy:
    """A TCP proxy that cuts every request whose answer takes too long, as long as it may."""

    port: int
    target_port: int
    patience_s: float
    may_cut: Callable[[], bool]
    cuts: int = 0

    async def serve_connection(self, near: trio.SocketStream) -> None:
        """Pass bytes on both ways until one side ends or an answer is overdue."""
        async with near:
            try:
                far = await trio.open_tcp_stream("127.0.0.1", self.target_port)
            except OSError:
                return
            due = [float("inf")]
            async with far, trio.open_nursery() as nursery:

                async def pass_on(
                    source: trio.SocketStream, sink: trio.SocketStream, then_within_s: float
                ) -> None:
                    with suppress(trio.BrokenResourceError):
                        async for data in source:
                            due[0] = trio.current_time() + then_within_s
                            await sink.send_all(data)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(pass_on, near, far, self.patience_s)
                nursery.start_soon(pass_on, far, near, float("inf"))
                while trio.current_time() < due[0] or not self.may_cut():
                    await trio.sleep(0.01)
                self.cuts += 1
                nursery.cancel_scope.cancel()


@asynccontextmanager
async def cutting_proxy(
    target_port: int, patience_s: float, may_cut: Callable[[], bool]
) -> AsyncIterator[Proxy]:
    """A proxy before a port of 127.0.0.1 that gives each request `patience_s` for its answer."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = Proxy(listeners[0].socket.getsockname()[1], target_port, patience_s, may_cut)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.serve_connection, listeners)
        yield proxy
        nursery.cancel_scope.cancel()
