"""Records as rows and rows as records: the only place that knows the order of the columns."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from engine.core.model import (
    DelayBy,
    PauseReason,
    Run,
    Step,
    StepSpec,
    StepState,
    rebuild,
)
from engine.core.retry import RetryPolicy
from engine.ports import AttemptRecord, EventRecord, RunRecord

_policy_json = msgspec.json.Encoder().encode
_policy_from = msgspec.json.Decoder(RetryPolicy).decode

RUN_COLUMNS = (
    "id", "client", "workflow", "key", "state", "rev", "progress", "dismissed", "steps",
    "open_steps", "failed_steps", "submitted_at", "owner", "epoch",
)  # fmt: skip
STEP_COLUMNS = (
    "id", "run_id", "parent_id", "ordinal", "depth", "workflow", "key", "url", "step_key", "name",
    "fingerprint", "retry", "attempt_timeout_ms", "submitted_at", "recorded_by", "state", "rev",
    "generation", "reruns", "payload_generation", "attempts", "failures", "interruptions",
    "crashes", "crash_mark", "due_at", "delay_ms", "delay_by", "opened_at", "paused_at",
    "paused_ms", "pause_reason", "held_state", "hold", "awaiting_post", "cancel_asked", "ended_at",
    "cause_id", "http_status", "error", "answer_attempt", "wake_at", "owner", "epoch",
)  # fmt: skip
ATTEMPT_COLUMNS = (
    "step_id", "number", "generation", "started_at", "ended_at", "counts_as", "http_status",
    "error", "delay_ms", "delay_by", "epoch",
)  # fmt: skip
ATTEMPT_END_COLUMNS = ("ended_at", "counts_as", "http_status", "error", "delay_ms", "delay_by")
OUTCOME_COLUMNS = (
    "step_id", "generation", "state", "attempts", "answer_attempt", "http_status", "error",
    "cause_id", "ended_at",
)  # fmt: skip
BODY_COLUMNS = ("step_id", "answer", "number", "content_type", "size", "data")
EVENT_COLUMNS = ("seq", "at", "run_id", "step_id", "state", "rev", "data")


def insert(table: str, columns: tuple[str, ...]) -> str:
    """The plain INSERT."""
    marks = ",".join("?" * len(columns))
    return f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})"


def upsert(table: str, columns: tuple[str, ...], key: str = "id") -> str:
    """An INSERT that overwrites what is there: a row is written as it is at its batch's end."""
    changes = ",".join(f"{column}=excluded.{column}" for column in columns if column != key)
    return f"{insert(table, columns)} ON CONFLICT ({key}) DO UPDATE SET {changes}"


def attempt_row(record: AttemptRecord) -> tuple[Any, ...]:
    return tuple(getattr(record, column) for column in ATTEMPT_COLUMNS)


def run_row(run: Run, owner: str, epoch: int) -> tuple[Any, ...]:
    spec = run.root.spec
    return (
        run.id, run.client, spec.workflow, spec.key, run.shown, run.rev, run.progress,
        run.dismissed, len(run.steps), run.open_steps, run.failed_steps, run.submitted_at, owner,
        epoch,
    )  # fmt: skip


def wake_at(step: Step) -> int | None:
    """When the engine must look at a stored step: 0 for one it was about to call or calling."""
    if step.state is StepState.RUNNING:
        return 0
    if step.state is StepState.PENDING:
        return None if step.awaiting_post else 0
    return step.due_at if step.state is StepState.BACKING_OFF else None


def step_row(step: Step, owner: str, epoch: int) -> tuple[Any, ...]:
    spec = step.spec
    return (
        step.id, step.run_id, step.parent_id, step.ordinal, step.depth, spec.workflow, spec.key,
        spec.url, spec.step_key, spec.name, spec.fingerprint,
        None if spec.retry is None else _policy_json(spec.retry).decode(),
        spec.attempt_timeout_ms, step.submitted_at, step.recorded_by, step.state, step.rev,
        step.generation, step.reruns, step.payload_generation, step.attempts, step.failures,
        step.interruptions, step.crashes, step.crash_mark, step.due_at, step.delay_ms,
        step.delay_by, step.opened_at, step.paused_at, step.paused_ms, step.pause_reason,
        step.held_state, step.hold, step.awaiting_post, step.cancel_asked, step.ended_at,
        step.cause_id, step.http_status, step.error, step.answer_attempt, wake_at(step), owner,
        epoch,
    )  # fmt: skip


def outcome_row(step: Step) -> tuple[Any, ...]:
    return (
        step.id, step.generation, step.state, step.attempts, step.answer_attempt,
        step.http_status, step.error, step.cause_id, step.ended_at,
    )  # fmt: skip


def step_from(row: sqlite3.Row) -> Step:
    spec = StepSpec(
        workflow=row["workflow"],
        key=row["key"],
        url=row["url"],
        step_key=row["step_key"],
        name=row["name"],
        fingerprint=row["fingerprint"],
        retry=None if row["retry"] is None else _policy_from(row["retry"]),
        attempt_timeout_ms=row["attempt_timeout_ms"],
    )
    held, by, reason = row["held_state"], row["delay_by"], row["pause_reason"]
    plain = {
        name: row[name]
        for name in (
            "id", "run_id", "parent_id", "ordinal", "depth", "submitted_at", "recorded_by", "rev",
            "generation", "reruns", "payload_generation", "attempts", "failures", "interruptions",
            "crashes", "crash_mark", "due_at", "delay_ms", "opened_at", "paused_at", "paused_ms",
            "ended_at", "cause_id", "http_status", "error", "answer_attempt",
        )
    }  # fmt: skip
    return Step(
        spec=spec,
        state=StepState(row["state"]),
        delay_by=None if by is None else DelayBy(by),
        pause_reason=None if reason is None else PauseReason(reason),
        held_state=None if held is None else StepState(held),
        hold=bool(row["hold"]),
        awaiting_post=bool(row["awaiting_post"]),
        cancel_asked=bool(row["cancel_asked"]),
        **plain,
    )


def run_from(row: sqlite3.Row, steps: list[Step]) -> Run:
    run = Run(
        id=row["id"],
        client=row["client"],
        submitted_at=row["submitted_at"],
        rev=row["rev"],
        progress=row["progress"],
        shown=StepState(row["state"]),
        dismissed=bool(row["dismissed"]),
        steps={step.id: step for step in steps},
    )
    return rebuild(run)


def attempt_from(row: sqlite3.Row) -> AttemptRecord:
    return AttemptRecord(**{column: row[column] for column in ATTEMPT_COLUMNS})


def run_record_from(row: sqlite3.Row) -> RunRecord:
    plain = {name: row[name] for name in RunRecord.__struct_fields__ if name != "dismissed"}
    return RunRecord(dismissed=bool(row["dismissed"]), **plain)


def event_from(row: sqlite3.Row) -> EventRecord:
    return EventRecord(**{column: row[column] for column in EVENT_COLUMNS})
