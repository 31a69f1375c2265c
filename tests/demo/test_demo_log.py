"""The lines of `atomic demo`: what is said of an event, a plan of faults, an outcome."""

from __future__ import annotations

from typing import Any

import click
import msgspec
import pytest

from demo_app.promised import Row
from demo_app.scenario import Submission, create_user
from engine.cli.demo.log import (
    WIDE_STEPS,
    EventLog,
    effects_table,
    fault_text,
    submission_lines,
    totals_line,
    verdict,
)
from engine.client import Event
from engine.wire.events import read_event

AT = "2026-11-23T12:00:00.000Z"
LATER = "2026-11-23T12:00:01.500Z"


def event(kind: str, step: str = "R-1", at: str = AT, **members: Any) -> Event:
    """An event of the step (`R` is the root) as the engine sends it."""
    stream = "run" if kind == "run-moved" else "step"
    members = {"kind": kind, "runId": "R", "stepId": step, "at": at, **members}
    return read_event("1", stream, msgspec.json.encode(members))


def ended(counts_as: str, state: str, **members: Any) -> Event:
    """An attempt that has ended."""
    return event("attempt-ended", number=3, countsAs=counts_as, state=state, **members)


@pytest.fixture
def log() -> EventLog:
    """A log that has seen a run with one step begin."""
    submission = create_user("key-1", "ada", {"sendEmail": ["404"]})
    log = EventLog({"key-1": submission})
    root = {"workflow": "createUser", "key": "key-1", "name": "index", "stepKey": "http://app/i"}
    assert log.line(event("accepted", "R", spec=root)) == (
        "12:00:00 key-1       createUser        submitted, 1 step to fail at first"
    )
    step = {
        "workflow": "createUser",
        "key": "key-1",
        "name": "sendEmail",
        "stepKey": "http://app/s",
    }
    assert log.line(event("accepted", spec=step)) is None
    return log


POLICY = {"delayMs": 800, "delayBy": "policy"}
LOST = "connection-lost: 127.0.0.1:1: the peer closed the connection without an answer"
SUSPENDED = "suspended: to be invoked again when a child ends"


@pytest.mark.parametrize(
    ("happened", "text"),
    [
        (ended("success", "completed", httpStatus=200), "✓ completed at try 3"),
        (
            ended("failure", "backing-off", httpStatus=404, **POLICY),
            "try 3 → 404, next in 800 ms (policy)",
        ),
        (
            ended("failure", "backing-off", httpStatus=503, delayMs=2000, delayBy="retry-after"),
            "try 3 → 503, next in 2 s (Retry-After)",
        ),
        (
            ended("failure", "backing-off", error=LOST, **POLICY),
            "try 3 → cut off, next in 800 ms (policy)",
        ),
        (
            ended("failure", "failed", httpStatus=402, error="http-status: answered 402"),
            "try 3 → 402, ✗ failed",
        ),
        (
            ended("crash", "backing-off", error="interrupted: the engine crashed", delayMs=200),
            "try 3 → engine crash, next in 200 ms",
        ),
        (
            ended("interruption", "waiting", httpStatus=503, error=SUSPENDED),
            "try 3 suspended until a step ends",
        ),
        (ended("interruption", "waiting", error=f"interrupted: {LOST}"),
         "try 3 → cut off, waits for a step"),
        (event("paused", reason="operator"), "◫ paused (operator)"),
        (event("resumed"), "resumed"),
        (event("cancelled"), "⊘ cancelled"),
        (event("acted", action="retry"), "an operator's retry"),
    ],
)  # fmt: skip
def test_an_event_worth_reading_has_a_line(log: EventLog, happened: Event, text: str) -> None:
    """Time, the run's key, the step indented below its workflow, what has happened."""
    line = log.line(happened)
    assert line is not None
    assert click.unstyle(line) == f"12:00:00 key-1         sendEmail       {text}"


@pytest.mark.parametrize(
    "happened",
    [
        event("started", number=1),
        event("attempt-ended", "R", number=1, countsAs="success", state="completed"),
        event("run-moved", "R", state="backing-off"),
        event("news-of-a-later-engine"),
    ],
)
def test_the_others_have_none(log: EventLog, happened: Event) -> None:
    """Starts, a root's success (the run's own line says it), passing states, unknown kinds."""
    assert log.line(happened) is None


