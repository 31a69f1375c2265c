"""An engine that answers a feed under Trio's MockClock, and does what the test says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import trio

from engine.client import AsyncClient, ProblemError, Reposts
from engine.core.text.times import rfc3339
from engine.wire import BulkList, CauseList, RetryPage, RunTree
from tests.tui.support import NOW, page, run_row, step_row
from tui.data.feed import Feed
from tui.data.inputs import Input, LinkMoved, LinkState
from tui.data.store import Store


class TrioClock:
    """Trio's clock for the store too."""

    def monotonic(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return NOW / 1000 + trio.current_time()


class Stream(httpx.AsyncByteStream):
    """An event stream that says what it is given; an exception given breaks it."""

    def __init__(self) -> None:
        self.give, self._take = trio.open_memory_channel[bytes | Exception](10_000)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._take:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


class StandIn:
    """The engine. `answers` has the body (or whole response, or error) of a path."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str, dict[str, str]]] = []
        self.headers: list[httpx.Headers] = []
        """Of requests for events."""
        self.took_s = 0.0
        """How long an answer takes."""
        self.stream: Stream | None = None
        self.refuses: httpx.Response | Exception | None = None
        """What a request for events gets instead of a stream."""
        self.seq = 0
        self.answers: dict[str, Any] = {
            "status": {"instance": "a", "counts": {}, "serverTime": rfc3339(NOW)},
            "runs": page(run_row("a"), run_row("b")),
            "runs/a": RunTree(run_row("a"), (step_row(),), rfc3339(NOW)),
            "retries": RetryPage(()),
            "causes": CauseList((), 0, 300_000),
            "bulk": BulkList(()),
        }

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1/")
        self.asked.append((trio.current_time(), path, dict(request.url.params)))
        if path == "events":
            self.headers.append(request.headers)
            return self._events()
        await trio.sleep(self.took_s)
        answer = self.answers[path]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, content=msgspec.json.encode(answer))

    def _events(self) -> httpx.Response:
        if isinstance(self.refuses, Exception):
            raise self.refuses
        if self.refuses is not None:
            return self.refuses
        self.stream = Stream()
        self.say("heartbeat", id=f"f-{self.seq}", serverTime=rfc3339(NOW), instance="a")
        kind = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=kind, stream=self.stream)

    def say(self, name: str, *, id: str | None = None, **members: Any) -> None:
        """An event on the stream."""
        head = "" if id is None else f"id: {id}\n"
        self.say_raw(f"{head}event: {name}\ndata: {json.dumps(members)}\n\n")

    def say_raw(self, text: str) -> None:
        """Anything on the stream."""
        assert self.stream is not None
        self.stream.give.send_nowait(text.encode())

    def happens(self, kind: str, run: str = "a", status: str = "running", **members: Any) -> None:
        """A step event, with the next id."""
        prev, self.seq = self.seq, self.seq + 1
        self.say(
            "step", id=f"f-{self.seq}", prev=f"f-{prev}", kind=kind, runId=run, stepId=run,
            status=status, at=rfc3339(NOW), **({"rev": 1} | members),
        )  # fmt: skip

    def breaks(self, error: Exception | None = None) -> None:
        """The stream is cut."""
        assert self.stream is not None
        self.stream.give.send_nowait(error or httpx.ReadError("reset by peer"))

    def reads(self, path: str) -> list[float]:
        """When a path was asked for."""
        return [at for at, asked, _ in self.asked if asked == path]

    def queries(self, path: str) -> list[dict[str, str]]:
        """With which parameters."""
        return [query for _, asked, query in self.asked if asked == path]


class Fed:
    """A feed at work, its store, and what the store was given."""

    def __init__(
        self,
        engine: StandIn,
        *,
        url: str = "http://engine",
        chance: float = 0.0,
        slow_link: bool = False,
    ) -> None:
        self.store = Store(TrioClock())
        self.taken: list[tuple[float, Input]] = []
        self.refusals: list[tuple[float, ProblemError]] = []
        http = httpx.AsyncClient(transport=httpx.MockTransport(engine))
        client = AsyncClient(url, http=http, reposts=Reposts(count=0), chance=lambda: chance)
        self.feed = Feed(
            client, self.store, self._take,
            chance=lambda: chance, reporter=self, slow_link=slow_link,
        )  # fmt: skip

    def _take(self, taken: Input) -> None:
        self.taken.append((trio.current_time(), taken))
        self.store.apply(taken)

    def refused(self, error: ProblemError) -> None:
        self.refusals.append((trio.current_time(), error))

    @property
    def is_live(self) -> bool:
        return self.store.link.state is LinkState.LIVE


@asynccontextmanager
async def fed(engine: StandIn, **options: Any) -> AsyncIterator[Fed]:
    """A feed that runs, for a while."""
    it = Fed(engine, **options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.feed.run)
        yield it
        nursery.cancel_scope.cancel()


def gaps(times: list[float]) -> list[float]:
    """The time between one and the next."""
    return [round(after - before, 3) for before, after in pairwise(times)]


def links(it: Fed) -> list[LinkMoved]:
    """How the connection moved."""
    return [taken for _, taken in it.taken if isinstance(taken, LinkMoved)]
