"""What an operator can do to a run or a step. `protocol.md` §5.

Each function plans on the run as it is and says what it does in events; what the state does not
allow is refused with the reason, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from engine.core.errors import Problem, Refused
from engine.core.events import Acted, Cancelled, Paused, Reopened, Resumed, Woken
from engine.core.machine import Change
from engine.core.model import OPEN, DelayBy, PauseReason, Run, Step, StepState
from engine.core.settle import cancel_descendants, wake_parent


class Action(StrEnum):
    """The words of `POST /api/v1/runs/{id}/actions`."""

    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RERUN = "rerun"
    DISMISS = "dismiss"
    RESTORE = "restore"


FITS: dict[Action, frozenset[StepState]] = {
    Action.RETRY: frozenset(
        {StepState.FAILED, StepState.CANCELLED, StepState.BACKING_OFF, StepState.WAITING}
    ),
    Action.PAUSE: OPEN - {StepState.PAUSED},
    Action.RESUME: frozenset({StepState.PAUSED}),
    Action.CANCEL: OPEN,
    Action.DISMISS: frozenset({StepState.FAILED, StepState.CANCELLED, StepState.PAUSED}),
    Action.RESTORE: frozenset(StepState),
}
"""The states of a run in which an action may be possible: what can be told without its steps.
`rerun` needs one, and is not here."""


def act(
    change: Change,
    action: Action,
    step_id: str | None,
    *,
    actor: str,
    reason: str | None,
    now: int,
) -> list[str]:
    """Carry an action out; returns the ids of the steps that it changed.

    Raises Refused (`not-possible`, `not-found`) and changes nothing.
    """
    run = change.run
    if step_id is not None and step_id not in run.steps:
        raise Refused(Problem.NOT_FOUND, f"The run has no step {step_id}.", runId=run.id)
    plan = _PLANS[action](run, step_id)
    dismissed = {Action.DISMISS: True, Action.RESTORE: False}.get(action)
    if action in (Action.RETRY, Action.RERUN, Action.RESUME):
        dismissed = False if run.dismissed else None
    change.do(Acted(now, step_id or run.id, action, actor, reason, dismissed))
    plan(change, now)
    return [id for id in change.touched if any(e.step_id == id for e in change.events)]


Plan = Callable[[Change, int], None]


def _not_possible(run: Run, detail: str) -> Refused:
    return Refused(Problem.NOT_POSSIBLE, detail, runId=run.id)


def _retry(run: Run, step_id: str | None) -> Plan:
    target = run.root if step_id is None else run.steps[step_id]
    if target.state in (StepState.BACKING_OFF, StepState.WAITING):
        return lambda change, now: _wake(change, target, now)
    if target.state is StepState.PAUSED:
        raise _not_possible(run, "The step is paused: resume it.")
    root = run.root
    if root.state not in (StepState.FAILED, StepState.CANCELLED):
        if step_id is None and not root.ended:
            due = [s for s in run.steps.values() if s.state is StepState.BACKING_OFF]
            if due:
                return lambda change, now: _wake_all(change, due, now)
        raise _not_possible(
            run, f"A retry needs a backing-off or waiting step, or a failed run; the"
            f" {'run' if step_id is None else 'step'} is {target.state}."
        )  # fmt: skip
    if step_id is not None and target.state is StepState.COMPLETED:
        raise _not_possible(run, "The step completed: use rerun to run it again.")
    if any(not step.ended for step in run.steps.values()):
        raise _not_possible(run, "Requests of the ended run are still in flight.")

    def plan(change: Change, now: int) -> None:
        reopen = {root.id}
        for id in (*_causes(root, run), *((step_id,) if step_id else ())):
            reopen.update((id, *_ancestors(run, run.steps[id])))
        kept = {s.id for s in run.steps.values() if s.state is StepState.FAILED} - reopen
        for step in run.steps.values():
            above = _ancestors(run, step)
            # what lies below a step that stays failed could be posted by nobody
            if step.state is StepState.CANCELLED and kept.isdisjoint(above):
                reopen.update((step.id, *above))
        _reopen(change, reopen, set(), now)

    return plan


def _causes(step: Step, run: Run) -> list[str]:
    """The step that made this one fail, the one that made that one fail, and so on."""
    causes: list[str] = []
    while step.cause_id is not None and step.cause_id not in causes:
        causes.append(step.cause_id)
        step = run.steps[step.cause_id]
    return causes


def _wake(change: Change, step: Step, now: int) -> None:
    change.do(Woken(now, step.id, DelayBy.OPERATOR))


def _wake_all(change: Change, steps: list[Step], now: int) -> None:
    for step in steps:
        _wake(change, step, now)


def _ancestors(run: Run, step: Step) -> list[str]:
    above = []
    while step.parent_id is not None:
        above.append(step.parent_id)
        step = run.steps[step.parent_id]
    return above


def _reopen(change: Change, ended: set[str], rerun: set[str], now: int) -> None:
    """Open these steps. All but the root start when the workflow posts them again."""
    for step in sorted((change.run.steps[id] for id in ended), key=lambda s: s.ordinal):
        again = step.id in rerun
        change.do(Reopened(now, step.id, rerun=again, awaiting_post=not step.is_root))


def _scope(run: Run, step_id: str | None) -> list[Step]:
    if step_id is None:
        return list(run.steps.values())
    return [run.steps[step_id]]


def _pause(run: Run, step_id: str | None) -> Plan:
    targets = [
        step
        for step in _scope(run, step_id)
        if not step.ended
        and not step.awaiting_post
        and step.state is not StepState.PAUSED
        and not step.hold
    ]
    if not targets:
        raise _not_possible(run, "Nothing here is open and unpaused.")

    def plan(change: Change, now: int) -> None:
        for step in targets:
            change.do(Paused(now, step.id, PauseReason.OPERATOR))

    return plan


def _resume(run: Run, step_id: str | None) -> Plan:
    targets = [s for s in _scope(run, step_id) if s.state is StepState.PAUSED or s.hold]
    if not targets:
        raise _not_possible(run, "Nothing here is paused.")

    def plan(change: Change, now: int) -> None:
        for step in targets:
            spent = step.pause_reason is not PauseReason.OPERATOR
            change.do(Resumed(now, step.id, fresh=spent and not step.hold))

    return plan


def _cancel(run: Run, step_id: str | None) -> Plan:
    target = run.root if step_id is None else run.steps[step_id]
    children_open = step_id is None and any(not s.ended for s in run.steps.values())
    if target.ended and not children_open:
        raise _not_possible(run, f"It has already ended ({target.state}).")

    def plan(change: Change, now: int) -> None:
        if not target.ended:
            change.do(Cancelled(now, target.id))
        cancel_descendants(change, target, now, by_operator=True)
        wake_parent(change, target, now)

    return plan


def _rerun(run: Run, step_id: str | None) -> Plan:
    if step_id is None:
        raise Refused(Problem.INVALID_REQUEST, "`rerun` needs `step`: where to run again from.")
    target = run.steps[step_id]
    if run.root.state is StepState.RUNNING:
        raise _not_possible(run, "The workflow's own request is in flight; pause or wait.")
    again = {step_id}
    for step in run.steps.values():  # parents come before their children
        if step.parent_id in again:
            again.add(step.id)
        # the same millisecond counts: a fast workflow has seen the outcome before it has passed
        after = target.ended_at is not None and step.submitted_at >= target.ended_at
        if after and not step.is_root:
            again.add(step.id)
    if not target.ended:
        raise _not_possible(run, f"The step is {target.state}: only an ended step can rerun.")
    reopen = again | {run.id}
    for step_id_ in again:
        reopen.update(_ancestors(run, run.steps[step_id_]))
    busy = [id for id in reopen if run.steps[id].state is StepState.RUNNING]
    if busy:
        raise _not_possible(run, f"A request of step {busy[0]} is in flight.")

    def plan(change: Change, now: int) -> None:
        for step in sorted((run.steps[id] for id in reopen), key=lambda s: s.ordinal):
            if step.id in again and not step.ended:
                change.do(Cancelled(now, step.id))
            elif not step.ended and step.state is not StepState.PENDING:
                # open above what runs again: its generation goes on, and so do its callers' waits
                _wake(change, step, now)
        _reopen(change, {id for id in reopen if run.steps[id].ended}, again, now)

    return plan


def _set_dismissed(to: bool) -> Callable[[Run, str | None], Plan]:
    def plan_for(run: Run, step_id: str | None) -> Plan:
        if step_id is not None:
            raise Refused(Problem.INVALID_REQUEST, "Runs are dismissed and restored, not steps.")
        if run.dismissed is to:
            raise _not_possible(run, f"The run is {'already' if to else 'not'} dismissed.")
        if to and run.state not in (StepState.FAILED, StepState.CANCELLED, StepState.PAUSED):
            raise _not_possible(
                run, f"Only a failed or paused run is dismissed; it is {run.state}."
            )
        return lambda change, now: None

    return plan_for


_PLANS: dict[Action, Callable[[Run, str | None], Plan]] = {
    Action.RETRY: _retry,
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
    Action.CANCEL: _cancel,
    Action.RERUN: _rerun,
    Action.DISMISS: _set_dismissed(True),
    Action.RESTORE: _set_dismissed(False),
}
