"""Why a run needs a person, and which others need one for the same reason.

A run is stuck when it has failed, or when a step of it is paused; dismissed ones are not. The cause
is what went wrong, where: 512 failed runs are mostly five decisions. It is told from the step at
fault, by what happened and not by the words of it, which differ from attempt to attempt.
"""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from msgspec import Struct

from engine.core.below import as_it_failed
from engine.core.failure import Failure, FailureKind
from engine.core.model import PauseReason, Run, Step, StepState

CAUSE_HEX_DIGITS = 8


class Stuck(Struct, frozen=True):
    """That a run needs a person: since when, and why."""

    cause: str
    """The same for all runs with this cause."""
    since: int
    step_id: str
    """The step at fault."""


def stuck(run: Run) -> Stuck | None:
    """Why the run, as last recorded, needs a person; None: it does not."""
    if run.engine_error is not None and not run.dismissed and run.open_steps:
        root = run.root
        return stopped(root.spec.workflow, root.spec.url, root.spec.name, run.stopped_at, run.id)
    failed = run.shown is StepState.FAILED
    if run.dismissed or not (failed or run.counts.get(StepState.PAUSED)):
        return None
    if failed:
        step, since = _at_fault(run, run.root), run.root.ended_at or 0
    else:
        paused = (s for s in run.steps.values() if s.state is StepState.PAUSED)
        step = min(paused, key=lambda s: s.ordinal)
        since = step.paused_at or 0
    if failed or step.pause_reason is PauseReason.EXHAUSTED:
        what = what_happened(step.http_status, step.error)
    else:
        what = f"paused:{step.pause_reason}"
    return Stuck(
        cause_id(what, step.spec.url, run.root.spec.workflow, step.spec.name), since, step.id
    )


def stopped(workflow: str, url: str, step_name: str, since: int, run_id: str) -> Stuck:
    """The same of a run that a bug of the engine's stopped, whose steps cannot be asked."""
    what = f"paused:{PauseReason.ENGINE_ERROR}"
    return Stuck(cause_id(what, url, workflow, step_name), since, run_id)


def reason(run: Run) -> Step:
    """The step whose last attempt tells why the run has failed or is paused: not the workflow that
    answers 500 because a step below it has failed, but that step."""
    if run.shown is StepState.FAILED:
        return _at_fault(run, run.root)
    paused = (s for s in run.steps.values() if s.state is StepState.PAUSED)
    step = min(paused, key=lambda s: s.ordinal, default=run.root)
    if not unhandled(step.pause_reason, step.error):
        return step
    below = (run.steps[id] for id in run.children.get(step.id, ()))
    failed = (child for child in below if child.state is StepState.FAILED)
    last = max(failed, key=lambda child: (child.ended_at or 0, child.ordinal), default=None)
    return step if last is None else _at_fault(run, last)


def unhandled(pause_reason: str | None, error: str | None) -> bool:
    """Whether an attempt came to nothing although a step below had failed, and nothing dealt with
    that."""
    if pause_reason == PauseReason.UNHANDLED_FAILURE:
        return True
    return Failure.parse(error).kind is FailureKind.UNHANDLED


def _at_fault(run: Run, step: Step) -> Step:
    """The failed step that made this one fail, as it failed then: a result that was set since
    mends it, and not what had failed because of it."""
    seen = {step.id}
    while step.cause_id is not None and step.cause_id in run.steps and step.cause_id not in seen:
        seen.add(step.cause_id)
        step = as_it_failed(run.steps[step.cause_id], step.ended_at or 0)
    return step


def what_happened(http_status: int | None, error: str | None) -> str:
    """The kind of a failure: the status that was answered, or what kept an answer from coming."""
    failure = Failure.parse(error)
    if http_status is not None and (error is None or failure.kind is FailureKind.HTTP_STATUS):
        return f"{http_status}"
    return failure.word or "unknown"


def cause_id(what: str, url: str, workflow: str, step_name: str) -> str:
    """The name of a cause. Hosts stand for all their paths: an outage is one cause."""
    parts = (what, urlsplit(url).netloc, workflow, step_name)
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=CAUSE_HEX_DIGITS // 2).hexdigest()
