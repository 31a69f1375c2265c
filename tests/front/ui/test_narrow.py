"""Rows on a narrow screen: a cell alone says what it is of, and one with nothing takes no line."""

from __future__ import annotations

import pytest

from engine.front.access.who import Who
from engine.front.ui.site import asset_text
from engine.wire import BulkAnswer, FailedRuns, RunRow, StepAt
from tests.front.ui.support import NOW, site


def row(excerpt: str | None) -> RunRow:
    """A run whose step is tried, after this answer."""
    step = StepAt(
        step_id="R-s", name="charge", url="http://pay.test/charge", status="running", attempts=1,
        failures=0, retries_max=10, started_at=NOW, error=excerpt and "http-status",
        http_status=503 if excerpt else None, excerpt=excerpt,
    )  # fmt: skip
    return RunRow(
        id="R", client="shop", workflow_name="order", idempotency_key="k", status="running", rev=4,
        generation=1, open_steps=1, failed_steps=0, steps=2, dismissed=False, submitted_at=NOW,
        at=step,
    )  # fmt: skip


@pytest.mark.parametrize(("excerpt", "nothing"), [(None, True), ("busy", False)])
def test_no_reason(excerpt: str | None, nothing: bool) -> None:
    """A run that goes well has no line of a dash alone."""
    source = '{% import "parts.html" as parts %}{{ parts.runs_table("/ui", runs, (), now) }}'
    text = site()._environment.from_string(source).render(runs=[row(excerpt)], now=NOW)
    assert ('<td class="c-why nothing">—</td>' in text) is nothing
    assert ".runs .nothing { display: none; }" in narrow()


async def test_numbers_say_of_what() -> None:
    """`7 422` reads as one number."""
    failures = (FailedRuns(422, None, 7), FailedRuns(500, None, 1))
    job = BulkAnswer("J", "done", "retry", "is:stuck", 8, 8, 8, {"x": 2}, 10, failures=failures)
    page = (await site().page("job", Who(), {"now": NOW, "job": job})).body.decode()
    nouns = [part.partition('"')[0] for part in page.split('data-noun="')[1:]]
    assert nouns == ["runs", "run", "runs"]
    assert '.few .c-runs::after { content: " " attr(data-noun)' in narrow()


def narrow() -> str:
    """What the stylesheet says of narrow screens alone."""
    return asset_text("ui.css").partition("@media (max-width")[2].partition("@media")[0]
