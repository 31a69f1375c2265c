"""`atomic alerts`: what somebody is told of, and a test that says whether it comes."""

from __future__ import annotations

import json

import httpx
import pytest

from engine.process.exits import EXIT_OPEN, EXIT_REFUSED
from engine.wire import Problem
from tests.cli.tree import TREE
from tests.client.fake_engine import OUTCOME, RUN, Atomic, FakeEngine, answer, refusal

AT = "2026-12-01T03:12:44.120Z"
STATUS = {
    "alerts": {
        "url": "https://pager.example/hook", "rules": ["disk", "failed"], "goingOn": 3,
        "sentInHour": 3, "heldBack": 4, "sent": 9, "delivered": 7, "failed": 1,
        "troubles": [
            {"rule": "disk", "summary": "no room\x1b[2J left.", "since": AT, "count": 1},
            {"rule": "failed", "summary": "A run of w failed.", "since": AT, "count": 1},
        ],
        "lastFailed": {
            "at": "2026-12-01T03:12:44.120Z", "runId": "01A", "why": "no room\x1b[2J",
        },
    },
}  # fmt: skip


def test_what_became_of_alerts(atomic: Atomic) -> None:
    """In the status in one line, and all of it by a command of its own; as JSON too."""
    result = atomic("alerts", answers=[answer(STATUS)])
    assert (result.exit_code, result.stderr) == (0, "")
    first, last, *rest = result.stdout.splitlines()
    assert first == "9 sent since the start, 7 taken, 1 failed, 4 held back by the limit of an hour"
    assert last.startswith("last failed 2026-12-01 03:12:44Z: no room")
    assert "\x1b" not in last
    assert rest == [
        "3 troubles not over, 3 sent within the hour",
        "  since 2026-12-01 03:12:44Z  disk: no room\\u001b[2J left.",
        "  since 2026-12-01 03:12:44Z  failed: A run of w failed.",
        "  and 1 more",
        "to https://pager.example/hook: disk, failed",
    ]
    assert f"alerts: {first}" in atomic("status", answers=[answer(STATUS)]).stdout
    as_json = atomic("alerts", "--json", answers=[answer(STATUS)]).stdout
    assert json.loads(as_json)["sentInHour"] == 3


def test_where_none_are_sent_it_says_so(atomic: Atomic) -> None:
    """The status has no line then."""
    said = atomic("alerts", answers=[answer({})]).stdout
    assert said == "This engine sends no alerts: alerts_url is not set.\n"
    assert "alerts" not in atomic("status", answers=[answer({})]).stdout


def test_a_test_that_comes(atomic: Atomic) -> None:
    """It waits for what the receiver answers."""

    def answers(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return answer({"runId": "01A"}, 202)
        return answer(OUTCOME | {"httpStatus": 204})

    result = atomic("alerts", "test", answers=[answers] * 3)
    assert result.exit_code == 0
    assert result.stdout == "The receiver took it, and answered 204.\n"
    assert result.stderr == "sent as run 01A\n"


@pytest.mark.parametrize(("status", "looks"), [("backing-off", 1), ("paused", 1), ("running", 35)])
def test_a_test_that_nobody_takes(
    atomic: Atomic, engine: FakeEngine, status: str, looks: int
) -> None:
    """It says how the run stands as soon as it was tried, and ends with the code of what is not
    over; while nothing answers it says what it waits for, and for how long at most."""

    def answers(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return answer({"runId": "01A"}, 202)
        if request.url.path.endswith("/outcome"):
            return answer({"id": "01A", "runId": "01A", "status": "backing-off"}, 202)
        return answer(TREE | {"run": RUN | {"status": status}})

    result = atomic("alerts", "test", answers=[answers] * 99)
    assert result.exit_code == EXIT_OPEN, result.output
    assert len(engine.requests) == 1 + 2 * looks
    assert status in result.stdout
    waits = "waiting for the receiver's answer, up to 35 s\n"
    assert result.stderr == (
        f"sent as run 01A\n{waits if looks > 1 else ''}"
        "Nobody has it yet. It is tried again, for a day: atomic show 01A\n"
    )


def test_a_test_that_is_refused(atomic: Atomic) -> None:
    """In the engine's words."""
    refused = refusal(Problem.NOT_POSSIBLE, "This engine sends no alerts.")
    result = atomic("alerts", "test", answers=[refused])
    assert result.exit_code == EXIT_REFUSED
    assert "This engine sends no alerts" in result.stderr
