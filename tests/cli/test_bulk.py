"""`atomic bulk`: what would be done is shown, asked for and followed; jobs are listed and ended."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.cli.bulk_answers import DONE, JOB, RETRY, WOULD
from tests.client.fake_engine import Atomic, FakeEngine, answer, refusal

DRY = [
    "12 runs match is:failed",
    "retry would act on 11, 550 ms at 20 each second",
    "left alone: 1, it is paused",
]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is there who can be asked."""
    monkeypatch.setattr("engine.cli.bulk.can_ask", lambda: True)


def test_a_dry_run_names_runs(atomic: Atomic, engine: FakeEngine):
    """How many match, how long it takes, who is left alone, and some runs in a line each."""
    result = atomic(*RETRY, "--dry-run", answers=[answer(WOULD)])
    lines = result.stdout.splitlines()
    assert (result.exit_code, lines[:3]) == (0, DRY)
    assert lines[3].startswith("STATE")
    assert lines[4].startswith("↻ backing-off  01A  shop    createUser")
    assert lines[5:] == ["and 10 more"]
    assert engine.body()["dryRun"] is True
    told = atomic(*RETRY, "--dry-run", "--json", answers=[answer(WOULD)])
    assert json.loads(told.stdout)["matched"] == 12


def test_one_run_is_told_as_one(atomic: Atomic):
    """`1 run matches`, `2 runs match`: where it is asked about and where it is refused."""
    for count, words in ((0, "0 runs match"), (1, "1 run matches"), (1_000, "1,000 runs match")):
        one = WOULD | {"matched": count, "total": 0, "sample": [], "sampleRuns": []}
        shown = atomic(*RETRY, "--dry-run", answers=[answer(one)]).stdout.splitlines()
        assert shown[0] == f"{words} is:failed"
        refused = atomic(*RETRY, "--yes", "7", answers=[answer(one)])
        assert f"{words} now, not 7: nothing was done" in refused.stderr


def test_the_ids_are_shown_where_an_engine_says_no_more(atomic: Atomic):
    """An older one."""
    result = atomic(*RETRY, "--dry-run", answers=[answer(WOULD | {"sampleRuns": []})])
    assert result.stdout.splitlines()[3:] == ["01A", "and 10 more"]


@pytest.mark.usefixtures("terminal")
def test_it_asks_and_follows_to_the_end(atomic: Atomic, engine: FakeEngine):
    """With one key for the job, so that a broken connection begins no second one."""
    half = JOB | {"done": 5}
    answers = [answer(WOULD), answer(JOB, 202), answer(half), answer(DONE)]
    arguments = ("--rate", "5", "--reason", "up again")
    result = atomic(*RETRY, *arguments, answers=answers, input="y\n")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "retry done: 10 of 11 runs; left alone: 1 it is paused, 1 revision-changed"
    )
    assert "retry 11 runs? [y/N]: y" in result.stderr
    assert "job 01J has begun" in result.stderr
    look, begin = (json.loads(request.content) for request in engine.requests[:2])
    assert begin == look | {"dryRun": False, "expect": 12}
    assert (begin["ratePerS"], begin["reason"]) == (5, "up again")
    assert "idempotency-key" in engine.requests[1].headers
    assert engine.requests[3].url.path == "/api/v1/bulk/01J"


def test_what_refusals_said_is_told(atomic: Atomic):
    """A line each, as text of the engine's: made safe to show."""
    told = DONE | {"reasons": {"not-possible": ["http://b/: add \x1b it.", "other"]}}
    lines = atomic("bulk", "follow", "01J", answers=[answer(told)]).stdout.splitlines()
    assert lines[0].startswith("retry done: 10 of 11 runs")
    assert lines[1:] == ["  not-possible: http://b/: add \\u001b it.", "  not-possible: other"]


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("said", "code"), [("n\n", 0), ("\n", 0), ("", 130)])
def test_who_does_not_say_yes_has_done_nothing(
    atomic: Atomic, engine: FakeEngine, said: str, code: int
):
    """No, nothing, or the end of the input."""
    result = atomic(*RETRY, answers=[answer(WOULD)], input=said)
    assert (result.exit_code, len(engine.requests)) == (code, 1)
    assert "Nothing was done." in result.stderr


