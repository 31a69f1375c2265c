"""A recording of a shop's dashboard, the same bytes each time: `shop.ndjson` beside this file.

What each step does is written down as a plan, in seconds from the beginning of the recording. From
the plans come the lists as the engine would answer them at any moment, and the events between.

    atomic tui --replay docs/pictures/shop.ndjson --filter 'age:<1h'
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from msgspec.json import encode

from docs.pictures.plans import (
    FIRST_SHOWN,
    JOBS,
    LAST_S,
    PLANS,
    STUCK,
    Planned,
    PlannedRun,
    Try,
    hosts_at,
    results_of,
)
from engine.core.text.times import rfc3339
from engine.wire import (
    AttemptRow,
    BulkAnswer,
    CauseList,
    CauseRow,
    HostRow,
    RetryPage,
    RetryRow,
    RunPage,
    RunRow,
    RunTree,
    StepAt,
    StepRow,
    status_of,
)
from engine.wire.events import Event, Stamped, read_event
from tui.data.inputs import (
    CausesRead,
    Input,
    JobsRead,
    LinkMoved,
    LinkState,
    RetriesRead,
    RunsRead,
    StatusRead,
    TreeRead,
)
from tui.data.listing import Edge
from tui.data.model import ms_of
from tui.data.record import Recorder

FILE = Path(__file__).with_name("shop.ndjson")
BEGAN_MS = 1_790_000_000_000
"""2026-09-21T14:13:20Z."""
READ_AT_S = (0.1, 8.0, 16.0, LAST_S - 0.1)
"""When lists are read: events tell what happens between."""
TRIP_S = 0.004
RETRIES_MAX = 10
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ENDED = ("completed", "failed", "cancelled")
IDLE = ("backing-off", "paused", "waiting", "failed")
"""Steps that say more of a run than those that have ended, the one that says most first."""
Fact = tuple[float, str, dict[str, Any]]


def time_of(at_s: float) -> str:
    """A time of the wire."""
    return rfc3339(BEGAN_MS + round(at_s * 1_000))


def run_id(key: str, at_s: float) -> str:
    """A ULID: the time, then what looks like chance."""
    chance = int.from_bytes(hashlib.sha256(key.encode()).digest()[:10])
    number = (BEGAN_MS + round(at_s * 1_000)) << 80 | chance
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


class Step:
    """A planned step of a run, asked how it stands at a moment."""

    def __init__(self, run: Run, plan: Planned) -> None:
        self.run, self.plan = run, plan
        root = not run.steps
        name = f"{run.id}/{plan.name}/{plan.key}"
        self.id = run.id if root else f"{run.id}-{hashlib.sha256(name.encode()).hexdigest()[:20]}"
        self.parent_id = None if root else run.step(plan.below).id
        self.url = f"{plan.host}/{plan.name}"
        self.facts = sorted(self._facts(), key=lambda fact: fact[0])

    def _facts(self) -> Iterator[Fact]:
        plan = self.plan
        spec = {"name": plan.name, "workflow": self.run.plan.workflow, "url": self.url,
                "key": self.run.plan.key, "stepKey": plan.key or self.url}  # fmt: skip
        yield plan.at, "accepted", {"parentId": self.parent_id, "spec": spec}
        for number, tried in enumerate(plan.tries, 1):
            yield tried.began, "started", {"number": number}
            if tried.ended is not None:
                yield tried.ended, "attempt-ended", self._ended(number, tried)
        for at, actor, reason in plan.acts:
            if actor:
                yield at, "acted", {"action": "pause", "actor": actor, "reason": reason}
            yield at, "paused", {"reason": "operator"}

    def _ended(self, number: int, tried: Try) -> dict[str, Any]:
        assert tried.ended is not None
        members: dict[str, Any] = {"number": number, "countsAs": tried.counts_as}
        members |= {"httpStatus": tried.http, "error": tried.error, "excerpt": tried.excerpt}
        if tried.delay is not None:
            members |= {"dueAt": time_of(tried.ended + tried.delay), "delayBy": tried.by,
                        "delayMs": round(tried.delay * 1_000)}  # fmt: skip
        if number == len(self.plan.tries):
            members["state"] = self.state(tried.ended)
        return {name: value for name, value in members.items() if value is not None}

    def rev(self, at_s: float) -> int:
        """One for each fact until then."""
        return sum(at <= at_s for at, _, _ in self.facts)

    def begun(self, at_s: float) -> list[Try]:
        """The attempts that have started."""
        return [tried for tried in self.plan.tries if tried.began <= at_s]

    def state(self, at_s: float) -> str:
        """Where it stands."""
        plan, begun = self.plan, self.begun(at_s)
        if any(at <= at_s for at, *_ in plan.acts):
            return "paused"
        if not begun:
            return "pending"
        last = begun[-1]
        if last.ended is None or last.ended > at_s:
            return "running"
        if plan.then and len(begun) == len(plan.tries):
            return plan.then
        if last.counts_as == "success":
            return "completed"
        return "failed" if last.delay is None else "backing-off"

    def row(self, at_s: float) -> StepRow:
        """As a run's page has it."""
        tries = tuple(
            attempt_row(number, tried, at_s) for number, tried in enumerate(self.begun(at_s), 1)
        )
        plan, state = self.plan, self.state(at_s)
        last = tries[-1] if tries and tries[-1].ended_at else None
        return StepRow(
            id=self.id, run_id=self.run.id, parent_id=self.parent_id, name=plan.name,
            workflow_name=self.run.plan.workflow, idempotency_key=self.run.plan.key,
            step_key=plan.key or self.url, url=self.url, status=state, rev=self.rev(at_s),
            generation=1, attempts=len(tries), retries_max=RETRIES_MAX,
            failures=sum(each.status == "failure" for each in tries),
            submitted_at=time_of(plan.at), due_at=self.due_at(at_s),
            ended_at=last.ended_at if last and state in ("completed", "failed") else None,
            delay_ms=last.delay_ms if last else None, delay_by=last.delay_by if last else None,
            http_status=last.http_status if last else None, error=last.error if last else None,
            excerpt=last.excerpt if last else None,
            pause_reason="operator" if state == "paused" else None, attempt_rows=tries,
        )  # fmt: skip

    def due_at(self, at_s: float) -> str | None:
        """When the next attempt is due."""
        due_s = self.due_s(at_s)
        return None if due_s is None else time_of(due_s)

    def due_s(self, at_s: float) -> float | None:
        """The same in seconds."""
        if self.state(at_s) != "backing-off":
            return None
        last = self.begun(at_s)[-1]
        assert last.ended is not None
        assert last.delay is not None
        return last.ended + last.delay

    def at(self, at_s: float) -> StepAt:
        """As lists have it."""
        row = self.row(at_s)
        started = self.begun(at_s)
        return StepAt(
            row.id, row.name, row.url, row.status, row.attempts, row.failures, row.retries_max,
            time_of(started[-1].began) if started else None, row.due_at, row.delay_by,
            row.http_status, row.error, row.excerpt,
        )  # fmt: skip


