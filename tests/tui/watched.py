"""A run of the core with a dashboard beside it, which has every change as the engine tells it."""

from __future__ import annotations

import msgspec
from msgspec.structs import asdict

from engine.core.events import Acted, Event, Held, ResultSet, Retargeted, RunMoved
from engine.core.machine import Change
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.text.times import rfc3339
from engine.front.api.events import event_frame
from engine.front.show.digests import Digests
from engine.front.show.rows import run_row, step_row
from engine.ports.views import EventRecord, record_of
from engine.wire import HoldRow, RunTree
from tests.core.support import EXACT, Driven
from tests.tui.mirror import FILE, event_read
from tests.tui.support import HEARTBEAT, store_at
from tui.data.inputs import TreeRead
from tui.data.model import Run, Step, run_of, step_of

READ_AGAIN = ("at", "generation", "pause_reason", "reason")
"""What of a run no event of its own tells."""


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
            self.store.apply(event_read(event_frame(FILE, record, Digests(b""))))
        self.store.apply(HEARTBEAT)
        self._compare()

    def _read(self) -> None:
        """The run as the engine answers it."""
        steps = tuple(map(step_row, self.run.steps.values()))
        hold = HoldRow("client", "shop", rfc3339(self.now), "ana")  # that there is one is not read
        tree = RunTree(run_row(record_of(self.run)), steps, rfc3339(self.now), holds=(hold,))
        self.store.apply(TreeRead(tree))

    def _compare(self) -> None:
        tree = self.store.trees.get("R")
        if tree is None or tree.outdated:  # what is not told is read, as the feed does
            assert tree is None or any(map(_needs_a_read, self.last)), f"not folded: {self.last}"
            return self._read()
        told = [step_of(step_row(step)) for step in self.run.steps.values()]
        assert list(tree.steps) == [step.id for step in told]
        after = [f"{type(event).__name__} of {event.step_id}" for event in self.last]
        for step in told:
            wrong = differing(tree.steps[step.id], step, but=("tries",))
            assert not wrong, f"{step.id} on the screen and in the engine, after {after}"
        wrong = differing(tree.run, run_of(run_row(record_of(self.run))), but=READ_AGAIN)
        assert not wrong, f"the run on the screen and in the engine, after {after}"
        return None


def _needs_a_read(event: Event) -> bool:
    dismisses = isinstance(event, Acted) and event.dismissed is not None
    notes = isinstance(event, Acted) and event.action == Action.NOTE
    ends_anew = isinstance(event, ResultSet) and event.step_id == "R"
    return (
        dismisses or notes or ends_anew or isinstance(event, Retargeted | Held)
    )  # by what it is held


def differing(made: Step | Run, told: Step | Run, but: tuple[str, ...]) -> dict[str, object]:
    """What is not alike, by the name of a field: ours, and theirs."""
    ours, its = asdict(made), asdict(told)
    names = (name for name in ours if name not in but)
    return {name: (ours[name], its[name]) for name in names if ours[name] != its[name]}
