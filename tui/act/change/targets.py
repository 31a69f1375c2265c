"""What a key that changes the engine is meant for: taken when it is pressed, with its revision.

What happens to the list meanwhile changes nothing of a target, and what happened to the run is told
by the engine (409) instead of being overrun.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from engine.client import Action, ProblemError
from engine.wire import FITS, ActionAnswer, NoteRow, PauseReason, Problem, StepRow
from tui.boards.presence import act_text, last_act
from tui.data.model import GOES_ON, Run, State, Step, short_id
from tui.data.store import Store
from tui.keys import Command
from tui.text import sanitize

NAMED_MAX = 5
"""More steps than these are counted."""


OF_ANY_STATE = frozenset({Action.SET_RESULT, Action.SKIP, Action.NOTE})


Given = Mapping[str, Any]
"""What an action takes beside its target, by the names of `operate.act`."""


class Target(NamedTuple):
    """A run, a step, or a group of runs, as it was then."""

    run_id: str
    step_id: str | None
    rev: int
    state: State
    name: str
    dismissed: bool = False
    cause: str | None = None
    """It is a group: every run with this cause."""
    pause_reason: str | None = None
    """Where it is known: lists of runs do not say it."""
    is_held: bool = False
    """It waits under a hold, or something of it does, as far as that is known."""
    after: str = ""
    """Names of the steps recorded since the failure that a retry has just opened."""
    seen_at: str | None = None
    """Of a cause: when the latest of its runs had got stuck, as it was seen."""
    reason: str = ""
    """Of a cause: why it is dismissed, or was; or what is noted of it."""
    left: str = ""
    """What is left to do for the run to go on, after what was just done."""
    note: NoteRow | None = None
    """Of a cause: the note that was just written of it."""
    comes_again: bool = False
    """Of a cause that was just dismissed: it has come again since it was seen."""

    @property
    def is_pausing(self) -> bool:
        """It is paused as soon as its call in flight has ended."""
        return self.pause_reason is not None and self.state in GOES_ON


def of_run(run: Run) -> Target:
    """A run as a target."""
    name = f"{run.workflow} {short_id(run.id)}"
    target = Target(run.id, None, run.rev, run.state, name, run.dismissed)
    return target._replace(pause_reason=run.pause_reason)


def of_step(store: Store, step: Step) -> Target | None:
    """A step as a target; a root stands for its run. None: its run has just gone."""
    tree = store.trees.get(step.run_id)
    if tree is None:
        return None
    run = tree.run
    if step.id == run.id:
        is_held = any(it.held_since is not None for it in tree.steps.values())
        return of_run(run)._replace(pause_reason=step.pause_reason, is_held=is_held)
    name = f"{run.workflow} {short_id(run.id)} › {step.name}"
    target = Target(run.id, step.id, step.rev, step.state, name, run.dismissed)
    is_held = step.held_since is not None
    return target._replace(pause_reason=step.pause_reason, is_held=is_held)


def of_its_run(store: Store, target: Target) -> Target:
    """The run of a step that is meant."""
    tree = store.trees.get(target.run_id) if target.step_id is not None else None
    return target if tree is None else of_run(tree.run)


def of_row(store: Store, view: str, row_id: str) -> Target | None:
    """A row of a board as a target; None: it is none."""
    if view == "retries" and (retry := store.retries.get(row_id)) is not None:
        name = f"{retry.workflow} {short_id(retry.run_id)} › {retry.at.name}"
        return Target(retry.run_id, row_id, retry.rev, retry.at.state, name)
    if view == "causes" and (cause := store.causes.get(row_id)) is not None:
        name = f"cause {row_id}"
        target = Target(cause.run_id, None, 0, cause.state, name, cause.is_dismissed, row_id)
        reason = "" if cause.dismissal is None else cause.dismissal.reason
        return target._replace(seen_at=cause.last_at_told, reason=reason)
    run = store.runs.get(row_id)
    return None if run is None else of_run(run)


def action_for(command_id: str, target: Target) -> Action:
    """The action of a key on a target: `P` and `D` go both ways, and a group that has not failed is
    resumed, as something of it is paused: its root, or a step below one that still runs."""
    if command_id == "retry" and target.cause is not None and target.state is not State.FAILED:
        return Action.RESUME
    if command_id == "pause":
        paused = target.state is State.PAUSED or target.is_pausing
        return Action.RESUME if paused else Action.PAUSE
    if command_id == "other-payload":
        return Action.RERUN
    if command_id == "dismiss":
        return Action.UNDISMISS if target.dismissed else Action.DISMISS
    return Action(command_id)


def why_not_on(command: Command, target: Target) -> str:
    """Why a command can do nothing on a target; empty: it can."""
    if target.cause is not None:
        return ""
    action, state = action_for(command.id, target), target.state
    if command.id == "other-payload" and target.step_id is not None:
        return "it is the run that is called with another: press A on its first row"
    if action in OF_ANY_STATE or command.id == "other-payload":
        return ""
    if action is Action.RETRY and state is State.PAUSED:
        unhandled = target.pause_reason == PauseReason.UNHANDLED_FAILURE
        return f"it is paused: P resumes it{', R on the failed step opens that' * unhandled}"
    if command.id in ("dismiss", "retarget") and target.step_id is not None:
        return f"runs are {'dismissed' if command.id == 'dismiss' else 'retargeted'}, not steps"
    if action is Action.RESUME and target.is_pausing:
        fits = True  # its pause has not begun: it does not
    elif action is Action.RERUN:  # of what has ended
        fits = str(state) not in FITS[Action.CANCEL]
    else:
        fits = str(state) in FITS[action]
    held = ", and held: atomic holds says by what" if target.is_held else ""
    return "" if fits else f"it is {state}{held}"


def opens_what_failed(action: Action, target: Target) -> bool:
    """Whether a step's failure is opened: what may have undone it is asked for first."""
    ended = (State.FAILED, State.CANCELLED)
    return action is Action.RETRY and target.step_id is not None and target.state in ended


