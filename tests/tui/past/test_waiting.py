"""Which steps waited for another try in a past hour."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from msgspec.structs import replace

from engine.core.text.times import rfc3339
from engine.wire import RetryRow
from tests.tui.past.support import BORN, OLD, asking, engine, no_progress
from tests.tui.support import NOW, FakeClock, event, run_row, step_row, store_at
from tui.data.feed import Board
from tui.past.hour import Hour, Line, read_hour
from tui.past.waiting import Waiting

RUN = run_row(OLD, "backing-off")
WAITS = replace(
    step_row("ship", "backing-off", due=90_000, rev=4, http_status=503, error="http-status"),
    run_id=OLD,
)  # fmt: skip


def waiting(*lines: object, step: str = "backing-off") -> Waiting:
    return Waiting(lines, {OLD: RUN}, {OLD: (replace(WAITS, status=step),)})


def happens(kind: str, status: str, seconds: int, step_id: str = WAITS.id, **more: Any) -> object:
    return event(kind, 5, status, step_id, at=seconds * 1_000, runId=OLD, **more)


def told(rows: list[RetryRow]) -> list[tuple[str, str | None, int]]:
    return [(row.at.name, row.at.due_at, row.at.attempts) for row in rows]


def due(seconds: int) -> str:
    return rfc3339(NOW + seconds * 1_000)


def test_what_waited_before_the_hour_is_due_when_its_next_attempt_began() -> None:
    """Or as it is known of now, if none has; and it waits no more once that has begun."""
    assert told(waiting().rows(0)) == [("ship", due(90), WAITS.attempts)]
    it = waiting(happens("started", "running", 30, number=2))
    assert [row.at.due_at for row in it.rows(0)] == [due(30)]
    assert it.rows(1) == []
    assert [row.at.due_at for row in it.rows(0)] == [due(30)], "it goes back"
    assert waiting(step="running").rows(0) == []


def test_what_failed_waits_until_it_is_due() -> None:
    """A step of before or one that came since, with what its attempt came to; those due first stand
    at the top, and one that is paused waits no more."""
    spec = {"name": "mail", "url": "http://mail.test/x", "retry": {"count": 3}}
    ended = {"countsAs": "failure", "httpStatus": 502, "error": "http-status", "number": 1}
    it = waiting(
        happens("accepted", "pending", 1, "mail", spec=spec),
        happens("started", "running", 2, "mail", number=1),
        happens("attempt-ended", "backing-off", 3, "mail", dueAt=due(20), **ended),
        happens("paused", "paused", 9),
        happens("started", "running", 9, "unknown", number=1),
        step="backing-off",
    )
    assert told(it.rows(2)) == [("ship", due(90), WAITS.attempts)]
    (mail, _) = it.rows(3)
    assert told([mail]) == [("mail", due(20), 1)]
    assert (mail.client, mail.workflow_name) == (RUN.client, RUN.workflow_name)
    assert (mail.at.http_status, mail.at.failures, mail.at.retries_max) == (502, 1, 3)
    assert [row.at.name for row in it.rows(5)] == ["mail"]


@pytest.mark.parametrize(
    ("at_s", "q", "found"),
    [(4, "", 0), (6, "", 1), (6, "code:503 try:1", 1), (6, "code:402", 0), (31, "", 0),
     (6, "wf:order* step:ord*", 1), (6, "no room", 1)],
)  # fmt: skip
def test_the_board_lists_them(at_s: int, q: str, found: int) -> None:
    """By a filter, evaluated here."""

    async def read() -> Hour:
        return await read_hour(asking(engine()), NOW, no_progress)

    hour = trio.run(read)
    store = store_at(FakeClock())
    upto = sum(isinstance(line, Line) and line.at_s <= at_s for line in hour.lines)
    hour.show(store, Board("retries", q), "", upto)
    assert list(store.retries) == [OLD] * found
    assert store.listing("retries").total == found
    assert BORN not in store.retries
