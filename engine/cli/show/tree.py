"""A run for people: its tree of steps, what is known of each, and a run in one line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from engine.cli.show.text import (
    clock_text,
    count_text,
    safe,
    span_text,
    state_text,
    time_of,
    unicode_terminal,
    until_text,
)
from engine.shown import said
from engine.shown.holds import held_text, hold_name, released_text

if TYPE_CHECKING:  # wire brings msgspec along; `--help` does without
    from engine.wire import AttemptRow, HoldRow, MoveRow, NoteRow, Reason, RunRow, RunTree, StepRow
    from engine.wire.events import Answered

# what begins a branch, the last branch, and what goes on below each
BRANCHES = ("├─ ", "└─ ", "│  ", "   ")
BRANCHES_ASCII = ("|- ", "`- ", "|  ", "   ")
LEFT_CHARACTERS_MAX = 48
MOVED_SHOWN_MAX = 20


def run_tree_lines(tree: RunTree, *, attempts: bool = False) -> list[str]:
    """A run as a tree of lines: state, name, tries, and when the next try is."""
    from engine.wire import PauseReason, step_label

    run = tree.run
    lines = [
        f"{state_text(run.status)}  {safe(run.workflow_name)}  {safe(run.id)}",
        f"client {safe(run.client)}, key {safe(run.idempotency_key)},"
        f" submitted {clock_text(run.submitted_at)}",
    ]
    if run.pause_reason == PauseReason.ENGINE_ERROR and run.error:  # its steps do not say why
        lines.append(f"the engine could not go on with it: {safe(run.error)}")
    lines += _move_lines(tree.moves)
    lines += map(hold_text, tree.holds or ())
    lines += map(note_text, tree.notes)
    known = {step.id for step in tree.steps}
    children: defaultdict[str | None, list[StepRow]] = defaultdict(list)
    for step in tree.steps:
        # A root, and a step whose parent is not among them, stand at the left.
        children[step.parent_id if step.parent_id in known else None].append(step)
    branch, last_branch, pipe, blank = BRANCHES if unicode_terminal() else BRANCHES_ASCII
    # What is known of a step stands in a column of its own; None: attempts, which have no columns.
    rows: list[tuple[str, str | None]] = []
    stack = [(step, "", "") for step in reversed(children[None])]
    while stack:
        step, first, further = stack.pop()
        below = children.pop(step.id, [])
        label = click.style(safe(step_label(step.name, step.step_key)), bold=True)
        facts = step_facts(step, tree.server_time)
        rows.append((f"{first}{state_text(step.status)}  {label}", facts))
        margin = further + (pipe if below else blank)
        rows += [(f"{margin}{text}", None) for text in repair_lines(step)]
        if attempts and step.attempt_rows:
            rows += [
                (f"{margin}{attempt_text(row, run.submitted_at)}", None)
                for row in step.attempt_rows
            ]
        for i, child in enumerate(reversed(below)):
            head, rest = (last_branch, blank) if i == 0 else (branch, pipe)
            stack.append((child, further + head, further + rest))
    return lines + _in_columns(rows)


def _move_lines(moves: Sequence[MoveRow]) -> list[str]:
    """The latest of what moved a run to other URLs."""
    unsaid = len(moves) - MOVED_SHOWN_MAX
    lines = [f"moved {count_text(unsaid, 'time')} before"] if unsaid > 0 else []
    for move in moves[-MOVED_SHOWN_MAX:]:
        when = "" if move.at is None else f" {clock_text(move.at)}"
        who = "" if move.actor is None else f" by {safe(said.who_text(move.actor))}"
        lines.append(f"moved{when}{who}: {safe(move.from_)} -> {safe(move.to)}")
    return lines


def hold_text(row: HoldRow) -> str:
    """A hold in one line: what, since when, by whom, why, and how much waits."""
    waits = "" if row.waiting is None else f"; {count_text(row.waiting, 'step')} waiting"
    what = safe(hold_name(row.kind, row.name))
    if row.released_at is not None:
        return released_text(what, clock_text(row.released_at), row.rate_per_s) + waits
    reason = None if row.reason is None else safe(row.reason)
    return held_text(what, clock_text(row.since), safe(row.actor), reason) + waits


def note_text(row: NoteRow) -> str:
    """A note in one line."""
    return said.note_text(clock_text(row.at), safe(row.actor), safe(row.text))


def _in_columns(rows: list[tuple[str, str | None]]) -> list[str]:
    lengths = [len(click.unstyle(left)) for left, facts in rows if facts is not None]
    # One long name must not push the facts of all the others off the screen.
    width = max((it for it in lengths if it <= LEFT_CHARACTERS_MAX), default=0)
    return [
        left if not facts else left + " " * (width - len(click.unstyle(left))) + "  " + facts
        for left, facts in rows
    ]


def step_facts(step: StepRow, now: str) -> str:
    """Tries of a step, and what else is to be known of it."""
    facts = []
    if step.attempts:
        facts.append(count_text(step.attempts, "try"))
    if step.failures and step.ended_at is None:
        used = min(
            step.failures, step.retries_max
        )  # where all are, one failure was the first try's
        facts.append(f"{used} of {count_text(step.retries_max, 'retry')} used")
    if step.generation > 1:
        facts.append(f"generation {step.generation}")
    facts += answer_facts(step)
    if reason := _pause_reason(step):
        facts.append(f"paused: {reason}")
    if step.awaiting_post:
        facts.append("starts when the workflow posts it again")
    waits = _wait_facts(step)
    if waits:
        facts += waits
    elif step.due_at is not None and step.ended_at is None and step.status != "paused":
        # the retry that is to come is among those that are called used
        last = ", the last" if step.failures and step.failures >= step.retries_max else ""
        facts.append(f"next try {until_text(step.due_at, now)}{last}")
    if step.ended_at is not None:
        began = step.opened_at or step.submitted_at
        took = (time_of(step.ended_at) - time_of(began)).total_seconds()
        facts.append(f"took {span_text(max(took, 0.0))}")
    return ", ".join(facts)


def repair_lines(step: StepRow) -> list[str]:
    """What of a step was done by hand, and what came of the generations before. Of one that was
    only retried its tries tell that."""
    if not step.repairs:
        return []
    found: list[tuple[int, int, str]] = []
    for ended in step.generations or ():
        status = "" if ended.http_status is None else f", HTTP {ended.http_status}"
        told = f"generation {ended.generation}  {safe(ended.status)}{status}"
        found.append((ended.generation, 1, f"{told}, {clock_text(ended.ended_at)}"))
    for it in step.repairs:
        what = "rerun with another payload" if it.act == "rerun" else safe(it.act)
        told = f"generation {it.generation}  {what} by {safe(it.actor)}: {safe(it.reason)}"
        found.append((it.generation, 0, f"{told}, {clock_text(it.at)}"))
    return [click.style(text, dim=True) for _, _, text in sorted(found)]


def _wait_facts(step: StepRow) -> list[str]:
    """What a step waits for that is due, and since when a hold keeps it."""
    why = [safe(step.waits.text)] if step.waits else []
    if not step.held_since:
        return why
    since = f"since {clock_text(step.held_since)}"
    held_by = [f"{it} {since}" for it in why if it.startswith("held by ")]
    return held_by or [f"held {since}", *why]


def _pause_reason(of: StepRow | RunRow) -> str:
    """Why it is paused, where its error does not say so itself."""
    from engine.wire import Failure

    reason = of.pause_reason or ""
    return "" if Failure.parse(of.error).word == reason else safe(reason)


def answer_facts(of: StepRow | AttemptRow | Reason | Answered) -> list[str]:
    """What the last attempt came to, and what its answer gives as the reason."""
    from engine.wire import Failure, FailureKind

    status, failure, excerpt = of.http_status, Failure.parse(of.error), _beside_status(of)
    inner = failure.inner
    beyond = inner.beyond(status)  # only that is news beside the status
    if failure.kind is FailureKind.UNHANDLED and failure.detail:  # it names the status itself
        if excerpt and beyond is not None and beyond.startswith(" after "):
            failure = Failure(failure.kind, f"answered {status} ({excerpt}){beyond}")
        return [safe(failure.text)]
    if inner.kind is FailureKind.HTTP_STATUS and beyond is not None:
        answered = f"HTTP {status}{excerpt and f' {excerpt}'}{beyond}"
        return [safe(answered if inner is failure else Failure(failure.kind, answered).text)]
    facts = [] if status is None else [f"HTTP {status}"]
    return [*facts, safe(of.error)] if of.error else facts


def _beside_status(of: StepRow | AttemptRow | Reason | Answered) -> str:
    """The excerpt for a line that has the status, and goes on behind it: `502 Bad Gateway` would
    tell the number twice, and a sentence's full stop would stand before a comma."""
    text = (of.excerpt or "").removeprefix(f"{of.http_status} ")
    return text.removesuffix(".") if not text.endswith("..") else text