def test_a_wide_run_has_lines_for_failures_alone(log: EventLog) -> None:
    """A hundred successes would bury the rest; up to WIDE_STEPS each has its line."""
    ok = ended("success", "completed", httpStatus=200)
    said = {}
    for number in range(2, WIDE_STEPS + 4):
        spec = {"workflow": "createUser", "key": "key-1", "name": "s", "stepKey": f"s/{number}"}
        said[number] = log.line(event("accepted", f"R-{number}", spec=spec))
        assert (log.line(ok) is not None) == (number <= WIDE_STEPS), number
    (told,) = [line for line in said.values() if line is not None]
    assert "the 31th step" not in told
    assert "more than 30 steps: from here only failures have lines" in told
    failed = ended("failure", "failed", httpStatus=402, error="http-status: answered 402")
    assert log.line(failed) is not None
    assert log.line(event("run-moved", "R", state="completed")) is not None


def test_a_run_ends_with_how_long_it_took(log: EventLog) -> None:
    """It is open until then, and then to be looked at."""
    assert log.open_runs == 1
    line = log.line(event("run-moved", "R", LATER, state="completed"))
    assert line is not None
    assert click.unstyle(line) == (
        "12:00:01 key-1       createUser        ✓ run completed after 1.5 s"
    )
    assert log.open_runs == 0
    assert [run.key for run in log.completed] == ["key-1"]


def test_a_key_cannot_move_the_cursor(log: EventLog) -> None:
    """What others wrote is made safe."""
    spec = {"workflow": "a\x1b[2J", "key": "\x1b]0;", "name": "index", "stepKey": "http://app/i"}
    line = log.line(event("accepted", "R", spec=spec))
    assert line is not None
    assert "\x1b" not in line


def test_planned_faults_are_told_in_words() -> None:
    """Each step once, the same fault several times as a number."""
    faults = {"sendEmail": ["404", "404", "drop"], "sendAnalytics": ["slow:300"]}
    assert submission_lines(2, create_user("key-1", "ada", faults)) == [
        "\x1b[1m2. createUser, key key-1\x1b[0m",
        "   sendEmail      answers 404, 2 times",
        "                  does its work, then cuts the connection",
        "   sendAnalytics  takes 300 ms",
    ]
    assert fault_text("retry-after:1") == "answers 503 with Retry-After: 1"
    assert fault_text("hang") == "never answers"


def test_effects_are_summed_by_workflow() -> None:
    """Runs and parcels are added up, and each workflow is named once."""
    rows = [
        Row("placeOrder", "k1", "bookCarrier/1", 1, 1),
        Row("createUser", "k2", "sendEmail", 1, 1),
        Row("placeOrder", "k3", "bookCarrier/2", 1, 0),
        Row("placeOrder", "k3", "confirmOrder", 0, 1),
    ]
    assert effects_table(rows, by_run=False) == [
        "WORKFLOW    EFFECT        PROMISED  COUNTED",
        "placeOrder  bookCarrier          2        1  1 LOST",
        "            confirmOrder         0        1  1 DOUBLED",
        "createUser  sendEmail            1        1",
    ]


@pytest.mark.parametrize(
    ("counted", "unexpected", "well", "last"),
    [
        (1, [], True, "no effect lost, none doubled"),
        (0, [], False, "1 effect lost, 0 doubled"),
        (4, [], False, "0 effects lost, 3 doubled"),
        (1, ["createUser, key k: failed"], False,
         "no effect lost, none doubled; 1 run not as expected"),
    ],
)  # fmt: skip
def test_the_verdict_is_good_only_if_all_agree(
    counted: int, unexpected: list[str], well: bool, last: str
) -> None:
    """Lost, doubled and unexpected ends each spoil it, and the last line says which."""
    found, lines = verdict([Row("createUser", "k", "sendEmail", 1, counted)], unexpected)
    assert found is well
    assert lines[:-1] == unexpected
    assert last in lines[-1]


def test_totals_name_the_completed_first() -> None:
    """States without runs are left out."""
    line = totals_line({"pending": 0, "running": 2, "completed": 1200}, 5400, 0, 0, 1)
    assert "runs: 1,200 completed, 2 running -- effects: 5,400, 0 lost, 0 doubled -- 1 mail" in line


@pytest.mark.parametrize(
    ("expect", "response", "met"),
    [
        ("created", {"userId": 1, "userName": "ada"}, True),
        ("created", {"userName": "ada"}, False),
        ("declined", {"status": "declined"}, True),
        ("confirmed", {"status": "declined"}, False),
        ("confirmed", None, False),
    ],
)
def test_a_response_is_held_against_what_is_expected(expect: str, response: Any, met: bool) -> None:
    """The seed's workflow answers with the user, the others with a status."""
    submission = Submission("createUser", "/i", "/users", "k", {}, expect)
    assert submission.met_by(response) is met
