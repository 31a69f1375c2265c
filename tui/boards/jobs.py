"""The board of bulk jobs: what each did, what it left alone, and what came of its runs."""

from __future__ import annotations

from collections.abc import Iterator

from engine.shown import times
from engine.shown.jobs import came_text
from engine.shown.said import who_text
from engine.wire import BulkAnswer
from tui.boards.cells import NONE, Cell, Column, Part, Seen, time_cell
from tui.boards.looks import SHAPES
from tui.boards.presence import PAST
from tui.data.model import ms_of, short_id

WIDE, WIDER = 96, 117
NOT_READ = ("not read yet", "dim")
"""Lists of jobs do not count what came of their runs: it is read of the one under the cursor."""

JOBS = (
    Column("state", "STATE", 8),
    Column("action", "ACTION", 9),
    Column("done", "DONE", 14, right=True),
    Column("left", "LEFT ALONE", 10, right=True, from_width=WIDE),
    Column("came", "WHAT CAME OF THEM", 18, flex=3, from_width=74, most=64),
    Column("q", "FILTER", 12, flex=2),
    Column("by", "BY", 10, flex=1, from_width=WIDER, most=24),
    Column("began", "BEGAN", 8),
)


def left_alone(job: BulkAnswer) -> int:
    """Runs that the filter found and the action did not fit, or that refused it."""
    return sum(job.skipped.values())


def not_come_to(job: BulkAnswer) -> int:
    """Runs whose turn has not come; of a job that was stopped it never will."""
    return max(0, job.matched - job.done - left_alone(job))


def job_cells(job: BulkAnswer, seen: Seen) -> dict[str, Cell]:
    """A job's row."""
    left = left_alone(job)
    style = {"running": "running", "aborted": "cancelled"}.get(job.state, "completed")
    return {
        "state": (job.state, style),
        "action": (job.action, "plain"),
        "done": (f"{job.done:,} of {job.total:,}", "plain"),
        "left": (f"{left:,}", "plain" if left else "dim"),
        "came": came_cell(job),
        "q": (job.q, "plain"),
        "by": (job.actor, "dim") if job.actor else NONE,
        "began": time_cell(ms_of(job.started_at), seen),
    }


def came_cell(job: BulkAnswer) -> Part:
    """What came of its runs, or why it was stopped; else how it goes on."""
    if job.stopped_because:
        return job.stopped_because, "cancelled"
    if told := came_of(job):
        return told, "failed" if (job.runs or {}).get("failed") else "plain"
    return NOT_READ if job.runs is None and job.done else NONE


def came_of(job: BulkAnswer) -> str:
    """`57 completed, 2 failed again (503), 1 running`; empty: it is not known, or none was done."""
    failures = [(str(it.http_status or it.error or "?"), it.runs) for it in job.failures]
    return came_text(job.action, job.runs or {}, failures)


def job_told(job: BulkAnswer) -> Iterator[Part]:
    """A job in whole, for the line below the board."""
    by = f" by {who_text(job.actor)}" if job.actor else ""
    yield f"job {short_id(job.id or '')}{by}", "strong"
    if came := came_of(job):
        yield f"{job.done:,} {PAST.get(job.action, job.action)}: {came}", "plain"
    if job.state == "running":
        yield how_far(job), "running"
    for why, count in sorted(job.skipped.items()):
        yield f"{count:,} left alone: {why}", "plain"
    if job.state == "aborted" and (left := not_come_to(job)):
        yield f"{left:,} not come to", "cancelled"
    if job.stopped_because:
        yield job.stopped_because, "cancelled"
    for why, told in job.reasons.items():
        yield from ((f"{why} {SHAPES.into} {each}", "failed") for each in told)


def how_far(job: BulkAnswer) -> str:
    """`about 24s left`, or what it waits for."""
    left = not_come_to(job)
    if job.first is not None and not job.first_completed and (job.done >= job.first or not left):
        return f"waits until the first {job.done:,} have completed"
    return f"about {times.span(left / max(1, job.rate_per_s) * 1_000)} left"


def begin_told(job: BulkAnswer, by: str) -> Part:
    """A job that somebody has just begun, in a sentence."""
    of = "1 run" if job.total == 1 else f"{job.total:,} runs"
    return f"job {short_id(job.id or '')} by {by} began: {job.action} {of} · 6 shows it", "strong"


def end_told(job: BulkAnswer, by: str = "") -> Part:
    """A job that has just ended, in a sentence; `by` another."""
    how = "stopped" if job.state == "aborted" else "ended"
    came = came_of(job)
    who = f" by {by}" if by else ""
    told = f"job {short_id(job.id or '')}{who} {how}: {job.done:,} of {job.total:,}"
    told += f" {PAST.get(job.action, job.action)}" + (f": {came}" if came else "")
    told += f" · {job.stopped_because}" if job.stopped_because else ""
    is_bad = job.state == "aborted" or "failed" in (job.runs or {})
    return told, "alarm" if is_bad else "strong"
