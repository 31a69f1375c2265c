"""Plays a scene to a real engine over real sockets, and writes down what was asked and answered.

Time stands still but where a scene lets it pass, so that all times are those of the scene. What
differs from one playing to the next (ids, parent tokens, ports) has a name instead, the same one
wherever it comes again.
"""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import trio
from msgspec import Struct
from trio.testing import MockClock, wait_all_tasks_blocked

from engine import main
from engine.front.api.context import Front
from engine.process.config import load
from engine.process.descriptors import needed, within
from engine.registry.files import Sources
from engine.registry.watch import Files
from tests.e2e.harness import Answer, Application, Call, application
from tests.hung import not_hung
from tests.reference_pages import OPENAPI
from tests.store.faults import Disk
from tests.world import EPOCH_MS, FakeClock, inline

SETTLES_S = 0.005
UNDISTURBED = {
    "port": 0,
    "memory_bytes_max": 1 << 30,
    "heartbeat_ms": 3_600_000,
    "standstill_ms": 3_600_000,
    "keep_alive_timeout_ms": 3_600_000,
}
"""Time that a scene lets pass is for what the scene is about."""
GATHERS = "engine.store.writer.GATHER_S_MAX"
"""While time stands still a batch that waits for more would wait for ever."""
CALLS_THE_APPLICATION = "engine.call.caller.HttpCaller.call"
A_BUG = LookupError("a bug of the engine's")
ANSWERS = {
    "ok": Answer(200, b'{"done":true}'),
    "text": Answer(200, "fine, grüße".encode(), {"Content-Type": "text/plain; charset=utf-8"}),
    "empty": Answer(204, b""),
    "broken": Answer(200, b'{"done":'),
    "large": Answer(200, b'"' + b"x" * 5_000 + b'"'),
    "declined": Answer(402, b'{"error":"card_declined","message":"insufficient funds"}'),
    "fails": Answer(500, b'{"error":"no stock"}'),
    "later": Answer(429, b"", {"Retry-After": "7"}),
    "never": Answer(409, b"no", {"Content-Type": "text/plain", "Atomic-No-Retry": "true"}),
    "moved": Answer(302, b"", {"Location": "/elsewhere?secret=1"}),
    "second": Answer(500, b"<html><title>Out of order</title>"),
}
"""What an endpoint answers, by the last segment of its path; `second` is `ok` when asked again."""
USUAL = [
    "x-content-type-options: nosniff",
    "content-security-policy: default-src 'none'; frame-ancestors 'none'",
    "cache-control: no-store",
    "referrer-policy: no-referrer",
    "cross-origin-resource-policy: same-origin",
    "date: <date>",
]
"""The header lines of nearly every answer: `<usual>` in the recording."""
WAITING = ("order", "charge", "ship", "mail")
"""These hold a request until the scene answers it."""


# -- what a scene is made of ---------------------------------------------------------------------


class Ask(Struct, frozen=True):
    """A request, and its answer; or with `begin` its beginning, for an `End` of that name."""

    request: str
    """Method and target."""
    body: Any = None
    """Text as it is, anything else as JSON."""
    headers: tuple[str, ...] = ()
    begin: str = ""


class End(Struct, frozen=True):
    """The answer to what was begun."""

    name: str


class Raw(Struct, frozen=True):
    """Bytes on a connection of their own, and all that comes back before it is closed."""

    text: str


class Called(Struct, frozen=True):
    """Wait for the n-th call of an endpoint; its run, step and parent token have names then."""

    endpoint: str
    times: int = 1


class Answers(Struct, frozen=True):
    """The answer of an endpoint that waits for one."""

    endpoint: str
    answer: Answer | None = None
    """None: that of `ok`."""


class Pass(Struct, frozen=True):
    """Time passes."""

    seconds: float


class Until(Struct, frozen=True):
    """Wait for a run's status."""

    run: str
    status: str
    headers: tuple[str, ...] = ()


class Follow(Struct, frozen=True):
    """Read the event stream, up to the counts that follow what there is."""

    headers: tuple[str, ...] = ()
    query: str = ""


class Trouble(Struct, frozen=True):
    """`disk` cannot be written (and `disk mended`), a `bug` meets all calls (`bug mended`) or the
    list of causes (`bug in reading`), or somebody asks the engine to `stop`."""

    what: str


Step = Ask | End | Raw | Called | Answers | Pass | Until | Follow | Trouble


