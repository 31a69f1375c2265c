"""What was ever promised of `/api/v1` holds, and what is new is written down."""

from __future__ import annotations

from tests.contract import promises
from tests.reference_pages import ROOT


def test_no_promise_is_broken() -> None:
    """A route, parameter, member, problem type, word or metric that was there is there, of the type
    that it had; and what nobody had to send nobody has to."""
    broken = sorted(promises.promised() - promises.kept())
    assert broken == [], "readers and senders of today would fail: docs/reference/stability.md"


def test_every_promise_is_written_down() -> None:
    """`python -m tests.contract --record` adds what is new."""
    assert sorted(promises.kept() - promises.promised()) == []


def test_a_broken_promise_would_be_found() -> None:
    """There is one line for each kind of thing."""
    for line in (
        "POST /{client}", "GET /api/v1/runs takes query limit", "POST /{client} answers 202",
        "RunRow has status, string", "Submission may go without retry",
        "problem step-failed is 424 of workflow", "state paused", "action rerun",
        "metric atomic_runs_moved_total is a counter",
        "metric atomic_runs_moved_total has workflow",
        "call has Atomic-Parent", "GET /api/v1/runs is runs",
    ):  # fmt: skip
        assert line in promises.promised(), line
    assert len(promises.promised()) > 1_000


def test_the_page_tells_of_each_kind() -> None:
    """Readers have it in words."""
    page = (ROOT / "docs" / "reference" / "stability.md").read_text()
    for word in ("route", "parameter", "member", "problem", "state", "action", "metric", "header"):
        assert word in page, word
    assert "promises.txt" in page