def test_without_a_terminal_the_number_must_be_said(atomic: Atomic, engine: FakeEngine):
    """The command says which."""
    result = atomic(*RETRY, answers=[answer(WOULD)])
    assert (result.exit_code, result.stdout.splitlines()[:3]) == (2, DRY)
    assert "no terminal to ask at" in result.stderr
    assert "--yes 12" in result.stderr
    assert len(engine.requests) == 1


@pytest.mark.parametrize("count", [0, 11, 13])
def test_another_number_is_refused(atomic: Atomic, engine: FakeEngine, count: int):
    """One more or one less: they are not the runs that were meant."""
    result = atomic(*RETRY, "--yes", str(count), answers=[answer(WOULD)])
    assert (result.exit_code, len(engine.requests)) == (4, 1)
    assert f"12 runs match now, not {count}: nothing was done" in result.stderr


def test_the_right_number_asks_nobody(atomic: Atomic):
    """What is done is told as text or as JSON; progress and notes never mix with it."""
    answers = [answer(WOULD), answer(JOB, 202), answer(DONE)]
    result = atomic(*RETRY, "--yes", "12", answers=answers)
    assert result.stdout.splitlines()[-1].startswith("retry done: 10 of 11 runs")
    answers = [answer(WOULD), answer(JOB, 202), answer(DONE)]
    result = atomic(*RETRY, "--yes", "12", "--json", answers=answers)
    told: dict[str, object] = {
        "first": None,
        "firstCompleted": False,
        "stoppedBecause": None,
        "runs": None,
    }
    told |= {"address": None, "endedAt": None, "failures": []}
    assert json.loads(result.stdout) == DONE | told


def test_more_runs_at_the_last_moment_are_the_engines_to_refuse(atomic: Atomic):
    """It counts again when it begins."""
    told = refusal("revision-changed", "13 runs match now, not 12.", matched=13)
    result = atomic(*RETRY, "--yes", "12", answers=[answer(WOULD), told])
    assert result.exit_code == 4
    assert "13 runs match now, not 12" in result.stderr


def test_nothing_to_do_is_not_asked_about(atomic: Atomic, engine: FakeEngine):
    """And begins no job, whatever the number."""
    none = WOULD | {"total": 0, "skipped": {"it is paused": 12}, "sample": [], "sampleRuns": []}
    for arguments in ((), ("--yes", "12")):
        result = atomic(*RETRY, *arguments, answers=[answer(none)])
        assert (result.exit_code, result.stderr) == (0, "Nothing to do.\n")
        assert result.stdout.splitlines()[1] == "retry would act on 0"
    assert len(engine.requests) == 2


def interrupt(request: httpx.Request) -> httpx.Response:
    """Ctrl-C."""
    raise KeyboardInterrupt


def test_ctrl_c_leaves_the_job(atomic: Atomic):
    """It goes on, and the command says how to end it: at the engine that it was given."""
    answers = [answer(WOULD), answer(JOB, 202), interrupt]
    result = atomic(*RETRY, "--yes", "12", answers=answers)
    assert result.exit_code == 130
    assert "The job goes on. To stop it: atomic bulk abort 01J; to look" in result.stderr
    answers = [answer(WOULD), answer(JOB, 202), interrupt]
    result = atomic(*RETRY, "--yes", "12", "--engine", "http://e:1/", answers=answers)
    assert "atomic bulk abort 01J --engine http://e:1/;" in result.stderr


def test_a_job_that_was_aborted_is_a_failure(atomic: Atomic):
    """By somebody else, or as the engine stopped: exit code 1, and what is left is told."""
    aborted = JOB | {"state": "aborted", "done": 4}
    answers = [answer(WOULD), answer(JOB, 202), answer(aborted)]
    result = atomic(*RETRY, "--yes", "12", answers=answers)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == (
        "retry aborted: 4 of 11 runs; 7 not come to; left alone: 1 it is paused"
    )