class Scene(Struct, frozen=True):
    """A fresh engine with these settings, and what is said to it."""

    steps: tuple[Step, ...]
    settings: dict[str, Any] = {}


# -- names ---------------------------------------------------------------------------------------


class Names:
    """What differs from one playing to the next, under names that do not."""

    def __init__(self, **known: str) -> None:
        self._names = {value: f"<{name}>" for name, value in known.items()}
        self._values = {name: value for value, name in self._names.items()}
        self._counts: Counter[str] = Counter()
        run = "01[0-9A-HJKMNP-TV-Z]{24}"
        kinds = {
            "known": "|".join(map(re.escape, sorted(self._names, key=len, reverse=True))),
            "parent": rf"{run}(?:-[0-9a-f]{{20}})?\.\d+\.\d+\.[0-9a-f]{{20}}",
            "step": f"{run}-[0-9a-f]{{20}}",
            "run": run,
            "secret": "atomic_[A-Za-z0-9_-]{43}|whsec_[A-Za-z0-9+/]{43}=",
            "trace": "(?<=00-)[0-9a-f]{32}(?=-)",
            "span": "(?<=-)[0-9a-f]{16}(?=-01)",
            "time": r"20\d\d-\d\d-\d\dT[\d:.]{12}Z",
            "incident": '(?<="incident":")[0-9a-f]{12}',
            "place": r"(?<=\(in )\w+, \w+\.py:\d+(?=\))",
            "cause": '(?<="cause":")[0-9a-f]{6,}(?=")',
            "digest": '(?:(?<="fingerprint":")|(?<="digest":"))[A-Za-z0-9+/]{43}='
            '|(?<=Fingerprint":")[0-9a-f]{64}',
        }
        self._pattern = re.compile("|".join(f"(?P<{kind}>{it})" for kind, it in kinds.items()))

    def named(self, text: str) -> str:
        """The text with names; what is new gets one."""
        return self._pattern.sub(self._name, text)

    def _name(self, found: re.Match[str]) -> str:
        kind, value = str(found.lastgroup), found[0]
        if kind == "time":
            return f"<time {datetime.fromisoformat(value).timestamp() - EPOCH_MS / 1000:+.3f}>"
        if value not in self._names:
            self._counts[kind] += 1
            self._names[value] = name = f"<{kind}-{self._counts[kind]}>"
            self._values[name] = value
        return self._names[value]

    def real(self, text: str) -> str:
        """The text with what its names stand for."""
        return re.sub(r"<[a-z]+(?:-\d+)?>", lambda name: self._values[name[0]], text)

    def lines(self, lines: list[str]) -> list[str]:
        """Header lines. The length is not told: an answer that is shorter or longer is noticed."""
        found = [re.sub("^(date|content-length): .*", r"\1: <\1>", self.named(it)) for it in lines]
        at = found.index(USUAL[0]) if USUAL[0] in found else 0
        if found[at : at + len(USUAL)] == USUAL:
            found[at : at + len(USUAL)] = ["<usual>"]
        return found

    def body(self, data: bytes) -> Any:
        """A body as JSON where that says it byte for byte, else as text, in its lines."""
        text = self.named(data.decode(errors="backslashreplace"))
        try:
            value = json.loads(text)
            if json.dumps(value, ensure_ascii=False, separators=(",", ":")) == text:
                return value
        except ValueError:
            pass
        lines = text.splitlines(keepends=True)
        return lines if len(lines) > 1 else text


# -- the player ----------------------------------------------------------------------------------


class StillClock(FakeClock):
    """Ids and secrets by chance, but no delay."""

    def chance(self) -> float:
        return 0.5


