"""What an operator does to a run that is in memory: one passage, and durable when it returns."""

from __future__ import annotations

from engine.core.errors import Problem, Refused
from engine.core.machine import Change
from engine.core.model import Run
from engine.core.rules.action import Done, Order, act
from engine.core.rules.post import WhyNot
from engine.ports.store import Away
from engine.process.clock import Clock
from engine.runs.limits.refusals import revision_changed, store_unavailable
from engine.runs.live import LiveRun
from engine.runs.stopped import Acted


async def carry_out(
    live: LiveRun, order: Order, clock: Clock, away: Away | None, why_not: WhyNot, acted: Acted
) -> tuple[Run, Done]:
    """Do it, durably; a dry run changes a copy. `away`: why nothing can be recorded now. `acted` is
    called in the passage that writes it. Raises Refused."""
    run = live.run
    _check(run, order)
    if not order.dry_run and away is not None:
        raise store_unavailable(away)
    change = Change(run.copied() if order.dry_run else run)
    done = act(change, order, now=clock.steady_ms(), why_not=why_not)
    if not order.dry_run:
        live.call_elsewhere(done.moved)
        live.commit(change)
        acted(run.root.generation)
    await (live.wait_durable() if order.dry_run else live.wait_all_durable())
    return change.run, done


def _check(run: Run, order: Order) -> None:
    """The run has the step, and the revision that was seen."""
    step_id = order.step_id
    if step_id is not None and step_id not in run.steps:
        raise Refused(Problem.NOT_FOUND, f"The run has no step {step_id}.", runId=run.id)
    rev = run.rev if step_id is None else run.steps[step_id].rev
    if order.if_rev is not None and order.if_rev != rev:
        raise revision_changed(run.id, step_id, rev, order.if_rev)
