"""Runs that a bug of the engine's stopped: what the journal says of that, and of its end.

A stop must not need what the bug may have broken. So it looks at no step and folds nothing. In the
journal it is events like any other; what they come to in the rows is each store's.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from engine.core.events import Acted, Actor, EndedAsItIs, EngineErred, RunMoved
from engine.core.model import ENDED, StepState
from engine.ports.store import Stopped
from engine.store.journal import EventLine


class What(Enum):
    """What is done to a run that a bug stopped."""

    STOP = 0
    END = 1
    LET_GO_ON = 2


class Stop(Struct, frozen=True):
    """What is done to the rows of a stopped run in the commit that records it in the journal."""

    stopped: Stopped
    at: int
    first: int
    """The number of the first of its events."""
    seq: int
    """Of the last one."""
    behind: int | None = None
    """The first event that the rows lack; None: they lack none."""
    what: What = What.STOP

    @property
    def run_id(self) -> str:
        return self.stopped.run_id


def stop_lines(stopped: Stopped, at: int) -> list[EventLine]:
    """The events of a stop."""
    erred = EngineErred(at, stopped.run_id, stopped.error)
    lines = [EventLine(stopped.run_id, stopped.root_state, stopped.root_rev + 1, erred)]
    return lines + _moved(stopped, at, StepState.PAUSED)


def acted_line(
    stopped: Stopped, at: int, action: str, actor: Actor, reason: str | None
) -> EventLine:
    """An operator's action on such a run."""
    acted = Acted(at, stopped.run_id, action, actor.name, reason, None, actor.address)
    return EventLine(stopped.run_id, stopped.root_state, stopped.root_rev + 1, acted)


def end_lines(stopped: Stopped, at: int, actor: Actor, reason: str | None) -> list[EventLine]:
    """The events of an end as it is, which an operator asked for."""
    run_id, rev = stopped.run_id, stopped.root_rev + 2
    ended = stopped.root_state if stopped.root_state in ENDED else StepState.CANCELLED
    lines = [
        acted_line(stopped, at, "cancel", actor, reason),
        EventLine(run_id, ended, rev, EndedAsItIs(at, run_id)),
    ]
    return lines + _moved(stopped, at, StepState.CANCELLED)


def _moved(stopped: Stopped, at: int, to: StepState) -> list[EventLine]:
    """A run keeps the outcome of a root that has ended."""
    before = stopped.state
    if before == to or before in ENDED:
        return []
    known = StepState(before) if before in set(StepState) else None
    moved = RunMoved(at, stopped.run_id, known, to)
    return [EventLine(stopped.run_id, to, stopped.rev + 1, moved)]