def after_text(answer: ActionAnswer) -> str:
    """Names of the steps that may have undone what a retry opens; empty: there are none."""
    names = [sanitize.safe(step.step_name) for step in answer.recorded_after]
    more = f" and {len(names) - NAMED_MAX:,} more" if len(names) > NAMED_MAX else ""
    return f"{', '.join(names[:NAMED_MAX])}{more}"


def left_to_do(answer: ActionAnswer) -> str:
    """What a person still has to do where a result alone lets nothing go on; empty: nothing."""
    if answer.action not in (Action.SET_RESULT, Action.SKIP):
        return ""
    if answer.run.status in (State.FAILED, State.CANCELLED):
        return f"the run stays {answer.run.status}: R on it calls it again, with this result"
    return "the run is paused still: P lets it go on" if answer.run.status == State.PAUSED else ""


def refusal(store: Store, action: Action, target: Target, error: ProblemError) -> str:
    """What the engine says instead of doing it: mostly that the run has moved on, and who moved
    it."""
    if error.problem in (Problem.UNAUTHORIZED, Problem.FORBIDDEN):
        return error.detail  # whoever acted has nothing to do with it
    if error.problem != Problem.REVISION_CHANGED:
        return f"{error.detail}{_by_whom(store, target)}"
    row = error.members.get("run" if target.step_id is None else "step")
    if not isinstance(row, dict):
        return "it has changed meanwhile; nothing was done"
    state, attempts = row.get("status"), row.get("attempts")
    if action is Action.RETRY and state == State.RUNNING:
        tried = f": try {attempts} is in flight" if isinstance(attempts, int) else ""
        return f"{who_acted(store, target) or 'already started'}{tried}"
    return f"it is {state} meanwhile{_by_whom(store, target)}; nothing was done"


def moved_on(error: ProblemError) -> StepRow | None:
    """The step as it is now, where an action is refused because it has changed since; None: that is
    not why, or the engine does not say."""
    row = error.members.get("step") if error.problem == Problem.REVISION_CHANGED else None
    try:
        return msgspec.convert(row, StepRow)
    except msgspec.ValidationError:
        return None


def who_acted(store: Store, target: Target) -> str:
    """`retried by ana 0.4s ago`: what somebody has just done to a target, as the events tell;
    empty: nobody has, or that has not been told."""
    about = (target.step_id, target.run_id)
    event = last_act(store, lambda it, _: it.run_id == target.run_id and it.step_id in about)
    return "" if event is None else act_text(store, event)


def _by_whom(store: Store, target: Target) -> str:
    acted = who_acted(store, target)
    return f" ({acted})" if acted else ""
