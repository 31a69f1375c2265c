"""The step machine as a table: one for root and child steps. `machine.py` turns it.

Theory. A step is `pending` until its first request leaves, `running` while a request is open, and
between requests `backing-off` (it has a time) or `waiting` (a child's end brings it back). It ends
`completed`, `failed` or `cancelled`, and what ended may begin its next generation (`Reopened`).
`paused` is reached from any open state. The table has more rows than the contract has states: what
is `pending` or `running` for everybody is told apart here where other events may follow (`Hidden`).

A pair that is not in the table is an error and changes nothing. What the table does not show:

1. What else must hold of an event: `machine.GUARDS`, and what `Accepted` and `Retargeted` need.
2. Which of several states an attempt leaves: `AttemptEnded.state` says it.
3. Where a paused step goes back to: `Step.resumes_to`. It may change meanwhile (`Woken`).
4. A pause that is asked for while a cancel is: it is noted, and comes to nothing.
5. What a child's end does to its parent: one open child less, and after a success no failures.
6. What is known of an open request, and who is kept from starting by a limit
   (`core/rules/next.py`): neither is recorded, and no event tells it. By a hold: `Held` does.

If you add a state: `run_state`, `rebuild` and the front's words need it too. If you add an event, a
row must name it, or evolve refuses it. Then `just pages`: the docs have a diagram of this table.
"""

from __future__ import annotations

from enum import StrEnum

from engine.core.events import (
    Accepted,
    Acted,
    AttemptEnded,
    CancelAsked,
    Cancelled,
    EndedAsItIs,
    EngineErred,
    Held,
    LateEnd,
    Paused,
    PayloadDiffered,
    PayloadSet,
    ReadAgain,
    Reopened,
    Replaced,
    ResultSet,
    Resumed,
    Retargeted,
    RunMoved,
    Started,
    Woken,
)
from engine.core.model import Run, Step, StepState


class Hidden(StrEnum):
    """Rows that are no states of the contract."""

    UNKNOWN = "unknown"
    """The step is not recorded."""
    AWAITING_POST = "awaiting-post"
    """Pending: open again, and called only when its workflow posts it again."""
    PAUSE_ASKED = "pause-asked"
    """Running: it pauses when its request is over, unless that ends it."""
    CANCEL_ASKED = "cancel-asked"
    """Running: a step above it failed, and this attempt is its last."""
    PARKED = "parked"
    """Whatever it was: a bug has stopped its run in this process, and memory may be wrong."""


Row = StepState | Hidden
To = frozenset[Row]

PENDING, RUNNING, BACKING_OFF, WAITING, PAUSED, COMPLETED, FAILED, CANCELLED = StepState
AWAITING_POST, PAUSE_ASKED, CANCEL_ASKED = (
    Hidden.AWAITING_POST,
    Hidden.PAUSE_ASKED,
    Hidden.CANCEL_ASKED,
)


def _leads_to(*rows: Row) -> To:
    return frozenset(rows)


SAME = _leads_to()
"""The event leaves the step in its row."""
_ALWAYS: dict[type, To] = dict.fromkeys(
    (LateEnd, PayloadDiffered, Acted, EngineErred, ReadAgain, Retargeted, RunMoved), SAME
)
_OPEN = {
    **_ALWAYS,
    Cancelled: _leads_to(CANCELLED),
    EndedAsItIs: _leads_to(CANCELLED),
    ResultSet: _leads_to(COMPLETED),
}
_BETWEEN = {**_OPEN, PayloadSet: _leads_to(PENDING)}
"""Open, and no request is."""
_ENDED = {
    **_ALWAYS,
    EndedAsItIs: SAME,
    Reopened: _leads_to(PENDING, AWAITING_POST),
    PayloadSet: _leads_to(PENDING),
}

TABLE: dict[Row, dict[type, To]] = {
    Hidden.UNKNOWN: {Accepted: _leads_to(PENDING, PAUSED)},
    PENDING: {**_BETWEEN, Held: SAME, Started: _leads_to(RUNNING), Paused: _leads_to(PAUSED)},
    AWAITING_POST: {**_OPEN, Replaced: _leads_to(PENDING), Paused: _leads_to(PAUSED)},
    RUNNING: {
        **_OPEN,
        AttemptEnded: _leads_to(BACKING_OFF, WAITING, PAUSED, COMPLETED, FAILED, CANCELLED),
        CancelAsked: _leads_to(CANCEL_ASKED),
        Paused: _leads_to(PAUSE_ASKED),
        Resumed: SAME,
    },
    PAUSE_ASKED: {
        **_OPEN,
        AttemptEnded: _leads_to(PAUSED, COMPLETED, FAILED, CANCELLED),
        CancelAsked: _leads_to(CANCEL_ASKED),
        Paused: SAME,
        Resumed: _leads_to(RUNNING),
    },
    CANCEL_ASKED: {
        **_OPEN,
        AttemptEnded: _leads_to(COMPLETED, CANCELLED),
        CancelAsked: SAME,
        Paused: SAME,
        Resumed: SAME,
    },
    BACKING_OFF: {
        **_BETWEEN,
        Held: SAME,
        Started: _leads_to(RUNNING),
        Woken: SAME,
        Paused: _leads_to(PAUSED),
    },
    WAITING: {**_BETWEEN, Woken: _leads_to(BACKING_OFF), Paused: _leads_to(PAUSED)},
    PAUSED: {
        **_BETWEEN,
        Woken: SAME,
        Resumed: _leads_to(PENDING, AWAITING_POST, BACKING_OFF, WAITING),
    },
    COMPLETED: _ENDED,
    FAILED: _ENDED,
    CANCELLED: _ENDED,
    Hidden.PARKED: {},
}
"""The row in which a step stands, an event, and the rows to one of which that leads."""


def row_of(run: Run, step: Step | None) -> Row:
    """Where a step stands."""
    if run.parked:
        return Hidden.PARKED
    if step is None:
        return Hidden.UNKNOWN
    if step.state is RUNNING:
        if step.cancel_asked:
            return CANCEL_ASKED
        return PAUSE_ASKED if step.pause_asked else RUNNING
    if step.awaiting_post and step.state is PENDING:
        return AWAITING_POST
    return step.state