class Player:
    """One engine, its application, and what was said so far."""

    def __init__(
        self, nursery: trio.Nursery, front: Front, disk: Disk, app: Application, stop: trio.Event,
        clock: MockClock, port: int, names: Names,
    ) -> None:  # fmt: skip
        self._nursery, self._front, self._disk, self._app = nursery, front, disk, app
        self._stop, self._clock, self._port, self.names = stop, clock, port, names
        self._begun: dict[str, list[dict[str, Any]]] = {}
        self._bugs = ExitStack()
        self._last: Step | None = None
        gate: Any = front.gate
        self._arrived = gate.check = mock.Mock(wraps=gate.check)
        self._answers_to: dict[str, tuple[trio.MemorySendChannel, trio.MemoryReceiveChannel]]
        self._answers_to = {name: trio.open_memory_channel[Answer](10) for name in WAITING}
        self._app.handlers = dict.fromkeys((*ANSWERS, *WAITING), self._answer)
        self.told: list[dict[str, Any]] = []

    async def _answer(self, call: Call) -> Answer:
        if call.name == "second" and call.attempt > 1:
            return ANSWERS["ok"]
        if call.name in ANSWERS:
            return ANSWERS[call.name]
        answer: Answer = await self._answers_to[call.name][1].receive()
        return answer

    async def play(self, step: Step) -> None:
        """One step, when the engine has come to rest after the one before."""
        await wait_all_tasks_blocked(0.001 if isinstance(self._last, Ask) else SETTLES_S)
        self._last = step
        match step:
            case Ask(begin=""):
                self.told.append(self._asked(step) | await self._answer_to(step))
            case Ask():
                self._begun[step.begin], before = [], self._arrived.call_count
                self.told.append({"begin": step.begin} | self._asked(step))
                self._nursery.start_soon(self._begin, step)
                await self._when(lambda: self._arrived.call_count > before)
            case End():
                await self._when(lambda: bool(self._begun[step.name]))
                self.told.append({"end": step.name} | self._begun[step.name][0])
            case Raw():
                await self._raw(step)
            case Called():
                await self._when(lambda: len(self._app.called(step.endpoint)) >= step.times)
                for name in ("atomic-run-id", "atomic-step-id", "atomic-parent"):
                    self.names.named(self._app.called(step.endpoint)[step.times - 1].headers[name])
            case Answers():
                self._answers_to[step.endpoint][0].send_nowait(step.answer or ANSWERS["ok"])
            case Pass():
                self._clock.jump(step.seconds)
                self.told.append({"passes": f"{step.seconds} s"})
            case Until():
                look = Ask(f"GET /api/v1/runs/{step.run}", headers=step.headers)
                while (await self._answer_to(look))["answer"]["run"]["status"] != step.status:
                    pass
            case Follow():
                await self._follow(step)
            case Trouble():
                self._trouble(step.what)
                self.told.append({"trouble": step.what})

    def calls(self) -> list[dict[str, Any]]:
        """What the application was asked."""
        return [
            {
                "called": call.path,
                "headers": self.names.lines([f"{name}: {it}" for name, it in call.headers.items()]),
                "body": self.names.body(call.body),
            }
            for call in self._app.calls
        ]

    @staticmethod
    async def _when(condition: Any) -> None:
        while not condition():
            await trio.lowlevel.checkpoint()

    @staticmethod
    def _asked(ask: Ask) -> dict[str, Any]:
        told = {"ask": ask.request, "with": list(ask.headers), "body": ask.body}
        return {name: value for name, value in told.items() if value not in (None, [])}

    async def _begin(self, ask: Ask) -> None:
        self._begun[ask.begin].append(await self._answer_to(ask))

    async def _connect(self, ask: Ask) -> trio.SocketStream:
        """A connection on which this was asked."""
        method, target = ask.request.split(" ", 1)
        lines = [f"{method} {target} HTTP/1.1", *ask.headers]
        if not any(line.startswith("Host: ") for line in lines):
            lines.append("Host: <engine>")
        if method == "POST" and not any(line.startswith("Content-Type: ") for line in lines):
            lines.append("Content-Type: application/json")
        text = ask.body if isinstance(ask.body, str) else json.dumps(ask.body, ensure_ascii=False)
        body = b"" if ask.body is None else self.names.real(text).encode()
        lines += [f"Content-Length: {len(body)}", "", ""]
        stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        await stream.send_all(self.names.real("\r\n".join(lines)).encode("latin1") + body)
        return stream

    async def _answer_to(self, ask: Ask) -> dict[str, Any]:
        async with await self._connect(ask) as stream:
            told, length, body = await self._head(stream)
            if ask.request.startswith("HEAD "):
                length = 0
            while len(body) < length:
                body += await stream.receive_some()
        assert len(body) == length, (ask, body)
        if ask.request == "GET /metrics":  # names, and no figures
            body = re.sub(rb"(?m)^([^#].*) \S+$", rb"\1", body)
        if ask.request == "GET /openapi.json":  # recorded already, for readers too
            assert json.loads(body) == json.loads(OPENAPI.read_bytes())
            body = b""
        return told | ({"answer": self.names.body(body)} if body else {})

    async def _head(self, stream: trio.SocketStream) -> tuple[dict[str, Any], int, bytes]:
        """The head of an answer, the length that it tells, and what came of the body with it."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin1").split("\r\n")
        length = next((int(it[16:]) for it in lines if it.startswith("content-length: ")), 0)
        told = {"status": status.split(" ")[1], "headers": self.names.lines(lines)}
        return told, length, body

    async def _raw(self, step: Raw) -> None:
        data = b""
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
            await stream.send_all(self.names.real(step.text).encode("latin1"))
            async for part in stream:
                data += part
        text = re.sub(r"(?m)^(HTTP/1.1 \d+) .*\r$", "\\1\r", data.decode("latin1"))
        came = self.names.lines(text.split("\r\n"))
        self.told.append({"sent": step.text, "came": came})

    async def _follow(self, step: Follow) -> None:
        ask = Ask(f"GET /api/v1/events{step.query}", headers=step.headers)
        async with await self._connect(ask) as stream:
            told, _, text = await self._head(stream)
            while b"event: counts\n" not in text or not text.endswith(b"\n\n\r\n"):
                text += await stream.receive_some()
        blocks = re.sub(rb"(?m)^[0-9a-f]+\r\n|\r\n", b"", text).decode()
        events = [self._event(each) for each in self.names.named(blocks).split("\n\n") if each]
        self.told.append(self._asked(ask) | told | {"events": events})

    def _event(self, block: str) -> Any:
        head, _, data = block.partition("\ndata: ")
        return [*head.split("\n"), self.names.body(data.encode())]

    def _trouble(self, what: str) -> None:
        match what:
            case "disk":
                self._disk.code = sqlite3.SQLITE_BUSY
            case "disk mended":
                self._disk.code = None
            case "stop":
                self._stop.set()
            case "bug":
                self._bugs.enter_context(mock.patch(CALLS_THE_APPLICATION, side_effect=A_BUG))
            case "bug in reading":
                views = type(self._front.views)
                self._bugs.enter_context(mock.patch.object(views, "causes", side_effect=A_BUG))
            case "bug mended":
                self._bugs.close()


# -- playing a scene -----------------------------------------------------------------------------


@asynccontextmanager
async def playing(scene: Scene, directory: Path, clock: MockClock) -> AsyncIterator[Player]:
    """A player before the scene begins: the whole engine, but for clock, disk and signals."""
    config = load({"db": str(directory / "a.db"), **UNDISTURBED, **scene.settings}, {})
    disk, stop, listens = Disk(), trio.Event(), trio.Event()
    urls: list[str] = []
    fronts: list[Front] = []
    composed: Any = main
    make_front, open_file = composed.front_of, composed.open_store

    def front_of(*parts: Any) -> Front:
        fronts.append(make_front(*parts))
        return fronts[0]

    def opened(*where: Any, **options: Any) -> Any:
        options |= {"write_offload": disk, "read_offload": inline, "synchronous": "OFF"}
        return open_file(*where, **options)

    def log(event: str, **values: Any) -> None:
        if event == "listening":
            urls.append(values["url"])
            listens.set()

    room, output = within(config, needed(config)), mock.Mock(dropped=0)
    stand_ins: dict[str, Any] = {
        "front_of": front_of,
        "open_store": opened,
        "SystemClock": StillClock,
    }
    async with application() as app, trio.open_nursery() as nursery:
        with mock.patch.multiple(main, **stand_ins):
            signals = mock.Mock(attach=lambda: stop)
            started = room, Files(Sources()), log, output, mock.Mock(), signals
            nursery.start_soon(main._serve, *started)
            await listens.wait()
        known = {"app": f"127.0.0.1:{app.port}", "engine": urls[0].removeprefix("http://")}
        front = fronts[0]
        names = Names(
            **known, version=front.version, file=front.file_id, instance=front.instance,
            db=config.db, sqlite=sqlite3.sqlite_version,
        )  # fmt: skip
        yield Player(nursery, front, disk, app, stop, clock, int(urls[0].split(":")[-1]), names)
        nursery.cancel_scope.cancel()


def record(scene: Scene) -> list[dict[str, Any]]:
    """Play a scene: all that was asked and answered, and last what the application was asked."""
    clock = MockClock()

    async def play() -> list[dict[str, Any]]:
        step: Step | None = None
        with (
            not_hung(lambda: f"at {step}"),
            mock.patch(GATHERS, 0),
            tempfile.TemporaryDirectory() as directory,
        ):
            async with playing(scene, Path(directory), clock) as player:
                for step in scene.steps:
                    await player.play(step)
                return player.told + player.calls()
        raise AssertionError("not_hung has raised")

    return trio.run(play, clock=clock, strict_exception_groups=True)
