"""The dashboard on a screen that is not there, over a store that a test fills, with an engine that
answers what the test says.

Textual runs on asyncio and the tests on Trio, so each test is a coroutine `on_screen`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec

import httpx
import msgspec
from msgspec.structs import replace
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from engine.client import AsyncClient, Reposts
from engine.core.text.times import rfc3339
from engine.wire import AttemptRow, HoldRow, RunPage, RunRow, RunTree, StepAt, StepRow, status_of
from tests.tui.support import NOW, FakeClock, event_read
from tui.data.inputs import LinkMoved, LinkState, RunsRead, StatusRead, TreeRead
from tui.data.listing import Edge
from tui.data.store import Store
from tui.screen.app import Dashboard
from tui.settings import Options

P = ParamSpec("P")


def at(seconds: float) -> str:
    """A time of the wire, so long after the beginning."""
    return rfc3339(NOW + round(seconds * 1_000))


def run_row(number: int, status: str = "running", **members: Any) -> RunRow:
    """A run whose id ends with its number."""
    run_id = f"01K{number:023d}"
    step = {
        "step_id": f"{run_id}-step",
        "name": "charge",
        "url": "http://pay.test/charge",
        "status": status,
        "attempts": 2,
        "failures": 1,
        "retries_max": 10,
        "started_at": at(-3),
        "http_status": 503,
    } | members.pop("at", {})
    row: dict[str, Any] = {
        "client": "shop",
        "workflow_name": "order",
        "idempotency_key": f"key-{number}",
        "rev": 4,
        "generation": 1,
        "open_steps": 1,
        "failed_steps": 0,
        "steps": 2,
        "dismissed": False,
        "submitted_at": at(-60),
    } | members
    return RunRow(id=run_id, status=status, at=StepAt(**step), **row)


def step_row(run_id: str, name: str | None, status: str, **members: Any) -> StepRow:
    """A step of a run; without a name its root."""
    row: dict[str, Any] = {
        "parent_id": None if name is None else run_id,
        "name": name or "order",
        "workflow_name": "order",
        "idempotency_key": "key",
        "step_key": name or "order",
        "url": f"http://pay.test/{name or 'order'}",
        "rev": 3,
        "generation": 1,
        "attempts": 1,
        "failures": 0,
        "retries_max": 10,
        "submitted_at": at(-60),
        "attempt_rows": (AttemptRow(1, 1, "running", at(-50)),),
    } | members
    return StepRow(
        id=run_id if name is None else f"{run_id}-{name}", run_id=run_id, status=status, **row
    )


class World:
    """What a test sees and moves."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.store = Store(self.clock)
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, tuple[int, Any]] = {}
        """By the end of a path: status, and what is answered."""
        self.bodies_as = ""
        """The media type with which bodies were recorded."""
        self.trees: dict[str, RunTree] = {}
        """What a run is read as, by its id, unless `answers` says otherwise."""
        self.streams: dict[str, bytes] = {}
        """Event streams, by the end of a path."""
        self.asked: list[dict[str, str]] = []
        """With what streams were asked for."""
        self.answers_after: asyncio.Event | None = None
        """Set when the engine is to answer what it is asked; None: at once."""
        transport = httpx.MockTransport(self._answer)
        http = httpx.AsyncClient(transport=transport)
        client = AsyncClient("http://engine.test", reposts=Reposts(count=0), http=http)
        self.app = Dashboard(
            self.store,
            Options(**{"url": "http://engine.test", "board": "runs"} | options),
            client=client,
            feed=False,
        )
        self.pilot: Pilot[None]

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.answers_after is not None:
            await self.answers_after.wait()
        body = json.loads(request.content or b"null")
        if request.method == "POST":
            self.posts.append((request.url.path, body))
        for end, told in self.streams.items():
            if request.url.path.endswith(end):
                self.asked.append(dict(request.url.params))
                return httpx.Response(
                    200, content=told, headers={"content-type": "text/event-stream"}
                )
        for end, (status, answer) in self.answers.items():
            if request.url.path.endswith(end):
                kind = "application/problem+json" if status >= 400 else "application/json"
                if isinstance(answer, bytes):
                    return httpx.Response(status, content=answer)
                content = json.dumps(answer).encode()
                headers = {"content-type": kind, "atomic-content-type": self.bodies_as}
                return httpx.Response(status, content=content, headers=headers)
        tree = self.trees.get(request.url.path.rpartition("/")[2])
        if request.method == "GET" and tree is not None:
            return httpx.Response(200, content=msgspec.json.encode(tree))
        # which the inspector asks for by itself, and a key that only looks at what was
        if request.url.path.endswith(("/response", "/status")):
            headers = {"content-type": "application/problem+json"}
            problem = {"type": "/problems/not-found", "detail": "No body."}
            return httpx.Response(404, content=json.dumps(problem).encode(), headers=headers)
        raise AssertionError(f"nobody said what to answer to {request.method} {request.url}")

    # -- what comes in -------------------------------------------------------------------------

    def live(self, **status: Any) -> None:
        """The engine is there, and its clock is ours."""
        self.store.apply(LinkMoved(LinkState.LIVE))
        now = self.clock.monotonic()
        members = {"serverTime": at(self.now_s), "instance": "one", "counts": {}} | status
        self.store.apply(StatusRead(status_of(members), now, now))

    def runs(self, *rows: RunRow, total: int | None = None) -> None:
        """The list of runs, whole. What is not known of their steps is that each has a root."""
        for row in rows:
            self.trees.setdefault(
                row.id, RunTree(row, (step_row(row.id, None, row.status),), at(0))
            )
        page = RunPage(rows, len(rows) if total is None else total, False, None)
        self.store.apply(RunsRead("runs", Edge.HEAD, page))

    def tree(self, run: RunRow, *steps: StepRow) -> None:
        """A run's steps."""
        self.trees[run.id] = RunTree(run, steps, at(0))
        self.store.apply(TreeRead(self.trees[run.id]))

    def tree_held(self, run_id: str, *holds: HoldRow) -> None:
        """The same run, with what keeps its steps from starting."""
        self.trees[run_id] = replace(self.trees[run_id], holds=holds)
        self.store.apply(TreeRead(self.trees[run_id]))

    def event(self, kind: str, name: str, run_id: str, step_id: str, **members: Any) -> None:
        """An event of the stream: `kind` is the stream's, `name` the fact's."""
        data = {"kind": name, "runId": run_id, "stepId": step_id, "at": at(self.now_s)} | members
        self.store.apply(event_read(f"f-{len(self.store.events) + 1}", kind, data))

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self.clock.wall() - NOW / 1_000

    # -- moving on -----------------------------------------------------------------------------

    async def shown(self) -> list[str]:
        """What is on the screen now, after everything that came was drawn."""
        self.app.flush()
        await self.pilot.pause()
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    async def works_end(self) -> None:
        """What was begun beside the screen ends, or is called off by what came after it; what that
        begins in its turn ends too."""
        while work := [worker.wait() for worker in self.app.workers]:
            for ended in await asyncio.gather(*work, return_exceptions=True):
                if isinstance(ended, BaseException) and not isinstance(ended, WorkerCancelled):
                    raise ended
            await self.pilot.pause()

    async def lists(self, *rows: RunRow) -> list[str]:
        """The list of runs comes, whole, and is on the screen."""
        self.runs(*rows)
        return await self.shown()

    async def passes(self, seconds: float) -> list[str]:
        """Time passes; the engine is heard of meanwhile."""
        self.clock.pass_s(seconds)
        self.store.link.last_heard = self.clock.monotonic()
        self.app.tick()
        return await self.shown()

    async def open_first(self, *keys: str) -> list[str]:
        """What came is on the screen: the row under the cursor is opened, and keys are pressed."""
        await self.shown()
        return await self.press("enter", *keys)

    async def press_at_once(self, *keys: str) -> list[str]:
        """Keys that come in one piece: none waits for what the one before it begins."""
        for key in keys:
            is_one = len(key) == 1
            name = _character_to_key(key) if is_one else key
            self.app.post_message(events.Key(name, key if is_one else None))
        await self.pilot.pause()
        await self.works_end()
        return await self.shown()

    async def press(self, *keys: str) -> list[str]:
        """Press keys, and let what each begins come to an end before the next."""
        for key in keys:
            await self.pilot.press(key)
            await self.works_end()
        await self.works_end()
        return await self.shown()


