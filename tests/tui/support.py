"""Clocks, rows of the wire and events, as short as tests want them; cells as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import settings
from msgspec.structs import replace

from engine.core.text.times import maybe_rfc3339, rfc3339
from engine.wire import (
    AttemptRow,
    HoldRow,
    RetryRow,
    RunPage,
    RunRow,
    RunTree,
    StepAt,
    StepRow,
    status_of,
)
from engine.wire.events import Event, read_event
from tui.boards.cells import Cell, Column, layout, text_of
from tui.data.inputs import LinkMoved, LinkState, StatusRead, TreeRead
from tui.data.store import Store
from tui.text.sanitize import fit, width

NOW = 1_790_000_000_000
"""2026-09-21T14:13:20.000Z."""
RUN = "01kaq3x0c4gq2mfzx8v7h5e9r1"


STEADY = settings()
"""For properties: as `tests/conftest.py` has it."""


class FakeClock:
    """Time that the test moves. The monotonic clock begins anywhere, as it does."""

    def __init__(self, wall: float = NOW / 1000, monotonic: float = 1_000.0) -> None:
        self.wall_s, self.monotonic_s = wall, monotonic

    def monotonic(self) -> float:
        return self.monotonic_s

    def wall(self) -> float:
        return self.wall_s

    def pass_s(self, seconds: float) -> None:
        """Time passes."""
        self.wall_s += seconds
        self.monotonic_s += seconds

    def sleep_s(self, seconds: float) -> None:
        """The machine sleeps: the monotonic clock stands still meanwhile."""
        self.wall_s += seconds


def store_at(clock: FakeClock | None = None, *, live: bool = True) -> Store:
    """A store that hears its engine."""
    store = Store(clock or FakeClock())
    if live:
        store.apply(LinkMoved(LinkState.LIVE))
    return store


# -- rows of the wire ------------------------------------------------------------------------------


def attempt_row(number: int, status: str = "failure", began: int = 0, ended: int | None = None,
                **more: Any) -> AttemptRow:  # fmt: skip
    """An attempt; times in milliseconds from NOW."""
    return AttemptRow(
        number=number,
        generation=more.pop("generation", 1),
        status=status,
        started_at=rfc3339(NOW + began),
        ended_at=None if ended is None else rfc3339(NOW + ended),
        **more,
    )


def step_row(
    name: str = "index",
    status: str = "running",
    *,
    parent: str | None = None,
    attempts: Sequence[AttemptRow] = (),
    at: int = 0,
    due: int | None = None,
    ended: int | None = None,
    **more: Any,
) -> StepRow:
    """A step; a root when it has no parent."""
    return StepRow(
        id=RUN if parent is None else f"{RUN}-{name}",
        run_id=RUN,
        parent_id=parent,
        name=name,
        workflow_name="order.fulfil",
        idempotency_key="ord-99",
        step_key=more.pop("step_key", f"http://app:9000/{name}"),
        url=f"http://app:9000/{name}",
        status=status,
        rev=more.pop("rev", 1),
        generation=more.pop("generation", 1),
        attempts=len(attempts),
        failures=more.pop("failures", sum(a.status == "failure" for a in attempts)),
        retries_max=more.pop("retries_max", 10),
        submitted_at=rfc3339(NOW + at),
        due_at=maybe_rfc3339(None if due is None else NOW + due),
        ended_at=maybe_rfc3339(None if ended is None else NOW + ended),
        attempt_rows=tuple(attempts),
        **more,
    )


def run_row(id: str = RUN, status: str = "running", **more: Any) -> RunRow:
    """A run."""
    given: dict[str, Any] = {
        "client": "shop",
        "workflow_name": "order.fulfil",
        "idempotency_key": "ord-99",
        "rev": 1,
        "generation": 1,
        "open_steps": 1,
        "failed_steps": 0,
        "steps": 1,
        "dismissed": False,
        "submitted_at": rfc3339(NOW),
    }
    return RunRow(id=id, status=status, **(given | more))


def step_at(status: str = "running", **more: Any) -> StepAt:
    """The step at which a run is."""
    given: dict[str, Any] = {
        "step_id": f"{RUN}-ship",
        "name": "ship",
        "url": "https://hooks.acme.io/ship",
        "attempts": 3,
        "failures": 3,
        "retries_max": 7,
    }
    return StepAt(status=status, **(given | more))


def retry_row(step_id: str, due: int, **more: Any) -> RetryRow:
    """A retry that is due so many milliseconds after NOW."""
    at = step_at("backing-off", step_id=step_id, due_at=rfc3339(NOW + due), **more)
    return RetryRow(RUN, "shop", "order.fulfil", 4, at)


def tree_read(*steps: StepRow, holds: tuple[HoldRow, ...] = (), **more: Any) -> TreeRead:
    """The answer with a run and its steps, the root first."""
    tree = RunTree(run_row(**more), steps, rfc3339(NOW))
    return TreeRead(replace(tree, holds=holds) if holds else tree)


def page(*rows: RunRow, next: str | None = None, total: int | None = None) -> RunPage:
    """A page of runs."""
    return RunPage(rows, len(rows) if total is None else total, False, next)


def standstill(host: str, why: str = "it waits") -> dict[str, Any]:
    """A host that stands still, as the status tells of it."""
    till = {"since": rfc3339(NOW), "until": rfc3339(NOW)}
    return {"host": host, "why": why, "waiting": 4, "unaccepted": 4, "times": 1} | till


def status_read(at_ms: int, clock: FakeClock, trip_s: float = 0.0, **more: Any) -> StatusRead:
    """The answer that the engine is there. It took its time half-way of the trip."""
    members = {"serverTime": rfc3339(at_ms), "instance": "a", "counts": {}} | more
    return StatusRead(status_of(members), clock.monotonic(), clock.monotonic() + trip_s)


# -- events ----------------------------------------------------------------------------------------


def event_read(id: str, kind: str, members: dict[str, Any]) -> Event:
    """An event as the client reads it."""
    return read_event(id, kind, json.dumps(members))


def event(
    kind: str, rev: int, status: str, step: str = RUN, *, seq: int = 1, at: int = 0, **more: Any
) -> Event:
    """An event of a step (or of the run, for run-moved) as the stream has it."""
    name = {
        "started": "attempt",
        "attempt-ended": "attempt",
        "late-end": "attempt",
        "run-moved": "run",
    }.get(kind, "step")
    members = {"kind": kind, "runId": RUN, "stepId": step, "status": status, "rev": rev}
    return event_read(f"f-{seq}", name, members | {"at": rfc3339(NOW + at)} | more)


HEARTBEAT = event_read("", "heartbeat", {"serverTime": rfc3339(NOW), "instance": "a"})


# -- text ------------------------------------------------------------------------------------------


EMPTY: Cell = ("", "plain")


def row_text(columns: Iterable[Column], cells: Mapping[str, Cell], cells_wide: int) -> str:
    """A row as it stands on a screen so wide."""
    sized = layout(columns, cells_wide)
    told = " ".join(
        fit(text_of(cells.get(column.key, EMPTY)), size, right=column.right, middle=column.middle)
        for column, size in sized
    )
    assert width(told) <= cells_wide, (width(told), cells_wide)
    return told.rstrip()


def head_text(columns: Iterable[Column], cells_wide: int) -> str:
    """The head over such rows."""
    sized = layout(columns, cells_wide)
    told = " ".join(fit(column.title, size, right=column.right) for column, size in sized)
    return told.rstrip()
