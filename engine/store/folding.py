"""One event of the journal into the rows of its run: at a start, and where a run was stopped."""

from __future__ import annotations

from engine.core.events import Accepted
from engine.core.machine import Change
from engine.core.model import Run
from engine.store.journal import BodyLine, EventLine
from engine.store.pending import Pending, absorb


def new_run(line: EventLine) -> Run:
    """A run that the tables do not know, before its first event."""
    client = line.event.client if isinstance(line.event, Accepted) else None
    return Run(id=line.run_id, client=client or "?", submitted_at=line.event.at)


def fold(
    pending: Pending,
    run: Run,
    seq: int,
    line: EventLine,
    entry: int,
    bodies: list[BodyLine],
    epoch: int,
) -> None:
    """Fold event `seq`, of the entry `entry` with these bodies, into the run and its rows.

    Raises what the fold raises, with the rows as they were.
    """
    change = Change(run)
    change.do(line.event)
    absorb(pending.rows_of(run, seq, 0.0), change, seq, epoch, entry, bodies)
    if isinstance(line.event, Accepted) and line.event.step_id == run.id:
        pending.opened(run)