def test_a_job_that_is_forgotten_is_told(atomic: Atomic):
    """After 30 days; or by an engine of before jobs were recorded, which has started anew."""
    gone = refusal("not-found", "There is no job '01J'.")
    result = atomic(*RETRY, "--yes", "12", answers=[answer(WOULD), answer(JOB, 202), gone])
    assert result.exit_code == 4
    assert "There is no job '01J'" in result.stderr


def test_urls_are_for_moves(atomic: Atomic, engine: FakeEngine):
    """Needed there, unknown elsewhere, shown before anything is done."""
    move = ("--from", "http://a/v1", "--to", "http://a/v2")
    result = atomic("bulk", "retarget", *RETRY[2:], *move, "--dry-run", answers=[answer(WOULD)])
    assert "  http://a/v1 -> http://a/v2" in result.stdout.splitlines()
    sent: Any = engine.body()
    assert (sent["from"], sent["to"]) == ("http://a/v1", "http://a/v2")
    assert atomic("bulk", "retarget", *RETRY[2:]).exit_code == 2
    assert atomic(*RETRY, *move).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("bulk", "retry"),
        ("bulk", "rerun", "--filter", "is:failed"),
        (*RETRY, "--rate", "0"),
        (*RETRY, "--rate", "1001"),
        (*RETRY, "--yes", "-1"),
        (*RETRY, "--dry-run", "--yes", "1"),
        ("bulk", "abort", "."),
        ("bulk", "follow", ""),
        ("bulk", "show", ".."),
        ("bulk", "list", "--limit", "501"),
        (*RETRY, "--first", "0"),
        (*RETRY, "--first", "1001"),
        ("bulk", "cancel", "--filter", "is:live", "--first", "1"),
    ],
)
def test_what_makes_no_sense_is_refused(atomic: Atomic, engine: FakeEngine, arguments: Any):
    """Before the engine is asked."""
    result = atomic(*arguments)
    assert (result.exit_code, engine.requests) == (2, [])


@pytest.mark.parametrize("rate", ["1", "1000"])
def test_the_rates_that_there_are(atomic: Atomic, engine: FakeEngine, rate: str):
    """At both ends."""
    assert atomic(*RETRY, "--rate", rate, "--dry-run", answers=[answer(WOULD)]).exit_code == 0
    assert engine.body()["ratePerS"] == int(rate)


def test_a_wrong_filter_is_marked(atomic: Atomic):
    """As of `atomic runs`."""
    told = refusal("invalid-request", "`q`: no.", member="q", position=3)
    result = atomic(*RETRY, answers=[told])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-2:] == ["  is:failed", "     ^"]


def test_jobs_are_listed(atomic: Atomic):
    """The latest first, with who began them; what others wrote cannot drive the terminal."""
    jobs = [JOB | {"q": "x\x1b", "done": 4}, DONE | {"actor": None}]
    result = atomic("bulk", "list", answers=[answer({"jobs": jobs})])
    head, first, second = result.stdout.splitlines()
    assert head.split()[:4] == ["STATE", "JOB", "ACTION", "DONE"]
    assert first.split()[:6] == ["running", "01J", "retry", "4", "of", "11"]
    assert first.endswith("ada@laptop  2026-11-23 12:00:00Z  x\\u001b")
    assert "  ?  " in second
    assert result.stderr == "2 jobs\n"
    assert atomic("bulk", "list", answers=[answer({"jobs": []})]).stdout == ""


def test_a_job_is_followed_and_ended(atomic: Atomic, engine: FakeEngine):
    """By its id."""
    result = atomic("bulk", "follow", "01J", answers=[answer(JOB), answer(DONE)])
    assert result.stdout.startswith("retry done: 10 of 11 runs")
    result = atomic("bulk", "abort", "01J", answers=[answer(JOB | {"done": 4}, 202)])
    assert result.stdout.startswith("retry running: 4 of 11 runs")
    assert engine.requests[-1].url.path == "/api/v1/bulk/01J/abort"
