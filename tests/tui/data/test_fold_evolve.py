"""The dashboard's fold is held to the core's: whatever happens to a run, in any order, the rows
that are made of the stream are the rows of what `evolve` gives.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from msgspec.structs import replace

from engine.core.events import RunMoved
from engine.core.machine import Change
from engine.core.retry import RetryPolicy
from engine.front.api.events import event_frame
from engine.front.show.rows import run_row, step_row
from engine.front.show.times import rfc3339
from engine.ports.views import EventRecord, record_of
from engine.wire import RunTree
from tests.core.any_run import AnyRun
from tests.core.support import EXACT, Driven
from tests.tui.mirror import FILE, event_read
from tests.tui.support import HEARTBEAT, store_at
from tui.data.inputs import TreeRead
from tui.data.model import Step, run_of, step_of


class Watched(Driven):
    """A run with a dashboard beside it, which has every change of it as the engine tells it."""

    def __init__(self, retry: RetryPolicy | None = EXACT) -> None:
        self.store = store_at()
        self.seq = 0
        super().__init__(retry)

    def _took(self, change: Change) -> None:
        super()._took(change)
        for event in change.events:
            self.seq += 1
            step = self.run.steps[event.step_id]
            of = (self.run.shown, self.run.rev)
            state, rev = of if isinstance(event, RunMoved) else (step.state, step.rev)
            data = msgspec.json.encode(event).decode()
            record = EventRecord(self.seq, event.at, "R", event.step_id, str(state), rev, data)
            self.store.apply(event_read(event_frame(FILE, record)))
        self.store.apply(HEARTBEAT)
        self._compare()

    def _read(self) -> None:
        """The run as the engine answers it."""
        steps = tuple(map(step_row, self.run.steps.values()))
        tree = RunTree(run_row(record_of(self.run)), steps, rfc3339(self.now))
        self.store.apply(TreeRead(tree))

    def _compare(self) -> None:
        tree = self.store.trees.get("R")
        if tree is None or tree.outdated:  # what is not told is read, as the feed does
            return self._read()
        made = {id: replace(step, tries=()) for id, step in tree.steps.items()}
        told: dict[str, Step] = {i: step_of(step_row(s)) for i, s in self.run.steps.items()}
        assert made == told
        assert list(made) == list(told)
        now = run_of(run_row(record_of(self.run)))
        assert (tree.run.state, tree.run.rev) == (now.state, now.rev)
        return None


class AnyWatchedRun(AnyRun):
    """Everything that may happen, and after each of it the rows are compared."""

    drives = Watched


AnyWatchedRun.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


TestAnyWatchedRun = pytest.mark.slow(AnyWatchedRun.TestCase)
"""The fold of the stream is the fold of the records."""
