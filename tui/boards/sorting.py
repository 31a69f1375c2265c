"""By which columns the boards that are known whole can be sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tui.boards import cells as boards
from tui.boards import hosts
from tui.boards.jobs import left_alone
from tui.boards.rest import began_at, took_ms
from tui.data.model import Cause, Step, ms_of

T = TypeVar("T")
By = Callable[[Any], Any]
"""From a row to what it is sorted by; None comes last, whichever way."""


def _cause_host(cause: Cause) -> str | None:
    return None if cause.at is None else cause.at.host


def _took(step: Step) -> tuple[bool, float] | None:
    """What has not ended goes on longer than what has, from the one that began first."""
    if (took := took_ms(step)) is not None:
        return False, took
    return (True, -float(began_at(step))) if step.tries and not step.ended else None


SORTS: dict[str, dict[str, By]] = {
    "causes": {
        "runs": lambda cause: cause.runs,
        "new": lambda cause: cause.new_runs,
        "cause": boards.cause_text,
        "host": _cause_host,
        "what": lambda cause: boards.text_of(boards.cause_what(cause)),
        "first": lambda cause: cause.first_at,
        "last": lambda cause: cause.last_at,
    },
    "hosts": {
        "host": lambda host: host.id,
        "ok": hosts.ok_share,
        "rate": hosts.per_minute,
        "p95": lambda host: host.p95_ms,
        "flight": lambda host: host.in_flight,
        "queued": lambda host: host.queued,
    },
    "jobs": {
        "state": lambda job: job.state,
        "action": lambda job: job.action,
        "done": lambda job: job.done,
        "left": left_alone,
        "began": lambda job: ms_of(job.started_at),
    },
    "run": {"tree": lambda step: step.label, "try": lambda step: step.attempts, "next": _took},
}
FIXED = {
    "home": "what needs a person stands first here; enter goes to a list of it",
    "runs": "runs are sorted by when they were submitted; filter instead",
    "retries": "retries are always sorted by when they are due",
    "events": "events are always the newest first",
}
"""Why other boards are not sorted otherwise."""
UPWARDS = frozenset({"tree", "cause", "host", "what", "state", "action"})
"""Words are sorted from A on at first, figures from the largest."""


def ordered(
    row_ids: Iterable[str], row_of: Callable[[str], Any], by: By, *, down: bool
) -> list[str]:
    """The rows sorted; equal ones stay as they were."""
    rows = [(row, row_id) for row_id in row_ids if (row := row_of(row_id)) is not None]
    return [row_id for _, row_id in sort_rows(rows, lambda each: by(each[0]), down=down)]


def sort_rows(rows: Iterable[T], by: By, *, down: bool) -> list[T]:
    """The same of rows themselves."""
    found = [(by(row), row) for row in rows]
    known = [each for each in found if each[0] is not None]
    known.sort(key=lambda each: each[0], reverse=down)
    return [row for _, row in known] + [row for value, row in found if value is None]
