"""`atomic bulk`: what came of a job's runs, and of those that it acts on first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.cli.bulk import came_text, progress_text
from engine.wire import BulkAnswer, FailedRuns
from tests.cli.bulk_answers import DONE, JOB, RETRY, WOULD
from tests.client.fake_engine import Atomic, FakeEngine, answer

CAME = DONE | {
    "done": 10, "runs": {"running": 1, "failed": 3, "completed": 6},
    "failures": [
        {"httpStatus": 503, "error": None, "runs": 2},
        {"httpStatus": None, "error": "dns\x1b", "runs": 1},
    ],
}  # fmt: skip
STOPPED = CAME | {
    "state": "aborted", "done": 5, "total": 11, "first": 5,
    "stoppedBecause": "1 of the first 5 did not complete: 01A failed at charge: 402\x1b",
    "runs": {"completed": 4, "failed": 1},
    "failures": [{"httpStatus": 402, "error": None, "runs": 1}],
}  # fmt: skip


def test_what_came_of_the_runs_is_told(atomic: Atomic):
    """At the end of a job, and when it is shown; with the command that lists them."""
    told = (
        "  6 completed, 3 failed again (503: 2, dns\\u001b: 1), 1 running:"
        " atomic runs --filter job:01J"
    )
    result = atomic("bulk", "follow", "01J", answers=[answer(CAME)])
    assert result.stdout.splitlines()[1:] == [told]
    result = atomic("bulk", "show", "01J", answers=[answer(CAME)])
    lines = result.stdout.splitlines()
    assert (result.exit_code, lines[0].split()[:2]) == (0, ["STATE", "JOB"])
    assert lines[2].startswith("retry done: 10 of 11 runs")
    assert lines[3] == told
    given = ("--engine", "http://e:1/")
    result = atomic("bulk", "show", "01J", *given, answers=[answer(CAME)])
    assert result.stdout.splitlines()[-1].endswith("--filter job:01J --engine http://e:1/")


def test_why_a_job_stopped_is_told(atomic: Atomic, engine: FakeEngine):
    """Followed it is a failure; shown it is what was asked for."""
    result = atomic(*RETRY, "--yes", "12", "--first", "5",
                    answers=[answer(WOULD), answer(JOB, 202), answer(STOPPED)])  # fmt: skip
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-3:] == [
        "retry aborted: 5 of 11 runs; 5 not come to; left alone: 1 it is paused,"
        " 1 revision-changed",
        "  1 of the first 5 did not complete: 01A failed at charge: 402\\u001b",
        "  4 completed, 1 failed again (402): atomic runs --filter job:01J",
    ]
    assert json.loads(engine.requests[1].content)["first"] == 5
    assert atomic("bulk", "show", "01J", answers=[answer(STOPPED)]).exit_code == 0


def test_an_older_engine_is_asked_for_no_first(atomic: Atomic, engine: FakeEngine):
    """It knows no such member."""
    atomic(*RETRY, "--dry-run", answers=[answer(WOULD)])
    assert "first" not in engine.body()


def test_a_dry_run_says_what_is_first(atomic: Atomic):
    """And that the others wait for it; or that there are no others."""
    for first, told in ((5, True), (11, False), (12, False)):
        would = answer(WOULD | {"first": first})
        lines = atomic(*RETRY, "--first", str(first), "--dry-run", answers=[would]).stdout
        said = "first 5; the other 6 only when all of these have completed"
        assert (said in lines.splitlines()) is told
        none = f"first {first}: that is all of them, and none is left for afterwards"
        assert (none in lines.splitlines()) is not told


@pytest.mark.parametrize("command", ["retry", "resume", "retarget"])
@pytest.mark.parametrize("first", ["1", "1000"])
def test_the_numbers_that_there_are(atomic: Atomic, engine: FakeEngine, command: str, first: str):
    """At both ends, of each action that runs complete after."""
    move = ("--from", "http://a/", "--to", "http://b/") if command == "retarget" else ()
    arguments = ("bulk", command, "--filter", "is:live", *move, "--first", first, "--dry-run")
    assert atomic(*arguments, answers=[answer(WOULD)]).exit_code == 0
    assert engine.body()["first"] == int(first)


def _job(**members: Any) -> BulkAnswer:
    plain = {"id": "01J", "state": "running", "action": "retry", "q": "", "matched": 20,
             "total": 20, "done": 5, "skipped": {}, "rate_per_s": 20}  # fmt: skip
    return BulkAnswer(**{**plain, **members})


def test_what_it_waits_for_is_told():
    """While the first run, not while it acts on them, nor when they have completed."""
    waits = _job(first=5, runs={"completed": 3, "paused": 2})
    assert progress_text(waits) == "waits for the first 5: 3 completed, 2 paused"
    assert progress_text(_job(first=6)).startswith("5 of 20 runs")
    assert progress_text(_job(first=5, first_completed=True)).startswith("5 of 20 runs")
    few = _job(first=50, done=20)
    assert progress_text(few) == "waits for the first 20: they have not ended"


def test_only_what_is_tried_again_fails_again():
    """A run that was moved fails; one that is gone is told as such."""
    failed = (FailedRuns(None, None, 1),)
    moved = _job(action="retarget", runs={"failed": 1, "expired": 2}, failures=failed)
    assert came_text(moved) == "1 failed (?), 2 removed since, as their time had come"
    assert came_text(_job(runs={"failed": 1})) == "1 failed again"
    assert came_text(_job()) == ""


def test_so_many_jobs_are_listed(atomic: Atomic, engine: FakeEngine):
    """50, or as many as are asked for."""
    for arguments, limit in (((), "50"), (("--limit", "500"), "500")):
        atomic("bulk", "list", *arguments, answers=[answer({"jobs": []})])
        assert engine.requests[-1].url.params["limit"] == limit
