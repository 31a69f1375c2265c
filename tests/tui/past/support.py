"""A run that fails once, an engine that tells what has happened, and a recording of a minute."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import trio
from msgspec.structs import replace

from engine.client import AsyncClient, Reposts
from engine.core.text.times import rfc3339
from engine.wire import RunTree
from tests.tui.engine_stand_in import StandIn
from tests.tui.support import (
    NOW,
    RUN,
    FakeClock,
    attempt_row,
    event,
    page,
    run_row,
    status_read,
    step_row,
    store_at,
    tree_read,
)
from tui.data.inputs import Input, LinkMoved, LinkState
from tui.data.record import RecordedInput, _recorded
from tui.data.tree import Tree
from tui.past import reading

SHIP = f"{RUN}-ship"
POST = {"workflow": "order", "key": "ord-1", "retry": {"count": 10}}
ROOT = POST | {"name": "order", "url": "http://app.test/order"}
CHILD = POST | {"name": "ship", "url": "http://old.test/ship"}
FAILED = {"number": 1, "countsAs": "failure", "httpStatus": 503, "delayBy": "policy", "delayMs": 9}
HAPPENED: list[tuple[str, int, str, str, int, dict[str, Any]]] = [
    ("accepted", 1, "pending", RUN, 0, {"spec": ROOT, "client": "shop"}),
    ("started", 2, "running", RUN, 5, {"number": 1}),
    ("run-moved", 2, "running", RUN, 5, {"before": "pending"}),
    ("accepted", 1, "pending", SHIP, 20, {"spec": CHILD, "parentId": RUN}),
    ("started", 2, "running", SHIP, 21, {"number": 1}),
    ("attempt-ended", 3, "backing-off", SHIP, 90, FAILED | {"dueAt": rfc3339(NOW + 99)}),
    ("started", 4, "running", SHIP, 99, {"number": 2}),
    ("attempt-ended", 5, "completed", SHIP, 200, {"number": 2, "countsAs": "success"}),
    ("attempt-ended", 3, "completed", RUN, 210, {"number": 1, "countsAs": "success"}),
    ("run-moved", 3, "completed", RUN, 210, {"before": "running"}),
]
MOMENTS = [0, 5, 20, 21, 90, 99, 200, 210]


def known() -> Tree:
    """The run as it has ended."""
    store = store_at()
    root = step_row("order", "completed", rev=3)
    ship = step_row("ship", "completed", parent=RUN, rev=5)
    store.apply(tree_read(root, ship, status="completed", rev=3))
    tree = store.trees[RUN]
    tree.steps[SHIP] = replace(tree.steps[SHIP], url="http://old.test/ship")
    return tree


OTHERS = "01kaq3x0c4gq2mfzx8v7h5eother"


class Telling(StandIn):
    """An engine that has recorded some events, each with the id of its place."""

    def __init__(self, *, knows_times: bool = True, last: str = "") -> None:
        super().__init__()
        self.recorded: list[tuple[str, str, bytes]] = []
        self.knows_times = knows_times
        self.was_removed = False
        self.answers["status"] = lambda _: self._status(last)

    def _status(self, last: str) -> dict[str, Any]:
        return {"instance": "a", "sequence": last or f"f-{len(self.recorded)}"}

    def records(self, kind: str, rev: int, status: str, step: str, at: int, **more: Any) -> None:
        """One more."""
        read = event(kind, rev, status, step, seq=len(self.recorded) + 1, at=at, **more)
        self.recorded.append((read.id, read.kind, bytes(read.raw)))

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/events") and request.url.params["since"] == reading.NO_TIME:
            problem = {"type": "/problems/invalid-request", "detail": "no time"}
            if self.knows_times:
                kind = {"content-type": "application/problem+json"}
                return httpx.Response(400, content=msgspec.json.encode(problem), headers=kind)
        return await super().__call__(request)

    def _events(self) -> httpx.Response:
        answer = super()._events()
        at = 0 if self.knows_times else len(self.recorded)
        assert self.stream is not None
        self.stream.give.close()  # a heartbeat of another place was said
        self.stream.give, self.stream._take = trio.open_memory_channel[bytes | Exception](10_000)
        if self.was_removed:
            self.say("reset", id=f"f-{len(self.recorded)}", reason="gone")
        self.say("heartbeat", id=f"f-{at}", sequence=f"f-{at}")
        for id, kind, raw in self.recorded[at:]:
            self.say_raw(f"event: {kind}\nid: {id}\ndata: {raw.decode()}\n\n")
        return answer


def telling(**how: Any) -> Telling:
    """One on which a run was posted, failed once, and completed."""
    engine = Telling(**how)
    for kind, rev, status, step, at, members in HAPPENED:
        engine.records(kind, rev, status, step, at, **members)
        engine.records("started", 9, "running", OTHERS, at, runId=OTHERS, number=1)
    return engine


def asking(engine: StandIn) -> AsyncClient:
    """Who asks it."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(engine))
    return AsyncClient("http://engine", http=http, reposts=Reposts(count=0))