def showing(
    test: Callable[[World], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    live: bool = True,
    **options: Any,
) -> None:
    """Run a test on a screen of this size; the engine is there, unless the test says when."""
    world = World(**options)

    async def run() -> None:
        async with world.app.run_test(size=size) as world.pilot:
            if live:
                world.live()
            await test(world)

    asyncio.run(run())


def on_screen(
    **how: Any,
) -> Callable[[Callable[Concatenate[World, P], Awaitable[None]]], Callable[P, None]]:
    """Makes a test of a coroutine: it is `showing`, and takes what else it asks for."""

    def of(test: Callable[Concatenate[World, P], Awaitable[None]]) -> Callable[P, None]:
        def on_this_screen(*arguments: P.args, **named: P.kwargs) -> None:
            showing(lambda world: test(world, *arguments, **named), **how)

        functools.update_wrapper(on_this_screen, test)
        signature = inspect.signature(test)
        asked = list(signature.parameters.values())[1:]
        vars(on_this_screen)["__signature__"] = signature.replace(parameters=asked)
        return on_this_screen

    return of


def line_with(lines: list[str], text: str) -> str:
    """The line of the screen that has this text."""
    found = [line for line in lines if text in line]
    assert found, "\n".join(lines)
    return found[0]


async def found(world: World, text: str, told: str) -> str:
    """Open the palette and type this, until this is told among what was found; all of it."""
    await world.press("ctrl+p")
    await world.press(*text)
    for _ in range(300):  # it searches beside the screen
        screen = "\n".join(await world.shown())
        if told in screen:
            return screen
        await world.pilot.pause(0.02)
    raise AssertionError(screen)


def accepted(run: object) -> tuple[int, Any]:
    """What an action is answered."""
    row = msgspec.to_builtins(run)
    return 202, {"action": "x", "dryRun": False, "run": row, "step": None, "changed": []}


def bulk(**members: Any) -> dict[str, Any]:
    """A bulk job as the engine answers it."""
    return {
        "id": None, "state": "dry-run", "action": "retry", "q": "wf:order", "matched": 231,
        "total": 219, "done": 0, "skipped": {"it is running": 12}, "ratePerS": 20,
    } | members  # fmt: skip
