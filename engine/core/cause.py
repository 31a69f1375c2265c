"""Why a run needs a person, and which others need one for the same reason.

A run is stuck when it has failed, or when a step of it is paused; dismissed ones are not. The cause
is what went wrong, where: 512 failed runs are mostly five decisions. It is told from the step at
fault: by what happened, and of an answer by the pattern of its reason (`core/text/pattern.py`), as
one status stands for many faults. Where no answer came the kind of that is all, and its words,
which differ from attempt to attempt, say no more.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from urllib.parse import urlsplit

from msgspec import Struct

from engine.core.below import as_it_failed
from engine.core.failure import Failure, FailureKind
from engine.core.model import PauseReason, Run, Step, StepState
from engine.core.text import pattern
from engine.core.text.pattern import without_particulars

CAUSE_HEX_DIGITS = 8
REASONS_KEPT_MAX = 1_000
"""Of so many reasons the pattern is kept: lists tell the same ones again and again, and one takes
up to 0.3 ms."""
pattern_of = lru_cache(maxsize=REASONS_KEPT_MAX)(pattern.pattern_of)


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
    return Stuck(_cause(run, step, failed=failed), since, step.id)


def _cause(run: Run, step: Step, *, failed: bool) -> str:
    url, workflow, name = step.spec.url, run.root.spec.workflow, step.spec.name
    paused = None if failed else step.pause_reason
    words = pattern_of_cause(paused, step.http_status, step.error, step.excerpt)
    if failed or step.pause_reason is PauseReason.EXHAUSTED:
        what = what_happened(step.http_status, step.error)
        return cause_id(what, url, workflow, name, words)
    what = f"paused:{step.pause_reason}"
    if step.pause_reason is PauseReason.UNHANDLED_FAILURE:  # of what is the step below to tell
        told = reason(run)
        words = pattern_of_cause(None, told.http_status, told.error, told.excerpt)
        if words is not None:
            below = without_particulars(told.spec.name)
            words = f"{below}\0{what_happened(told.http_status, told.error)}\0{words}"
    return cause_id(what, url, workflow, name, words)


def pattern_of_cause(
    pause_reason: str | None, http_status: int | None, error: str | None, excerpt: str | None
) -> str | None:
    """The pattern of a reason, where causes are told apart by it; None: they are not.
    `pause_reason`: of the step at which the run is, None if it is not paused."""
    is_told = pause_reason in (None, PauseReason.EXHAUSTED, PauseReason.UNHANDLED_FAILURE)
    if excerpt is None or not (is_told and was_answered(http_status, error)):
        return None
    return pattern_of(excerpt)


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
    if was_answered(http_status, error):
        return f"{http_status}"
    return Failure.parse(error).word or "unknown"


def was_answered(http_status: int | None, error: str | None) -> bool:
    """Whether a failure is a status that was answered, and no fault of the answer."""
    if http_status is None:
        return False
    return error is None or Failure.parse(error).kind is FailureKind.HTTP_STATUS


def cause_id(what: str, url: str, workflow: str, step_name: str, words: str | None = None) -> str:
    """The name of a cause. Hosts stand for all their paths: an outage is one cause. `words`: the
    pattern of the reason; steps whose names differ in a number are one then. Without it the name is
    what it was before reasons were recorded."""
    parts = [what, urlsplit(url).netloc, workflow, step_name]
    if words is not None:
        parts[3:] = without_particulars(step_name), words
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=CAUSE_HEX_DIGITS // 2).hexdigest()
