"""Records as the interface shows them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from engine import wire
from engine.core.cause import pattern_of_cause
from engine.core.model import Move, Note, Repair, Step, StepState, run_of
from engine.core.rules.hold import Hold
from engine.core.text.times import maybe_rfc3339, rfc3339
from engine.ports.retention import Expired
from engine.ports.views import (
    AttemptRecord,
    CauseRecord,
    OutcomeRecord,
    Reason,
    RetryRecord,
    RunRecord,
    StepAt,
)


def run_row(record: RunRecord) -> wire.RunRow:
    """A run as the interface shows it."""
    return wire.RunRow(
        id=record.id,
        client=record.client,
        workflow_name=record.workflow,
        idempotency_key=record.key,
        status=record.state,
        rev=record.rev,
        generation=record.generation,
        open_steps=record.open_steps,
        failed_steps=record.failed_steps,
        steps=record.steps,
        dismissed=record.dismissed,
        submitted_at=rfc3339(record.submitted_at),
        ended_at=maybe_rfc3339(record.ended_at),
        due_at=maybe_rfc3339(record.due_at),
        pause_reason=record.pause_reason,
        cause_id=record.cause_id,
        error=record.error,
        cause=record.cause,
        stuck_at=maybe_rfc3339(record.stuck_at),
        at=None if record.at is None else step_at(record.at),
        reason=None if record.reason is None else _reason(record.reason),
    )


def expired_row(expired: Expired) -> wire.ExpiredRow:
    """What is known of a run that retention removed."""
    at = maybe_rfc3339(expired.removed_at)
    return wire.ExpiredRow(
        run_id=expired.run_id,
        client=expired.client,
        workflow_name=expired.workflow,
        idempotency_key=expired.key,
        run_status=expired.state,
        submitted_at=rfc3339(expired.submitted_at),
        finished_at=rfc3339(expired.ended_at),
        removed_at=UNSET if at is None else at,
    )


def _reason(reason: Reason) -> wire.Reason:
    return wire.Reason(*msgspec.structs.astuple(reason))


def step_at(record: StepAt) -> wire.StepAt:
    """The step at which a run is."""
    return wire.StepAt(
        step_id=record.id,
        name=record.name,
        url=record.url,
        status=record.state,
        attempts=record.attempts,
        failures=record.failures,
        retries_max=record.retries_max,
        started_at=maybe_rfc3339(record.started_at),
        due_at=maybe_rfc3339(record.due_at),
        delay_by=record.delay_by,
        http_status=record.http_status,
        error=record.error,
        excerpt=record.excerpt,
    )


def cause_row(record: CauseRecord) -> wire.CauseRow:
    """A cause as the interface shows it."""
    latest = record.latest
    return wire.CauseRow(
        cause=record.cause,
        runs=record.runs,
        new_runs=record.new_runs,
        first_at=rfc3339(record.first_at),
        last_at=rfc3339(record.last_at),
        run_id=latest.id,
        workflow_name=latest.workflow,
        status=latest.state,
        at=None if latest.at is None else step_at(latest.at),
        reason=None if latest.reason is None else _reason(latest.reason),
        pattern=_pattern(latest),
    )


def _pattern(latest: RunRecord) -> str | None:
    at, why = latest.at, latest.reason
    if at is None or why is None:
        return None
    paused = None if at.state == StepState.FAILED else at.pause_reason
    return pattern_of_cause(paused, why.http_status, why.error, why.excerpt)


def retry_row(record: RetryRecord) -> wire.RetryRow:
    """A step whose next attempt has a time."""
    return wire.RetryRow(
        run_id=run_of(record.at.id),
        client=record.client,
        workflow_name=record.workflow,
        rev=record.rev,
        at=step_at(record.at),
    )


def attempt_row(record: AttemptRecord, epoch: int) -> wire.AttemptRow:
    """An attempt as the interface shows it. One of an engine before this one (`epoch`) whose end
    is not recorded is in flight no more: of a step that was cancelled nobody records what became
    of it."""
    open_or_lost = "running" if record.epoch == epoch else "crash"
    return wire.AttemptRow(
        number=record.number,
        generation=record.generation,
        status=record.counts_as or open_or_lost,
        started_at=rfc3339(record.started_at),
        ended_at=maybe_rfc3339(record.ended_at),
        http_status=record.http_status,
        error=record.error,
        excerpt=record.excerpt,
        delay_ms=record.delay_ms if record.delay_by else None,
        delay_by=record.delay_by,
    )


def move_row(move: Move) -> wire.MoveRow:
    """A rule of a run that was moved."""
    at = rfc3339(move.at) if move.at else None
    return wire.MoveRow(move.from_url, move.to_url, at, move.actor or None)


def note_row(note: Note) -> wire.NoteRow:
    """What a person wrote."""
    return wire.NoteRow(rfc3339(note.at), note.actor, note.text)


def hold_row(hold: Hold, waiting: int | None = None) -> wire.HoldRow:
    """A hold as the interface shows it. Without a count it is told with a run, which may be all
    that its reader may see: then not from where it was held, either."""
    return wire.HoldRow(
        kind=hold.kind,
        name=hold.name,
        since=rfc3339(hold.since),
        actor=hold.actor,
        address=None if waiting is None else hold.address,
        reason=hold.reason,
        released_at=maybe_rfc3339(hold.released_at),
        rate_per_s=hold.rate_per_s,
        waiting=waiting,
    )


def named_step(step: Step) -> wire.NamedStep:
    """A step as actions tell of it."""
    return wire.NamedStep(step.id, wire.step_label(step.spec.name, step.spec.step_key))


def _repair(repair: Repair) -> wire.RepairRow:
    return wire.RepairRow(
        repair.generation, repair.act, repair.actor, repair.reason, rfc3339(repair.at)
    )


def with_generations(row: wire.StepRow, ended: Iterable[OutcomeRecord]) -> wire.StepRow:
    """A step with what came of it before, out of its `ended` generations."""
    before = tuple(
        wire.GenerationRow(
            it.generation, it.state, it.attempts, rfc3339(it.ended_at), it.http_status, it.error,
            it.cause_id,
        )
        for it in ended
        if it.generation < row.generation
    )  # fmt: skip
    return replace(row, generations=before)


def step_row(
    step: Step,
    attempts: Iterable[AttemptRecord] | None = None,
    epoch: int = 0,
    waits: wire.WaitRow | None = None,
) -> wire.StepRow:
    """A step as the interface shows it, with its attempts where they were asked for. `epoch`: of
    the engine that is asked."""
    timed = step.state in (StepState.BACKING_OFF, StepState.PAUSED)
    row = wire.StepRow(
        id=step.id,
        run_id=step.run_id,
        parent_id=step.parent_id,
        name=step.spec.name,
        workflow_name=step.spec.workflow,
        idempotency_key=step.spec.key,
        step_key=step.spec.step_key,
        url=step.spec.url,
        status=step.state,
        rev=step.rev,
        generation=step.generation,
        attempts=step.attempts,
        failures=step.failures,
        retries_max=step.policy.count,
        submitted_at=rfc3339(step.submitted_at),
        ended_at=maybe_rfc3339(step.ended_at),
        due_at=maybe_rfc3339(step.due_at) if timed else None,
        delay_ms=step.delay_ms if step.delay_by else None,
        delay_by=step.delay_by,
        pause_reason=step.pause_reason,
        cause_id=step.cause_id,
        http_status=step.http_status,
        error=step.error,
        excerpt=step.excerpt,
        awaiting_post=step.awaiting_post,
    )
    if step.repairs:
        row = replace(row, repairs=tuple(_repair(it) for it in step.repairs))
    if step.began_at != step.submitted_at:
        row = replace(row, opened_at=rfc3339(step.began_at))
    if step.held_since is not None:
        row = replace(row, held_since=rfc3339(step.held_since))
    if waits is not None:
        row = replace(row, waits=waits)
    if attempts is not None:
        row = replace(row, attempt_rows=tuple(attempt_row(each, epoch) for each in attempts))
    return row
