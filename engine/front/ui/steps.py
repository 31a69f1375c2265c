"""What a page says of one step: how it stands, why, whom it calls, its attempts, their chart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from engine.core.model import DelayBy, PauseReason, Step, StepState, step_label
from engine.core.text.times import rfc3339
from engine.front.show.rows import step_row
from engine.front.ui import chart, words
from engine.ports.views import AttemptRecord
from engine.runs.waits import WhyWaits
from engine.shown import said, times
from engine.shown.states import SET_BY
from engine.wire import AttemptRow, Failure, StepRow, WaitRow, last_text

TRIES_SHOWN = 20
"""Of a step, the latest; how many there were before is said."""
_COUNTS = {
    "success": StepState.COMPLETED,
    "failure": StepState.FAILED,
    "running": StepState.RUNNING,
    "interruption": StepState.WAITING,
    "crash": StepState.CANCELLED,
    "late": StepState.CANCELLED,
}
"""How an attempt looks: as a step that came to the same."""


class Told(Struct, frozen=True):
    """By what a step is told beside itself."""

    now_ms: int
    span: chart.Span
    epoch: int
    names: Mapping[str, str]
    """By id, the names of steps for which others ended."""


class Fact(NamedTuple):
    """Something that is known of a step."""

    label: str
    text: str
    look: str = ""


class Try(NamedTuple):
    """An attempt, in words."""

    number: int
    look: str
    at: str
    took: str
    result: str
    more: str
    then: str


class StepView(Struct, frozen=True):
    """A step as its line, its chart and what unfolds below it."""

    id: str
    label: str
    state: str
    """The class of it."""
    state_text: str
    tried: str
    took: str
    took_look: str
    why: str
    by_hand: str
    """What somebody did to it last, who and why; empty: nobody did."""
    shapes: list[chart.Shape]
    facts: list[Fact]
    tries: list[Try]
    tries_before: int
    due_at: str | None


def step_view(
    step: Step, tries: Sequence[AttemptRecord], waits: WhyWaits | None, told: Told
) -> StepView:
    """A step with its latest attempts."""
    why_waits = None if waits is None else WaitRow(waits.waits_for, waits.text)
    row = step_row(step, tries, told.epoch, why_waits)
    attempts = row.attempt_rows or ()
    outlived = bool(step.ended and attempts and attempts[-1].status == "running")
    took, took_look = _took(row, attempts, outlived, told)
    wrong = step.error is not None and step.state is not StepState.COMPLETED
    return StepView(
        id=step.id,
        label=step_label(step.spec.name, step.spec.step_key),
        state="paused" if _is_pausing(step) else words.look(step.state),
        state_text=_state_text(step, outlived),
        tried=words.tried(row),
        took=took,
        took_look=took_look,
        why=words.why(row) if wrong else "",
        by_hand=_by_hand(step),
        shapes=chart.shapes(step, tries, told.span, told.epoch),
        facts=list(_facts(step, row, told)),
        tries=[_try(it, told) for it in reversed(attempts)],
        tries_before=max(0, (attempts[0].number if attempts else 1) - 1),
        due_at=row.due_at if step.state is StepState.BACKING_OFF else None,
    )


def _by_hand(step: Step) -> str:
    if not step.repairs:
        return ""
    last = step.repairs[-1]
    before = "" if last.generation == step.generation else "before: "
    return f"{before}{said.repair_text(last.act, last.actor)}: {last.reason}"


def _is_pausing(step: Step) -> bool:
    return step.pause_asked and step.state is StepState.RUNNING


def _state_text(step: Step, outlived: bool) -> str:
    if _is_pausing(step):
        return "pausing"
    return f"{step.state}, still in flight" if outlived else str(step.state)


def _took(
    row: StepRow, attempts: Sequence[AttemptRow], outlived: bool, told: Told
) -> tuple[str, str]:
    """A countdown, the age of the attempt in flight, that it is held, waits or is paused, or what
    it took; and its class."""
    if row.held_since:
        return "held", "paused"
    if row.waits:
        return "waits", "backing-off"
    due_ms = words.ms(row.due_at)
    if row.status == StepState.BACKING_OFF and due_ms is not None:
        return times.countdown(due_ms - told.now_ms), "backing-off"
    if row.status == StepState.PAUSED:
        return "paused", "paused"
    if attempts and (row.status == StepState.RUNNING or outlived):
        began = words.ms(attempts[-1].started_at) or told.now_ms
        return times.span(told.now_ms - began), words.look(row.status)
    ended, began_ms = words.ms(row.ended_at), words.ms(row.opened_at or row.submitted_at)
    if ended is not None and began_ms is not None and row.attempts:
        return times.took(ended - began_ms), ""
    return words.NOTHING, ""


def _facts(step: Step, row: StepRow, told: Told) -> Iterator[Fact]:
    if row.error is not None and row.status != StepState.COMPLETED:
        # who waits was sent home until a step below it ends: that is no failure
        look = "waiting" if row.status == StepState.WAITING else "failed"
        yield Fact("last", _last(row), look)
    if row.cause_id is not None and row.cause_id != row.id:
        yield Fact("cause", told.names.get(row.cause_id, row.cause_id), "failed")
    if row.waits:
        yield Fact("waits", row.waits.text.removeprefix("waits "), "backing-off")
    elif row.due_at is not None and row.status == StepState.BACKING_OFF:
        by = SET_BY.get(row.delay_by or "", row.delay_by or "")
        delay = "" if row.delay_ms is None else f" ({times.took(row.delay_ms)} back-off)"
        yield Fact("next", f"{words.clock(row.due_at)}{delay}, set by {by}")
    if row.held_since:
        yield Fact("held", f"maxElapsed stands still since {words.clock(row.held_since)}", "paused")
    if row.pause_reason is not None:
        yield Fact("paused", row.pause_reason, "paused")
    if row.pause_reason == PauseReason.UNHANDLED_FAILURE:
        yield Fact("", "A step below failed; this neither dealt with that nor answered 424.")
    if row.awaiting_post:
        yield Fact("", "starts when the workflow posts it again")
    yield Fact("POST", row.url)
    yield Fact("key", row.idempotency_key)
    yield Fact("id", row.id)
    now = rfc3339(told.now_ms)
    until = "" if row.ended_at is None else f", ended {words.moment(row.ended_at, now)}"
    again = f", opened again {words.moment(row.opened_at, now)}" if row.opened_at else ""
    yield Fact("at", f"submitted {words.moment(row.submitted_at, now)}{again}{until}")
    if row.generation > 1:
        yield Fact("gen", f"{row.generation}")
    repairs = row.repairs or ()
    for it in repairs[-words.FEW :]:
        what = "rerun with another payload" if it.act == "rerun" else it.act
        yield Fact("by hand", f"generation {it.generation}: {what} by {it.actor}: {it.reason}")
    if (earlier := len(repairs) - words.FEW) > 0:
        yield Fact("", f"and {earlier:,} before")
    if (left := words.tries_left(row)) is not None:
        yield Fact("tries", f"{row.attempts} made, {left} left")


def _last(row: StepRow) -> str:
    """How its last attempt ended, whole."""
    told, error = words.why(row), row.error or ""
    beyond = Failure.parse(row.error).beyond(row.http_status)
    if row.http_status is not None and beyond is not None:
        return told + beyond
    return told if row.excerpt is not None and row.excerpt in error else error or told


def _try(it: AttemptRow, told: Told) -> Try:
    ended = told.now_ms if it.status == "running" else words.ms(it.ended_at)
    began = words.ms(it.started_at) or 0
    result = last_text(it.http_status, it.error)
    if it.status in ("interruption", "crash", "late"):
        result = f"{it.status} {'' if result == words.NOTHING else result}".rstrip()
    if it.status == "running":
        result = "in flight"
    failure = Failure.parse(it.error)
    beyond = failure.beyond(it.http_status)
    more = it.excerpt or ""
    if failure.more and beyond != "" and (it.excerpt is None or beyond is not None):
        more = f"{more} {failure.more}".strip()
    then = ""
    if it.delay_ms is not None and it.delay_by is not None:
        by = "Retry-After" if it.delay_by == DelayBy.RETRY_AFTER else it.delay_by
        then = f"then {times.took(it.delay_ms)} ← {by}"
    return Try(
        number=it.number,
        look=_COUNTS.get(it.status, "unknown"),
        at=it.started_at,
        took="?" if ended is None else times.took(ended - began),
        result=result,
        more=more,
        then=then,
    )