def attempt_text(row: AttemptRow, since: str) -> str:
    """One attempt of a step; its date only when it is not that of `since`."""
    from engine.wire import DelayBy, FailureKind

    time = row.started_at.removeprefix(f"{since[:10]}T")
    answer = ", ".join(answer_facts(row)).removeprefix(f"{FailureKind.INTERRUPTED}: ")
    text = f"{safe(row.status)}: {answer}" if answer else safe(row.status)
    if row.delay_ms:
        # Of an interruption the line has just said so.
        by = f" ({safe(row.delay_by)})" if row.delay_by not in (None, DelayBy.INTERRUPTED) else ""
        text += f", waited {span_text(row.delay_ms / 1000)}{by}"
    return click.style(f"try {row.number}  {safe(time)}  {text}", dim=True)


def _hold_of(run: RunRow, holds: Sequence[HoldRow]) -> HoldRow | None:
    """What keeps all of an open run: a hold on its client or workflow. Of one on a host a run in a
    list does not say whether it is meant."""
    about = {"client": run.client, "workflow": run.workflow_name, "all": "*"}
    return next(
        (it for it in holds if it.released_at is None and about.get(it.kind) == it.name), None
    )


def run_note(run: RunRow, holds: Sequence[HoldRow] = ()) -> str:
    """What else is to be known of a run in a list."""
    facts = []
    if reason := _pause_reason(run):
        facts.append(reason)
    if run.ended_at is None and (hold := _hold_of(run, holds)) is not None:
        facts.append(f"held: {safe(hold_name(hold.kind, hold.name))}")
    elif run.due_at is not None and run.ended_at is None:
        facts.append(f"next try {clock_text(run.due_at)}")
    if run.reason is not None:
        where = "" if run.reason.step_id == run.id else f"{safe(run.reason.step_name)}: "
        facts.append(where + ", ".join(answer_facts(run.reason)))
    elif run.error:
        facts.append(safe(run.error))
    if run.dismissed:
        facts.append("dismissed")
    return ", ".join(facts)