def attempt_row(number: int, tried: Try, at_s: float) -> AttemptRow:
    """An attempt as it is known at a moment."""
    began = time_of(tried.began)
    if tried.ended is None or tried.ended > at_s:
        return AttemptRow(number, 1, "running", began)
    delay = None if tried.delay is None else round(tried.delay * 1_000)
    return AttemptRow(
        number, 1, tried.counts_as, began, time_of(tried.ended), tried.http, tried.error,
        tried.excerpt, delay_ms=delay, delay_by=None if delay is None else tried.by,
    )  # fmt: skip


class Run:
    """A planned run, asked how it stands at a moment."""

    def __init__(self, plan: PlannedRun) -> None:
        self.plan = plan
        self.at_s = plan.steps[0].at
        self.id = run_id(plan.key, self.at_s)
        self.steps: list[Step] = []
        for each in plan.steps:
            self.steps.append(Step(self, each))

    def step(self, name: str) -> Step:
        """The step of this name (or key), the root by default."""
        return next((s for s in self.steps if name in (s.plan.name, s.plan.key)), self.steps[0])

    def known(self, at_s: float) -> list[Step]:
        """The steps that have been posted."""
        return [step for step in self.steps if step.plan.at <= at_s]

    def state(self, at_s: float) -> str:
        """What its steps are doing, or its root's outcome."""
        known = {step.id: step.state(at_s) for step in self.known(at_s)}
        root = known[self.id]
        if root in ENDED or root == "paused":
            return root
        open_below = {s.parent_id for s in self.known(at_s) if known[s.id] not in ENDED}
        if any(s == "running" and step not in open_below for step, s in known.items()):
            return "running"
        return next((s for s in ("backing-off", "waiting") if s in known.values()), "running")

    def rev(self, at_s: float) -> int:
        """One for each fact of its steps."""
        return sum(step.rev(at_s) for step in self.steps)

    def shown_step(self, at_s: float) -> Step:
        """The step that an operator would ask about."""
        known = [(step, step.state(at_s)) for step in self.known(at_s)[::-1]]
        above = {step.parent_id for step, state in known if state not in ENDED}
        leaves = [each for each in known if each[0].id not in above]
        for state in (*IDLE, "running", "pending"):
            for step, its in leaves:
                if its == state:
                    return step
        return leaves[0][0]

    def row(self, at_s: float) -> RunRow:
        """As lists have it."""
        state = self.state(at_s)
        states = [step.state(at_s) for step in self.known(at_s)]
        ended = sum(each in ENDED for each in states)
        due = [due for step in self.known(at_s) if (due := step.due_at(at_s))]
        over = state in ENDED
        ends = [t.ended for s in self.known(at_s) for t in s.begun(at_s) if t.ended is not None]
        return RunRow(
            id=self.id, client="shop", workflow_name=self.plan.workflow,
            idempotency_key=self.plan.key, status=state, rev=self.rev(at_s), generation=1,
            open_steps=len(states) - ended, failed_steps=states.count("failed"),
            steps=len(states), dismissed=False, submitted_at=time_of(self.at_s),
            ended_at=time_of(max(ends)) if over and ends else None, due_at=min(due, default=None),
            at=None if state in ("completed", "cancelled") else self.shown_step(at_s).at(at_s),
        )  # fmt: skip


