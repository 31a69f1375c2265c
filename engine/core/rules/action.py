"""What an operator can do to a run or a step. `protocol.md` §5.

Each function plans on the run as it is and says what it does in events; what the state does not
allow is refused with the reason, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from engine.core import retarget
from engine.core.errors import Problem, Refused
from engine.core.events import (
    NOTE,
    Acted,
    Actor,
    Cancelled,
    Paused,
    Reopened,
    Resumed,
    Retargeted,
    Woken,
)
from engine.core.machine import Change
from engine.core.model import OPEN, DelayBy, Move, PauseReason, Run, Step, StepState
from engine.core.retarget import MovedStep
from engine.core.rules.attempt import cancel_descendants, wake_parent
from engine.core.rules.note import NOTES_MAX, check_note
from engine.core.rules.post import WhyNot
from engine.core.rules.reopen import (
    add_with_ancestors,
    ended_badly,
    opened_below,
    opened_by_retry,
    paused_above,
    recorded_after,
    reopen,
)
from engine.core.rules.repair import (
    By,
    Given,
    check_count,
    check_payload,
    is_repeated,
    not_possible,
    set_payload,
    set_result,
)


class Action(StrEnum):
    """The words of `POST /api/v1/runs/{id}/actions`."""

    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RERUN = "rerun"
    DISMISS = "dismiss"
    UNDISMISS = "undismiss"
    RETARGET = "retarget"
    SET_RESULT = "set-result"
    SKIP = "skip"
    NOTE = NOTE

    @classmethod
    def _missing_(cls, value: object) -> Action | None:
        return cls.UNDISMISS if value == UNDISMISS_ONCE else None


UNDISMISS_ONCE = "restore"
"""What it was called before there were files to restore; taken for ever, and told as it is called
now."""


FITS: dict[Action, frozenset[StepState]] = {
    Action.RETRY: frozenset(
        {StepState.FAILED, StepState.CANCELLED, StepState.BACKING_OFF, StepState.WAITING}
    ),
    Action.PAUSE: OPEN - {StepState.PAUSED},
    Action.RESUME: frozenset({StepState.PAUSED}),
    Action.CANCEL: OPEN,
    Action.DISMISS: frozenset({StepState.FAILED, StepState.CANCELLED, StepState.PAUSED}),
    Action.UNDISMISS: frozenset(StepState),
    Action.RETARGET: frozenset(StepState),
}
"""The states of a run in which an action may be possible: what can be told without its steps.
What needs one (`rerun`, `set-result`, `skip`), and what is said of one run (`note`), is not
here."""
BEYOND_A_JOB = "a job takes 100,000: ask again for these"
"""Why a bulk job leaves runs alone that it would act on, were they not too many."""


class Order(Struct, frozen=True):
    """What an operator asks for."""

    action: Action
    step_id: str | None
    actor: Actor
    reason: str | None
    move: Move | None = None
    """What `retarget` does."""
    given: Given | None = None
    """The result that is set, or the payload that the run is called with."""
    if_rev: int | None = None
    """Only at this revision: the step's where one is named, else the run's."""
    dry_run: bool = False
    """Only say what it would do."""


class Done(Struct, frozen=True):
    """What an action did: ids of steps."""

    changed: list[str]
    recorded_after: list[str]
    """By a `retry`: recorded after one that it opened had ended. Perhaps its compensation."""
    moved: list[MovedStep] = []
    """By a `retarget`."""
    repeated: bool = False
    """It was done before, with the same idempotency key: nothing was done now."""
    state_before: StepState | None = None
    """Of a dry run: how the run stands."""


def act(
    change: Change, order: Order, *, now: int, why_not: WhyNot = lambda client, url: None
) -> Done:
    """Carry an order out, whatever its `if_rev` and `dry_run` say. `why_not` says where `retarget`
    may not lead.

    Raises Refused (`not-possible`, `not-found`) and changes nothing.
    """
    run, action, step_id, actor = change.run, order.action, order.step_id, order.actor
    if step_id is not None and step_id not in run.steps:
        raise Refused(Problem.NOT_FOUND, f"The run has no step {step_id}.", runId=run.id)
    if action is Action.RETARGET:
        acted = Acted(now, run.id, action, actor.name, order.reason, None, actor.address)
        return _retarget(change, step_id, order.move, acted, why_not)
    if order.given is not None:
        return _repair(change, order, order.given, now)
    if action is Action.NOTE:
        check_note(order.reason, "reason")
    plan = _PLANS[action](run, step_id)
    dismissed = {Action.DISMISS: True, Action.UNDISMISS: False}.get(action)
    if action in (Action.RETRY, Action.RERUN, Action.RESUME):
        dismissed = False if run.dismissed else None
    ended = ended_badly(run) if action is Action.RETRY else {}
    acted_on = step_id or run.id
    change.do(Acted(now, acted_on, action, actor.name, order.reason, dismissed, actor.address))
    plan(change, now)
    return _done(change, ended)


def _done(change: Change, ended: dict[str, int]) -> Done:
    """What the events say. `ended`: since when steps stood failed or cancelled before."""
    run = change.run
    named = {event.step_id for event in change.events}
    changed = [id for id in change.touched if id in named]
    opened = {e.step_id for e in change.events if isinstance(e, Reopened)}
    return Done(changed, recorded_after(run, opened, ended))


def _repair(change: Change, order: Order, given: Given, now: int) -> Done:
    """`set-result` and `skip`, and `rerun` with a payload."""
    run, actor, action = change.run, order.actor, order.action
    of_run = action is Action.RERUN
    step_id = order.step_id or (run.id if of_run else None)
    if step_id is None:
        raise Refused(Problem.INVALID_REQUEST, f"`{action}` needs `step`.", member="step")
    if not order.reason:
        raise Refused(
            Problem.INVALID_REQUEST,
            f"`{action}` needs `reason`: it is kept beside what was there.",
            member="reason",
        )  # fmt: skip
    if is_repeated(run, step_id, action, given):
        return Done([], [], repeated=True)
    step, ended = run.steps[step_id], ended_badly(run)
    if of_run:
        check_payload(run, step_id)
    check_count(run, step)
    dismissed = False if run.dismissed else None
    change.do(Acted(now, step_id, action, actor.name, order.reason, dismissed, actor.address))
    by = By(actor, order.reason, given, now)
    if of_run:
        set_payload(change, by)
        return _done(change, {})
    set_result(change, step, action, by)
    return _done(change, ended)


Plan = Callable[[Change, int], None]


def _retry(run: Run, step_id: str | None) -> Plan:
    target = run.root if step_id is None else run.steps[step_id]
    if target.state in (StepState.BACKING_OFF, StepState.WAITING):
        return lambda change, now: _wake(change, target, now)
    if target.state is StepState.PAUSED:
        unhandled = target.pause_reason is PauseReason.UNHANDLED_FAILURE
        what = " Or retry the failed step below it." if unhandled else ""
        raise not_possible(run, f"The step is paused: resume it.{what}")
    if (paused := paused_above(run, target)) is not None:
        return _retry_below(run, target, paused)
    root = run.root
    if root.state not in (StepState.FAILED, StepState.CANCELLED):
        if step_id is None and not root.ended:
            due = [s for s in run.steps.values() if s.state is StepState.BACKING_OFF]
            if due:
                return lambda change, now: _wake_all(change, due, now)
        raise not_possible(
            run, f"A retry needs a backing-off or waiting step, or a failed run; the"
            f" {'run' if step_id is None else 'step'} is {target.state}."
        )  # fmt: skip
    if step_id is not None and target.state is StepState.COMPLETED:
        raise not_possible(run, "The step completed: use rerun to run it again.")
    if any(not step.ended for step in run.steps.values()):
        raise not_possible(run, "Requests of the ended run are still in flight.")

    opened = opened_by_retry(run, step_id)
    return lambda change, now: reopen(change, opened, set(), now)


def _retry_below(run: Run, failed: Step, paused: Step) -> Plan:
    """A failure that was not handled is tried again, by the step that it has paused."""
    opened = opened_below(run, failed)

    def plan(change: Change, now: int) -> None:
        reopen(change, opened, set(), now)
        change.do(Resumed(now, paused.id, fresh=True))

    return plan


def _wake(change: Change, step: Step, now: int) -> None:
    change.do(Woken(now, step.id, DelayBy.OPERATOR))


def _wake_all(change: Change, steps: list[Step], now: int) -> None:
    for step in steps:
        _wake(change, step, now)


def _steps_in_scope(run: Run, step_id: str | None) -> list[Step]:
    if step_id is None:
        return list(run.steps.values())
    return [run.steps[step_id]]


def _pause(run: Run, step_id: str | None) -> Plan:
    targets = [
        step
        for step in _steps_in_scope(run, step_id)
        if not step.ended
        and not step.awaiting_post
        and step.state is not StepState.PAUSED
        and not step.pause_asked
    ]
    if not targets:
        raise not_possible(run, "Nothing here is open and unpaused.")

    def plan(change: Change, now: int) -> None:
        for step in targets:
            change.do(Paused(now, step.id, PauseReason.OPERATOR))

    return plan


def _resume(run: Run, step_id: str | None) -> Plan:
    targets = [
        s for s in _steps_in_scope(run, step_id) if s.state is StepState.PAUSED or s.pause_asked
    ]
    if not targets:
        raise not_possible(run, "Nothing here is paused.")

    def plan(change: Change, now: int) -> None:
        for step in targets:
            spent = step.pause_reason is not PauseReason.OPERATOR
            change.do(Resumed(now, step.id, fresh=spent and not step.pause_asked))

    return plan


def _cancel(run: Run, step_id: str | None) -> Plan:
    target = run.root if step_id is None else run.steps[step_id]
    children_open = step_id is None and any(not s.ended for s in run.steps.values())
    if target.ended and not children_open:
        raise not_possible(run, f"It has already ended ({target.state}).")

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
        raise not_possible(run, "The workflow's own request is in flight; pause or wait.")
    again = {step_id}
    for step in run.steps.values():  # parents come before their children
        if step.parent_id in again:
            again.add(step.id)
        # the same millisecond counts: a fast workflow has seen the outcome before it has passed
        after = target.ended_at is not None and step.submitted_at >= target.ended_at
        if after and not step.is_root:
            again.add(step.id)
    if not target.ended:
        raise not_possible(run, f"The step is {target.state}: only an ended step can rerun.")
    opens = {run.id}
    for id in again:
        add_with_ancestors(run, id, opens)
    busy = [id for id in opens if run.steps[id].state is StepState.RUNNING]
    if busy:
        raise not_possible(run, f"A request of step {busy[0]} is in flight.")

    def plan(change: Change, now: int) -> None:
        for step in sorted((run.steps[id] for id in opens), key=lambda s: s.ordinal):
            if step.id in again and not step.ended:
                change.do(Cancelled(now, step.id))
            elif not step.ended and step.state is not StepState.PENDING:
                # open above what runs again: its generation goes on, and so do its callers' waits
                _wake(change, step, now)
        reopen(change, {id for id in opens if run.steps[id].ended}, again, now)

    return plan


def _retarget(
    change: Change, step_id: str | None, move: Move | None, acted: Acted, why_not: WhyNot
) -> Done:
    if step_id is not None:
        raise Refused(Problem.INVALID_REQUEST, "Runs are retargeted whole, not steps.")
    assert move is not None
    found = retarget.plan(change.run, move)
    for url in dict.fromkeys(each.after for each in found) or (move.to_url,):
        if (why := why_not(change.run.client, url)) is not None:
            raise not_possible(change.run, f"{url}: {why}.")
    change.do(acted)
    change.do(Retargeted(acted.at, change.run.id, move.from_url, move.to_url, acted.actor))
    return Done([each.step_id for each in found], [], found)


def _dismissal(to: bool) -> Callable[[Run, str | None], Plan]:
    def plan_for(run: Run, step_id: str | None) -> Plan:
        if step_id is not None:
            raise Refused(Problem.INVALID_REQUEST, "Runs are dismissed and undismissed, not steps.")
        if run.dismissed is to:
            raise not_possible(run, f"The run is {'already' if to else 'not'} dismissed.")
        if to and run.state not in (StepState.FAILED, StepState.CANCELLED, StepState.PAUSED):
            raise not_possible(run, f"Only a failed or paused run is dismissed; it is {run.state}.")
        return lambda change, now: None

    return plan_for


def _note(run: Run, step_id: str | None) -> Plan:
    if step_id is not None:
        raise Refused(Problem.INVALID_REQUEST, "A note is of a run, not of a step.", member="step")
    if len(run.notes) >= NOTES_MAX:
        raise not_possible(run, f"The run has {NOTES_MAX} notes already, which is the most.")
    return lambda change, now: None


def _nothing_given(run: Run, step_id: str | None) -> Plan:
    raise Refused(Problem.INVALID_REQUEST, "`set-result` needs `result`.", member="result")


_PLANS: dict[Action, Callable[[Run, str | None], Plan]] = {
    Action.RETRY: _retry,
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
    Action.CANCEL: _cancel,
    Action.RERUN: _rerun,
    Action.DISMISS: _dismissal(True),
    Action.UNDISMISS: _dismissal(False),
    Action.SET_RESULT: _nothing_given,
    Action.SKIP: _nothing_given,
    Action.NOTE: _note,
}