def no_progress(events: int) -> None:
    """Nobody looks."""


SECONDS = 60
BEGAN = 77.0
"""When the recorded dashboard began, on its own monotonic clock."""


def recorded() -> list[RecordedInput]:
    """A minute of a run, in each second of which something happens; its engine tells the time."""
    clock = FakeClock(monotonic=BEGAN)
    inputs: list[tuple[float, Input]] = [
        (0.0, LinkMoved(LinkState.LIVE)),
        (0.0, status_read(NOW, clock)),
        (0.0, tree_read(step_row(rev=1))),
    ]
    found = [RecordedInput(at, _recorded(taken, BEGAN)) for at, taken in inputs]
    for second in range(1, SECONDS + 1):
        started = event("started", second + 1, "running", seq=second, at=second * 1000, number=1)
        found.append(RecordedInput(float(second), _recorded(started, BEGAN)))
    return found


HOUR_MS = 3_600_000
OLD, STILL, BORN, GONE, OVER = (f"01kaq3x0c4gq2mfzx8v70000{n:02}" for n in range(5))
SPEC = {
    "workflow": "refund", "key": "r-1", "name": "refund", "url": "http://pay.test/refund",
    "retry": {"count": 3},
}  # fmt: skip
NO_ROOM = {
    "countsAs": "failure", "httpStatus": 503, "error": "http-status", "excerpt": "no room",
    "number": 1,
}  # fmt: skip
MOVED = "run-moved"
SINCE: list[tuple[str, str, int, str, int, dict[str, Any]]] = [
    ("attempt-ended", OLD, 4, "backing-off", 5, NO_ROOM | {"dueAt": rfc3339(NOW + 30_000)}),
    (MOVED, OLD, 7, "backing-off", 5, {"before": "running"}),
    (MOVED, GONE, 3, "completed", 7, {"before": "running"}),
    ("started", OLD, 5, "running", 30, {"number": 2}),
    (MOVED, OLD, 8, "running", 30, {"before": "backing-off"}),
    ("acted", OVER, 9, "failed", 50, {"action": "note", "actor": "ana"}),
    ("attempt-ended", OLD, 6, "completed", 60, {"countsAs": "success", "number": 2}),
    (MOVED, OLD, 9, "completed", 60, {"before": "running"}),
    ("accepted", BORN, 1, "pending", 100, {"spec": SPEC, "client": "shop"}),
    ("started", BORN, 2, "running", 101, {"number": 1}),
    (MOVED, BORN, 2, "running", 101, {"before": "pending"}),
    ("attempt-ended", BORN, 3, "failed", 120, NO_ROOM),
    (MOVED, BORN, 3, "failed", 120, {"before": "running"}),
]
"""Kind, run, revision, state since, seconds after the beginning, members."""


def engine() -> Telling:
    """An hour later."""
    it = Telling()
    for kind, run_id, rev, status, at_s, more in SINCE:
        it.records(kind, rev, status, run_id, at_s * 1000, runId=run_id, **more)
    tries = [
        attempt_row(1, "failure", -10_000, 5_000, http_status=503),
        attempt_row(2, "success", 30_000, 60_000, http_status=200),
    ]
    old = step_row("order", "completed", rev=6, attempts=tries, at=-60_000, ended=60_000)
    began = {"submitted_at": rfc3339(NOW - 60_000)}
    ended = {"ended_at": rfc3339(NOW - 30_000)} | began
    of = {"id": OLD, "run_id": OLD}
    still = run_row(STILL, "waiting", rev=4, **began)
    it.answers |= {
        f"runs/{OLD}": tree(run_row(OLD, "completed", rev=9, **began), old, **of),
        f"runs/{STILL}": tree(still, step_row("order", "waiting"), id=STILL, run_id=STILL),
        f"runs/{OVER}": tree(run_row(OVER, "failed", rev=4, **ended), step_row("order", "failed")),
        f"runs/{GONE}": httpx.Response(404, json={"type": "/problems/not-found"},
                                       headers={"content-type": "application/problem+json"}),
        "runs": page(still),
        "status": {
            "sequence": f"f-{len(SINCE)}", "serverTime": rfc3339(NOW + HOUR_MS), "instance": "a",
            "counts": {"waiting": 1, "completed": 12, "failed": 4}, "stuckCount": 3,
        },
    }  # fmt: skip
    return it


def tree(run: Any, step: Any, **ids: str) -> RunTree:
    return RunTree(run, (replace(step, **ids),), rfc3339(NOW + HOUR_MS))
