"""What of a change of a run somebody is to be told of."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from engine.alerts.rules import Facts, Rule, Trouble
from engine.core.cause import reason, stuck
from engine.core.events import AttemptEnded, RunMoved
from engine.core.machine import Change
from engine.core.model import PauseReason, Run, StepState


def heard(change: Change) -> Iterator[Trouble]:
    """That its run has failed, or that the engine has paused a step of it. Mostly nothing."""
    for event in change.events:
        if isinstance(event, RunMoved):
            if event.state is StepState.FAILED:
                yield from _of_run(Rule.FAILED, change.run, None)
        elif isinstance(event, AttemptEnded) and event.state is StepState.PAUSED:
            by_engine = event.pause_reason not in (None, PauseReason.OPERATOR)
            if by_engine:
                yield from _of_run(Rule.PAUSED, change.run, event.pause_reason)


def stopped(run_id: str, error: str) -> Trouble:
    """A bug of the engine's has stopped a run: of its steps nothing is read."""
    why = str(PauseReason.ENGINE_ERROR)
    return Trouble(Rule.PAUSED, why, {"runId": run_id, "pauseReason": why, "error": error})


def _of_run(rule: Rule, run: Run, why: PauseReason | None) -> Iterator[Trouble]:
    need = stuck(run)
    if need is None:  # it was dismissed
        return
    step = reason(run)
    facts: Facts = {
        "runId": run.id,
        "client": run.client,
        "workflow": run.root.spec.workflow,
        "step": step.spec.name,
        "host": urlsplit(step.spec.url).netloc,
    }
    told: dict[str, str | int | None] = {
        "pauseReason": why,
        "httpStatus": step.http_status,
        "error": step.error,
        "excerpt": step.excerpt,
    }
    facts |= {name: value for name, value in told.items() if value is not None}
    yield Trouble(rule, need.cause, facts)