def events(runs: Iterable[Run]) -> list[Event]:
    """What happens while it is recorded, in order."""
    found: list[tuple[float, str, str, str, str, int, dict[str, Any]]] = []
    for run in runs:
        facts = sorted(
            ((fact, step) for step in run.steps for fact in step.facts), key=lambda each: each[0][0]
        )
        before = ""
        for (at, kind, members), step in facts:
            state = run.state(at)
            name = "attempt" if "number" in members else "step"
            row = (at, name, kind, step.id, step.state(at), step.rev(at), members)
            found.append(row)
            if state != before:
                moved = {"before": before, "state": state}
                found.append((at, "run", "run-moved", run.id, state, run.rev(at), moved))
            before = state
    found.sort(key=lambda each: each[0])
    told = [each for each in found if 0 < each[0] < LAST_S]
    return [
        read_event(f"shop-{number}", name, encode({"kind": kind, "runId": step_id.partition("-")[0],
                  "stepId": step_id, "status": state, "rev": rev, "at": time_of(at)} | members))
        for number, (at, name, kind, step_id, state, rev, members) in enumerate(told, 88_001)
    ]  # fmt: skip


def reads(runs: list[Run], at_s: float) -> Iterator[Input]:
    """The lists as the engine answers them at a moment."""
    known = [run for run in runs if run.at_s <= at_s]
    rows = [run.row(at_s) for run in sorted(known, key=lambda run: -run.at_s)]
    yield RunsRead("runs", Edge.HEAD, RunPage(tuple(rows), len(rows), False, None))
    running = [run.row(at_s) for run in sorted(known, key=lambda run: run.at_s)
               if run.state(at_s) == "running"]  # fmt: skip
    yield RunsRead("home", Edge.HEAD, RunPage(tuple(running), len(running), False, None))
    waiting = [(step.due_at(at_s) or "", step) for run in known for step in run.known(at_s)]
    due = sorted((each for each in waiting if each[0]), key=lambda each: each[0])
    yield RetriesRead("retries", RetryPage(tuple(
        RetryRow(step.run.id, "shop", step.run.plan.workflow, step.rev(at_s), step.at(at_s))
        for _, step in due
    )))  # fmt: skip
    causes = []
    for cause in STUCK:
        run = next(run for run in runs if run.plan.key == cause.key)
        step = run.shown_step(at_s)
        causes.append(CauseRow(
            cause.id, cause.runs, cause.new, time_of(cause.first), time_of(cause.last),
            run.id, run.plan.workflow, step.state(at_s), step.at(at_s),
        ))  # fmt: skip
    total = sum(cause.runs for cause in causes)
    yield CausesRead(CauseList(tuple(causes), total, 300_000))
    yield JobsRead(tuple(
        BulkAnswer(
            run_id(job.q, job.began), job.state(at_s), job.action, job.q, job.matched, job.total,
            job.done(at_s), job.skipped, job.rate, "ana", reason=job.reason,
            started_at=time_of(job.began),
        )
        for job in JOBS
    ))  # fmt: skip


