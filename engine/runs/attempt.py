"""One attempt: an open request, from its leaving to its recorded end.

What an attempt that failed is excused by is noted when it ends, and judged by the core
(`core/rules/attempt.py`) when its run takes the end up.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.core.below import passes_on
from engine.core.model import Flight, Step, StepState
from engine.core.outcome import FAILED_BODY_BYTES_MAX, Answered, CallError, Outcome, Unanswered
from engine.core.rules.attempt import is_suspended
from engine.core.rules.flight import (
    note_left,
    note_maybe_refused,
    note_open_children,
    note_unrecorded_ends,
)
from engine.core.rules.trace import traceparent
from engine.ports.caller import Invocation
from engine.ports.store import Body
from engine.runs.limits.concurrency import host_of
from engine.runs.limits.hosts import OK, PASSED_ON, SUSPENDED
from engine.runs.open.flow import AttemptFlow, Payload
from engine.runs.open.late import CLOSED
from engine.runs.open.request import Request, RunUnderWay
from engine.runs.shared import Shared

LATE_BODY_BYTES_MAX = 1_024
"""What is kept of an answer that came after its step was cancelled."""


class Attempt(Request):
    """The request of a step's next attempt, and how it is made."""

    __slots__ = ("_shared",)

    def __init__(self, shared: Shared, live: RunUnderWay, step: Step) -> None:
        super().__init__(step.attempts + 1, shared.deadlines, live, step.id)
        self._shared = shared

    def open(self, payload: Payload | None) -> AttemptFlow:
        """Take the payload, if it was kept: it is the attempt's until it is sent, or `close`."""
        host = host_of(self.live.run.steps[self.step_id].spec.url)
        client = self.live.run.client
        flow = self.flow = AttemptFlow(self._shared.budget, host, self.paused, client)
        flow.payload = payload
        return flow

    def close(self) -> None:
        """Let go what it holds in memory."""
        if self.flow is not None:
            self.flow.close()
            self.flow = None  # a circle would wait for the collector, with all that it holds

    async def call(self, flow: AttemptFlow, ended: Callable[[Attempt, Outcome], None]) -> None:
        """Make the request, and tell what came of it; nothing, where its end means nothing: it was
        drained, or a bug has stopped its run."""
        shared, run = self._shared, self.live.run
        step = run.steps[self.step_id]
        outcome: Outcome | None = None
        has_left, host = False, ""
        with self.scope:
            if flow.payload is None:
                await flow.load(shared.store, step)
                while shared.store.away is not None:  # since it waits for room
                    await shared.store.wait_away_moved()
            # What has ended is not invoked: its callers may know the outcome by now.
            if run.parked:
                return
            if (flight := self._flight()) is not None:
                has_left = True
                note_left(flight)
                host = host_of(step.spec.url)  # a run may be moved while it is called
                flow.flight = flight
                self.refused_unread = shared.refused_unread
                self.start_clock(step.spec.attempt_timeout_ms)
                shared.home.rule.attempt_opened(self, host, self.began_at)
                outcome = await shared.caller.call(self._invocation(step, flow))
        self.stop_clock()
        answered, now = isinstance(outcome, Answered), shared.deadlines.now()
        shared.home.rule.attempt_ended(self, now, answered=answered)
        if self.drained or run.parked:
            return
        if not has_left:
            return ended(self, Unanswered(CallError.NOT_SENT, "cancelled before it left"))
        is_ok = isinstance(outcome, Answered) and outcome.ok
        self._count_for_host(host, step, outcome, is_ok=is_ok)
        if outcome is None:
            outcome = self._no_answer(step)
        elif not is_ok:
            if flight := self._flight():
                note_open_children(run, flight, step.id)
            await self.wait_for_posts()
            receipt = self.live.receipt
            if (flight := self._flight()) and receipt is not None and not receipt.durable:
                note_unrecorded_ends(flight)
        if not (self.drained or run.parked):
            ended(self, outcome)

    def _no_answer(self, step: Step) -> Unanswered:
        if self.closed:
            return Unanswered(CallError.CONNECTION_LOST, CLOSED)
        seconds = step.spec.attempt_timeout_ms / 1000
        why = f"no whole answer within {seconds:g} s (attemptTimeout)"
        return Unanswered(CallError.ATTEMPT_TIMEOUT, why)

    def _flight(self) -> Flight | None:
        """What the core has of this attempt, while it is in flight."""
        return self.live.run.flight(self.step_id, self.number)

    def _count_for_host(
        self, host: str, step: Step, outcome: Outcome | None, *, is_ok: bool
    ) -> None:
        if self.closed:
            return  # its end is ours
        if isinstance(outcome, Unanswered) and (
            outcome.pauses or outcome.error is CallError.NO_DESCRIPTOR
        ):
            return  # it knows nothing of it
        places, flight = self._shared.places, self._flight()
        if not is_ok or places.at_hosts.gates:
            places.call_ended(host, self, outcome, flight)
        self._shared.watch.attempt_took(self.live.run, self.spent_s)
        self._shared.hosts.ended(
            host,
            SUSPENDED
            if flight is not None and is_suspended(step, flight, outcome)
            else OK
            if is_ok
            else PASSED_ON
            if flight is not None and passes_on(self.live.run, step, flight, outcome)
            else _result(outcome),
            retry=step.failures > 0,
            took_ms=None if self.has_hung else self.took_ms,
            now_ms=self._shared.clock.steady_ms(),
        )

    def note_maybe_refused(self) -> None:
        """If since it left a post was refused of which nobody knows whose it was: perhaps its."""
        if self.refused_unread == self._shared.refused_unread or not self.left:
            return
        if (flight := self._flight()) is not None:
            note_maybe_refused(flight)

    def _invocation(self, step: Step, flow: AttemptFlow) -> Invocation:
        assert flow.payload is not None
        parent_token = self._shared.parent_tokens.issue(step.id, self.number)
        return Invocation(
            url=step.spec.url,
            idempotency_key=step.spec.key,
            step_own_key=step.own_key,
            payload=flow.payload.data,
            run_id=step.run_id,
            step_id=step.id,
            client=self.live.run.client,
            workflow=step.spec.workflow,
            attempt=self.number,
            parent_token=parent_token,
            traceparent=traceparent(self.live.run, step.id, self.number),
            flow=flow,
        )


def _result(outcome: Outcome | None) -> int | CallError:
    """What a failed attempt came to, for the figures of its host; None: nothing in time."""
    if isinstance(outcome, Answered):
        return CallError.BAD_ANSWER if outcome.fault else outcome.http_status // 100
    return CallError.ATTEMPT_TIMEOUT if outcome is None else outcome.error


def answer_body(step: Step, number: int, outcome: Answered, *, late: bool) -> Body:
    """What is kept of an answer: an outcome whole, the rest for people to look at."""
    data = outcome.body
    if late:
        data = data[:LATE_BODY_BYTES_MAX]
    elif step.state is not StepState.COMPLETED:
        data = data[:FAILED_BODY_BYTES_MAX]
    size = max(outcome.size, len(outcome.body))
    return Body(
        step.id, number, data, outcome.content_type, answer=True, size=size, json=outcome.json
    )
