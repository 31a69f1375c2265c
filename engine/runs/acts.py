"""What an operator does to a run that is in memory: one passage, and durable when it returns."""

from __future__ import annotations

from msgspec.structs import replace

from engine.core.access.client import ALERTS_CLIENT
from engine.core.errors import Problem, Refused
from engine.core.machine import Change
from engine.core.model import Run, run_state
from engine.core.rules.action import Action, Done, Order, act
from engine.core.rules.post import WhyNot
from engine.core.rules.repair import is_repeated
from engine.ports.store import Away, Body
from engine.process.clock import Clock
from engine.runs.limits.refusals import revision_changed, store_unavailable
from engine.runs.live import LiveRun
from engine.runs.stopped import OnActed


async def carry_out(
    live: LiveRun, order: Order, clock: Clock, away: Away | None, why_not: WhyNot, acted: OnActed
) -> tuple[Run, Done]:
    """Do it, durably; a dry run changes a copy. `away`: why nothing can be recorded now. `acted` is
    called in the passage that writes it. Raises Refused."""
    run = live.run
    if not _is_repeated(run, order):
        _check(run, order)
    if not order.dry_run and away is not None:
        raise store_unavailable(away)
    change = Change(run.copied() if order.dry_run else run)
    done = act(change, order, now=clock.steady_ms(), why_not=why_not)
    if order.dry_run:
        done = replace(done, state_before=run_state(run))
    else:
        live.call_elsewhere(done.moved)
        live.commit(change, () if done.repeated else _bodies(live, order))
        acted(run.root.generation)
    await (live.wait_durable() if order.dry_run else live.wait_all_durable())
    return change.run, done


def _is_repeated(run: Run, order: Order) -> bool:
    """What was done before is the same again, whatever revision the step has since."""
    step_id = order.step_id or run.id
    if order.given is None or step_id not in run.steps:
        return False
    return is_repeated(run, step_id, order.action, order.given)


def _bodies(live: LiveRun, order: Order) -> tuple[Body, ...]:
    """What was given, for the store; a payload also for the call that it is for."""
    given = order.given
    if given is None:
        return ()
    step = live.run.steps[order.step_id or live.run.id]
    if order.action is Action.RERUN:
        live.payloads.keep_small(step.id, given.data)
        return (Body(step.id, step.payload_generation, given.data),)
    return (
        Body(
            step.id, step.answer_attempt, given.data, given.content_type, answer=True,
            json=given.json,
        ),
    )  # fmt: skip


SAYS_WHAT_IS_SENT = (Action.RERUN, Action.SET_RESULT, Action.SKIP)
"""Of an alert nobody else may: it is signed as the engine's own word."""


def _check(run: Run, order: Order) -> None:
    """The run has the step, and the revision that was seen; and it is the application's."""
    if run.client == ALERTS_CLIENT and order.action in SAYS_WHAT_IS_SENT:
        raise Refused(
            Problem.NOT_POSSIBLE,
            "The run is an alert of the engine's, which alone says what it sends and what came of"
            " it. `retry` sends it again.",
            runId=run.id,
        )
    step_id = order.step_id
    if step_id is not None and step_id not in run.steps:
        raise Refused(Problem.NOT_FOUND, f"The run has no step {step_id}.", runId=run.id)
    rev = run.rev if step_id is None else run.steps[step_id].rev
    if order.if_rev is not None and order.if_rev != rev:
        raise revision_changed(run.id, step_id, rev, order.if_rev)