def status(runs: list[Run], at_s: float) -> StatusRead:
    """The engine is there, and counts: the shop has more runs than are listed."""
    shown = [run.state(at_s) for run in runs if run.at_s <= at_s]
    due = [step.due_s(at_s) for run in runs for step in run.known(at_s)]
    left = [when - at_s for when in due if when is not None]
    edges = [*itertools.pairwise((0, 10, 60, 600)), (600, math.inf)]
    members = {
        "serverTime": time_of(at_s),
        "instance": "shop",
        "startedAt": time_of(-432_000),
        "counts": {state: shown.count(state) for state in (*IDLE, "running", "pending")}
        | {"completed": 48_219 + shown.count("completed") + round(4 * at_s)},
        "stuckCount": sum(cause.runs for cause in STUCK),
        "timedCount": len(left),
        "due": [
            {
                "upToMs": None if end == math.inf else end * 1_000,
                "attempts": sum(begin <= seconds < end for seconds in left),
            }
            for begin, end in edges
        ],
        "lateCount": 0,
        "rates": {"runsPerS": 4.3, "finishedPerS": 4.2, "attemptsPerS": 20.3},
        "hosts": [
            HostRow(*figures, results=results_of(figures[0], figures[4]))
            for figures in hosts_at(at_s)
        ],
    }
    return StatusRead(status_of(members), at_s - TRIP_S / 2, at_s + TRIP_S / 2)


def recording() -> bytes:
    """All of it."""
    runs = [Run(plan) for plan in PLANS]
    opened = next(run for run in runs if run.plan.key == FIRST_SHOWN)
    inputs: list[tuple[float, Input]] = [(0.0, LinkMoved(LinkState.LIVE))]
    inputs += [(at, status(runs, at)) for at in (0.05, *range(4, round(LAST_S) + 1, 4))]
    inputs += [(at, read) for at in READ_AT_S for read in reads(runs, at)]
    tree = RunTree(
        opened.row(0.2), tuple(s.row(0.2) for s in opened.known(0.2)), time_of(0.2)
    )  # fmt: skip
    inputs.append((0.2, TreeRead(tree)))
    inputs += [(at_s(event), event) for event in events(runs)]
    file = BytesIO()
    recorder = Recorder(file, 0.0, BEGAN_MS)
    for at, taken in sorted(inputs, key=lambda each: each[0]):
        recorder.record(taken, at)
    return file.getvalue()


def at_s(event: Event) -> float:
    """When an event comes: a hundredth after it happened."""
    at = ms_of(event.data.at) if isinstance(event.data, Stamped) else None
    assert at is not None
    return (at - BEGAN_MS) / 1_000 + 0.01
