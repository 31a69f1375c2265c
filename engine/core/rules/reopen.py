"""What an operator's `retry` opens, and what was recorded after that had ended. `protocol.md` §5.

Steps that are opened begin their next generation with fresh budgets. All but the root wait until
the workflow posts them again: it may take another path now.
"""

from __future__ import annotations

from engine.core.events import Reopened
from engine.core.machine import Change
from engine.core.model import PauseReason, Run, Step, StepState

STANDS = (StepState.FAILED, StepState.CANCELLED)


def opened_by_retry(run: Run, step_id: str | None) -> set[str]:
    """The ended run is retried: its root, the chain of causes (only the first, and the run would
    fail again at once), what was cancelled, and the step that was asked for."""
    opened = {run.id}
    for id in (*_causes(run.root, run), *((step_id,) if step_id else ())):
        add_with_ancestors(run, id, opened)
    kept = {s.id for s in run.steps.values() if s.state is StepState.FAILED} - opened
    below_kept: set[str] = set()
    for step in run.steps.values():  # parents come before their children
        # what lies below a step that stays failed could be posted by nobody
        if step.parent_id in kept or step.parent_id in below_kept:
            below_kept.add(step.id)
        elif step.state is StepState.CANCELLED:
            add_with_ancestors(run, step.id, opened)
    return opened


def paused_above(run: Run, step: Step) -> Step | None:
    """The step that is paused because it did not handle that this one, or the one between them,
    failed; None: there is none."""
    if step.state not in STANDS:
        return None
    while step.ended and step.parent_id is not None:
        step = run.steps[step.parent_id]
    return step if step.pause_reason is PauseReason.UNHANDLED_FAILURE else None


def opened_below(run: Run, failed: Step) -> set[str]:
    """The failure of a paused step is opened: with what made it fail, and what was cancelled with
    it or with what is opened above it. What has not ended is left alone."""
    opened: set[str] = set()
    for id in (failed.id, *_causes(failed, run)):
        opened.update(o for o in (id, *ancestors(run, run.steps[id])) if run.steps[o].ended)
    for step in run.below(failed.id):  # parents before their children
        if step.state is StepState.CANCELLED and step.parent_id in opened:
            opened.add(step.id)
    return opened | cancelled_with(run, opened)


def cancelled_with(run: Run, failed: set[str]) -> set[str]:
    """What was cancelled because these failed: called again, they would be told of that as of a
    failure."""
    found: set[str] = set()
    for step in run.steps.values():  # parents come before their children
        was_cancelled = step.state is StepState.CANCELLED and step.cause_id in failed
        if was_cancelled and (step.parent_id in failed or step.parent_id in found):
            found.add(step.id)
    return found


def reopen(change: Change, ended: set[str], rerun: set[str], now: int) -> None:
    """Open these steps. All but the root start when the workflow posts them again."""
    for step in sorted((change.run.steps[id] for id in ended), key=lambda s: s.ordinal):
        again = step.id in rerun
        change.do(Reopened(now, step.id, rerun=again, awaiting_post=not step.is_root))


def ended_badly(run: Run) -> dict[str, int]:
    """When the steps that stand failed or cancelled ended."""
    stands = (step for step in run.steps.values() if step.state in STANDS)
    return {step.id: step.ended_at for step in stands if step.ended_at is not None}


def recorded_after(run: Run, opened: set[str], ended: dict[str, int]) -> list[str]:
    """Which steps were recorded after one of those that are opened had `ended`, as it was before.

    They may be its compensation, and are answered from the record when they are posted again. The
    same millisecond counts: a fast workflow has seen the outcome before it has passed.
    """
    since = min((at for id, at in ended.items() if id in opened), default=None)
    if since is None:
        return []
    return [
        step.id
        for step in run.steps.values()
        if step.submitted_at >= since and step.id not in opened and not step.is_root
    ]


def add_with_ancestors(run: Run, step_id: str, to: set[str]) -> None:
    """A step and all above it: up to one that is there already, and so is all above that. A run has
    thousands of steps, and each of them many above it."""
    above: str | None = step_id
    while above is not None and above not in to:
        to.add(above)
        above = run.steps[above].parent_id


def ancestors(run: Run, step: Step) -> list[str]:
    """The steps above this one, its parent first."""
    above = []
    while step.parent_id is not None:
        above.append(step.parent_id)
        step = run.steps[step.parent_id]
    return above


def _causes(step: Step, run: Run) -> list[str]:
    """The step that made this one fail, the one that made that one fail, and so on: up to one
    whose result was set since, as it stands failed no more."""
    causes: list[str] = []
    while step.cause_id is not None and step.cause_id not in causes:
        step = run.steps[step.cause_id]
        if step.state not in STANDS:
            break
        causes.append(step.id)
    return causes
