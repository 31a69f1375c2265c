"""Records as rows and rows as records: the only place that knows the order of the columns."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Protocol, TypeVar

import msgspec

from engine.core.below import repair_since
from engine.core.cause import stuck
from engine.core.model import (
    DelayBy,
    Move,
    Note,
    PauseReason,
    Repair,
    Run,
    Step,
    StepSpec,
    StepState,
    rebuild,
    run_of,
)
from engine.core.retry import DEFAULT_POLICY, RetryPolicy
from engine.ports.views import AttemptRecord, Reason, RunRecord, StepAt

T = TypeVar("T")


class Columns(Protocol):
    """Values by the names of their columns."""

    def __getitem__(self, name: str, /) -> Any: ...


_json = msgspec.json.Encoder().encode
_policy_from = msgspec.json.Decoder(RetryPolicy).decode
_repairs_from = msgspec.json.Decoder(tuple[Repair, ...]).decode
_moves_from = msgspec.json.Decoder(tuple[Move, ...]).decode
_notes_from = msgspec.json.Decoder(tuple[Note, ...]).decode

BODY_COLUMNS = ("step_id", "answer", "number", "entry")
RUN_COLUMNS = (
    "id", "client", "workflow", "key", "state", "rev", "progress", "dismissed", "steps",
    "open_steps", "failed_steps", "submitted_at", "seq", "owner", "epoch", "cause", "stuck_at",
    "engine_error", "moves", "notes",
)  # fmt: skip
STEP_COLUMNS = (
    "id", "parent_id", "ordinal", "depth", "workflow", "key", "url", "step_key", "name",
    "fingerprint", "retry", "attempt_timeout_ms", "submitted_at", "recorded_by", "state", "rev",
    "generation", "reruns", "payload_generation", "payload_in", "attempts", "failures",
    "interruptions", "crashes", "crash_mark", "due_at", "delay_ms", "delay_by", "opened_at",
    "paused_at", "paused_ms", "pause_reason", "held_state", "hold", "awaiting_post",
    "cancel_asked", "ended_at", "cause_id", "http_status", "error", "answer_attempt", "wake_at",
    "may_post", "ended_url", "excerpt", "held_since", "trace", "paused_ms_at", "repairs",
)  # fmt: skip
HELD_WAKE_AT = 1 << 62
"""Of a step that a hold keeps from starting: behind every time, so that no sweep finds it."""
ATTEMPT_COLUMNS = (
    "step_id", "number", "generation", "started_at", "ended_at", "counts_as", "http_status",
    "error", "delay_ms", "delay_by", "answer_in", "epoch", "excerpt",
)  # fmt: skip
ATTEMPT_END_COLUMNS = (
    "ended_at", "counts_as", "http_status", "error", "excerpt", "delay_ms", "delay_by",
    "answer_in",
)  # fmt: skip
OUTCOME_COLUMNS = (
    "step_id", "generation", "state", "attempts", "answer_attempt", "http_status", "error",
    "cause_id", "ended_at",
)  # fmt: skip


attempt_row: Callable[[AttemptRecord], tuple[Any, ...]] = attrgetter(*ATTEMPT_COLUMNS)


def run_row(run: Run, seq: int, owner: str, epoch: int) -> tuple[Any, ...]:
    """`seq` is the last event that the row knows of."""
    spec, need = run.root.spec, stuck(run)
    return (
        run.id, run.client, spec.workflow, spec.key, run.shown, run.rev, run.progress,
        run.dismissed, len(run.steps), run.open_steps, run.failed_steps, run.submitted_at, seq,
        owner, epoch, need and need.cause, need and need.since, run.engine_error,
        _json(run.moves).decode() if run.moves else None,
        _json(run.notes).decode() if run.notes else None,
    )  # fmt: skip


def wake_at(step: Step) -> int | None:
    """When the engine must look at a stored step: 0 for one it was about to call or calling."""
    if step.held_since is not None:
        return HELD_WAKE_AT
    if step.state is StepState.RUNNING:
        return 0
    if step.state is StepState.PENDING:
        return None if step.awaiting_post else 0
    return step.due_at if step.state is StepState.BACKING_OFF else None


def step_row(run: Run, step: Step, payload_in: int | None) -> tuple[Any, ...]:
    """`payload_in` is the journal's entry with its payload; None: as it was.

    What a step shares with its run, and a step's key with its URL, is not written again.
    """
    spec, root = step.spec, run.root.spec
    return (
        step.id, step.parent_id if step.depth > 1 else None, step.ordinal, step.depth,
        None if spec.workflow == root.workflow else spec.workflow,
        None if spec.key == root.key else spec.key,
        spec.url, None if spec.step_key == spec.url else spec.step_key, spec.name,
        spec.fingerprint, None if spec.retry is None else _json(spec.retry).decode(),
        spec.attempt_timeout_ms, step.submitted_at, step.recorded_by, step.state, step.rev,
        step.generation, step.reruns, step.payload_generation, payload_in, step.attempts,
        step.failures, step.interruptions, step.crashes, step.crash_mark, step.due_at,
        step.delay_ms, step.delay_by, step.opened_at, step.paused_at, step.paused_ms,
        step.pause_reason, step.resumes_to, step.pause_asked, step.awaiting_post,
        step.cancel_asked, step.ended_at, step.cause_id, step.http_status, step.error,
        step.answer_attempt, wake_at(step), step.may_post, step.ended_url, step.excerpt,
        step.held_since, spec.trace, step.paused_ms_at,
        _json(step.repairs).decode() if step.repairs else None,
    )  # fmt: skip


def outcome_row(step: Step) -> tuple[Any, ...]:
    return (
        step.id, step.generation, step.state, step.attempts, step.answer_attempt,
        step.http_status, step.error, step.cause_id, step.ended_at,
    )  # fmt: skip


def step_from(row: Columns) -> Step:
    """A row of `step` that was joined with `run_workflow` and `run_key`."""
    url, run_id = row["url"], run_of(row["id"])
    parent_id = row["parent_id"] if row["depth"] > 1 else run_id if row["depth"] else None
    spec = StepSpec(
        workflow=row["run_workflow"] if row["workflow"] is None else row["workflow"],
        key=row["run_key"] if row["key"] is None else row["key"],
        url=url,
        step_key=url if row["step_key"] is None else row["step_key"],
        name=row["name"],
        fingerprint=row["fingerprint"],
        retry=None if row["retry"] is None else _policy_from(row["retry"]),
        attempt_timeout_ms=row["attempt_timeout_ms"],
        trace=row["trace"],
    )
    rest, by, reason = row["held_state"], row["delay_by"], row["pause_reason"]
    plain = {
        name: row[name]
        for name in (
            "id", "ordinal", "depth", "submitted_at", "recorded_by", "rev",
            "generation", "reruns", "payload_generation", "attempts", "failures", "interruptions",
            "crashes", "crash_mark", "due_at", "delay_ms", "opened_at", "paused_at", "paused_ms",
            "ended_at", "cause_id", "http_status", "error", "answer_attempt", "ended_url",
            "excerpt", "held_since", "paused_ms_at",
        )
    }  # fmt: skip
    return Step(
        run_id=run_id,
        parent_id=parent_id,
        spec=spec,
        state=StepState(row["state"]),
        delay_by=None if by is None else DelayBy(by),
        pause_reason=None if reason is None else PauseReason(reason),
        resumes_to=None if rest is None else StepState(rest),
        pause_asked=bool(row["hold"]),
        awaiting_post=bool(row["awaiting_post"]),
        cancel_asked=bool(row["cancel_asked"]),
        may_post=bool(row["may_post"]),
        repairs=() if row["repairs"] is None else _repairs_from(row["repairs"]),
        **plain,
    )


def run_from(row: Columns, steps: list[Step]) -> Run:
    run = Run(
        id=row["id"],
        client=row["client"],
        submitted_at=row["submitted_at"],
        rev=row["rev"],
        progress=row["progress"],
        shown=StepState(row["state"]),
        dismissed=bool(row["dismissed"]),
        engine_error=row["engine_error"],
        stopped_at=row["stuck_at"] or 0 if row["engine_error"] else 0,
        moves=() if row["moves"] is None else _moves_from(row["moves"]),
        notes=() if row["notes"] is None else _notes_from(row["notes"]),
        steps={step.id: step for step in steps},
    )
    return rebuild(run)


def attempt_from(row: Columns) -> AttemptRecord:
    return AttemptRecord(**{column: row[column] for column in ATTEMPT_COLUMNS})


def run_record_from(row: Columns, at: StepAt | None, reason: Reason | None) -> RunRecord:
    made = ("at", "reason", "moves", "notes")
    taken = {name: row[name] for name in RunRecord.__struct_fields__ if name not in made}
    taken["dismissed"] = bool(row["dismissed"])
    moves, notes = _shown(row["moves"], _moves_from), _shown(row["notes"], _notes_from)
    return RunRecord(**taken, at=at, reason=reason, moves=moves, notes=notes)


def _shown(text: str | None, read: Callable[[str], tuple[T, ...]]) -> tuple[T, ...]:
    """None where they cannot be read: that stops their run, and no list of runs."""
    try:
        return () if text is None else read(text)
    except msgspec.MsgspecError:
        return ()


def mended_since(row: Columns, at: int) -> Repair | None:
    """The repair that has kept how a row of `step_at` stood failed at this time, if one has."""
    kept = row["repairs"]
    return None if kept is None else repair_since(_repairs_from(kept), row["state"], at)


def step_at_from(row: Columns) -> StepAt:
    """A row of `step_at`."""
    retry = DEFAULT_POLICY if row["retry"] is None else _policy_from(row["retry"])
    taken = {name: row[name] for name in StepAt.__struct_fields__ if name != "retries_max"}
    return StepAt(**taken, retries_max=retry.count)
