"""What the log says of runs: that one fails, pauses, or that an attempt comes to nothing, and why.

It stands beside the figures (`metrics.py`) and is told of the same changes. The passage that makes
a change only notes what there is to say; it is said when the change is durable, and alike things
once a second (`throttle.py`). `docs/reference/log.md` has every line with its members. Bodies are
never logged: of an answer there is the excerpt, from which secrets were taken.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio
from msgspec import Struct

from engine.core.cause import reason, unhandled
from engine.core.events import Acted, AttemptEnded, Count, RunMoved
from engine.core.machine import Change
from engine.core.model import PauseReason, Run, Step, StepState, step_label
from engine.core.text.secrets import without_secrets
from engine.telemetry.throttle import Say, Throttle, Values

ERROR_CHARS_MAX = 500
"""Of what went wrong: enough for any of the engine's sentences. A redirect's target may be long."""


TOLD = frozenset({StepState.FAILED, StepState.PAUSED})
"""States of a run that a person should hear of."""


class LogLine(Struct, frozen=True, gc=False):
    """Something to say, and what makes another alike."""

    throttle: Throttle
    event: str
    alike: tuple[object, ...]
    values: Values


class RunLog:
    """Tells of runs. `run` makes it whole; without somewhere to say it, it says nothing."""

    def __init__(self, warn: Say | None = None, note: Say | None = None) -> None:
        self._warnings = None if warn is None else Throttle(partial(_write, warn))
        self._notes = None if note is None else Throttle(partial(_write, note))

    async def run(self) -> None:
        """Say in time what was kept back, until cancelled; then the rest of it."""
        async with trio.open_nursery() as nursery:
            for throttle in (self._warnings, self._notes):
                if throttle is not None:
                    nursery.start_soon(throttle.run)

    def changed(self, change: Change) -> Callable[[], None] | None:
        """What says what is to be said of a change, once that is durable; None: nothing is."""
        lines: list[LogLine] = []
        for event in change.events:
            match event:
                case AttemptEnded():
                    if event.counts_as is Count.FAILURE or event.state is StepState.PAUSED:
                        self._attempt(lines, change.run, event)
                case RunMoved():
                    if event.state in TOLD:
                        self._moved(lines, change, event.state)
                case _:
                    pass
        return partial(_say_lines, lines) if lines else None

    def _attempt(self, lines: list[LogLine], run: Run, event: AttemptEnded) -> None:
        step = run.steps[event.step_id]
        what = _attempt_values(event.number, event.http_status, event.error, event.excerpt)
        if event.counts_as is Count.FAILURE:
            then: Values = {"state": str(event.state)}
            if event.state is StepState.BACKING_OFF:
                then["delay_ms"] = event.delay_ms
            if unhandled(event.pause_reason, event.error):  # not only when the run stands still
                self._add(lines, self._warnings, "failure-not-handled", run, step, what, then)
            else:
                self._add(lines, self._notes, "attempt-failed", run, step, what, then)
        by_engine = event.pause_reason not in (None, PauseReason.OPERATOR)
        if event.state is StepState.PAUSED and by_engine and run.shown is not StepState.PAUSED:
            why: Values = {"pause_reason": str(event.pause_reason)}
            self._add(lines, self._warnings, "step-paused", run, step, what, why)

    def _moved(self, lines: list[LogLine], change: Change, state: StepState) -> None:
        run = change.run
        step = reason(run)
        what = _attempt_values(step.attempts, step.http_status, step.error, step.excerpt)
        if state is StepState.FAILED:
            self._add(lines, self._warnings, "run-failed", run, step, what, {})
            return
        paused_for = run.root.pause_reason or PauseReason.ENGINE_ERROR
        why: Values = {"pause_reason": str(paused_for)}
        if paused_for is PauseReason.OPERATOR:  # and not for what went wrong before
            step, what = run.root, {}
            for it in change.events:
                if isinstance(it, Acted):
                    why["actor"] = it.actor
        self._add(lines, self._warnings, "run-paused", run, step, what, why)

    def _add(
        self,
        lines: list[LogLine],
        throttle: Throttle | None,
        event: str,
        run: Run,
        step: Step,
        what: Values,
        then: Values,
    ) -> None:
        if throttle is not None:
            workflow = run.root.spec.workflow
            alike = (
                run.client, workflow, step.spec.name, then.get("pause_reason"),
                what.get("http_status"), what.get("error"), what.get("excerpt"),
            )  # fmt: skip
            lines.append(LogLine(throttle, event, alike, _step_values(run, step) | what | then))

    def sent_home(self, run: Run, step_id: str, number: int, why: str) -> None:
        """An attempt that only waited was let go."""
        if self._notes is not None:
            step = run.steps[step_id]
            alike = (run.client, run.root.spec.workflow, step.spec.name, why)
            values = {**_step_values(run, step), "attempt": number, "why": why}
            self._notes.say("attempt-sent-home", alike, values)

    def overloaded(
        self,
        limit: str,
        client: str = "",
        workflow: str = "",
        key: str = "",
        retry_after_s: object = None,
    ) -> None:
        """A post was refused for want of room; of who made it as much as is known.

        Those of one limit are alike, whoever made them: it is the engine's trouble, and thousands
        of clients may meet it at once.
        """
        if self._warnings is not None:
            values = {
                "limit": limit, "client": client, "workflow": workflow, "key": key,
                "retry_after_s": retry_after_s,
            }  # fmt: skip
            known = {name: value for name, value in values.items() if value}
            self._warnings.say("overloaded", limit, known)


class Watchers(Struct, frozen=True):
    """Who is told of what the engine does. Nothing waits for them."""

    count: Callable[[Change], None] = lambda change: None
    """Of each change of a run, as it is made."""
    attempt_took: Callable[[Run, float], None] = lambda run, seconds: None
    """Of an attempt that has ended: what counts against its `attemptTimeout`."""
    log: RunLog = RunLog()


NOBODY = Watchers()


def _say_lines(lines: list[LogLine]) -> None:
    for line in lines:
        line.throttle.say(line.event, line.alike, line.values)


def _write(say: Say, event: str, **values: object) -> None:
    """What comes to be said is made fit for a log: here, as most never does."""
    error = values.get("error")
    if isinstance(error, str):
        if len(error) > ERROR_CHARS_MAX:
            # The last word may be the half of a secret, which nobody would know by that.
            error = f"{error[:ERROR_CHARS_MAX].rpartition(' ')[0]} …"
        values["error"] = without_secrets(error)
    say(event, **values)


def _step_values(run: Run, step: Step) -> Values:
    root, spec = run.root.spec, step.spec
    return {
        "run_id": run.id, "client": run.client, "workflow": root.workflow, "key": root.key,
        "step": step_label(spec.name, spec.step_key), "step_id": step.id,
    }  # fmt: skip


def _attempt_values(
    attempt: int, http_status: int | None, error: str | None, excerpt: str | None
) -> Values:
    values = {"attempt": attempt, "http_status": http_status, "error": error, "excerpt": excerpt}
    return {name: value for name, value in values.items() if value is not None}
