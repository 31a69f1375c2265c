"""What became of a run is told as it is: gone, as it stands, and how long it took."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.wire import Problem
from tests.cli.tree import DONE, TREE
from tests.client.fake_engine import RUN, STEP, Atomic, FakeEngine, answer, refusal

GONE = {"runId": "01Z", "client": "shop", "workflowName": "createUser", "idempotencyKey": "k",
        "runStatus": "failed", "submittedAt": "2026-10-01T12:00:00.000Z",
        "finishedAt": "2026-10-02T12:00:00.000Z"}  # fmt: skip
NONE = {"runs": [], "total": 0, "totalIsEstimate": False}
BY_KEY = ("--workflow", "createUser", "--key", "k")


def test_a_run_that_retention_removed_is_found_by_its_key(atomic: Atomic, engine: FakeEngine):
    """The engine is asked for it by its id, and says what became of it. Where there is a run with
    that key, that one is meant; of several that are gone somebody has to say whose."""
    refused = refusal(Problem.OUTCOME_EXPIRED, "The run 01Z … was removed.")
    told = atomic("show", *BY_KEY, answers=[answer(NONE | {"expired": [GONE]}), refused])
    assert (told.exit_code, engine.requests[1].url.path) == (4, "/api/v1/runs/01Z")
    assert "The run 01Z … was removed (410 outcome-expired)" in told.stderr
    both = {"runs": [RUN], "total": 1, "totalIsEstimate": False, "expired": [GONE]}
    assert atomic("show", *BY_KEY, answers=[answer(both), answer(TREE)]).exit_code == 0
    assert engine.requests[-1].url.path == f"/api/v1/runs/{RUN['id']}"
    two = NONE | {"expired": [GONE, GONE | {"runId": "01Y", "client": "cafe"}]}
    told = atomic("show", *BY_KEY, answers=[answer(two)])
    assert told.exit_code == 4
    assert "Clients shop and cafe each had a run of workflow createUser with key k" in told.stderr


def test_a_list_by_key_says_what_went(atomic: Atomic):
    """Beside its count; who reads JSON has the rows."""
    gone = GONE | {"removedAt": "2026-11-01T12:00:00.000Z"}
    page = answer(NONE | {"expired": [gone, GONE | {"idempotencyKey": "\x1b"}]})
    assert atomic("runs", "--key", "k", answers=[page]).stderr.splitlines() == [
        "0 of 0 runs",
        "removed by retention 2026-11-01 12:00:00Z: 01Z, client shop, workflow createUser, key k:"
        " failed 2026-10-02 12:00:00Z",
        "removed by retention: 01Z, client shop, workflow createUser, key \\u001b:"
        " failed 2026-10-02 12:00:00Z",
    ]
    told = atomic("runs", "--key", "k", "--json", answers=[page])
    assert json.loads(told.stdout)["expired"][0] == gone
    told = atomic("runs", "--key", "k", "--json", answers=[answer(NONE)])
    assert "expired" not in json.loads(told.stdout)


def test_a_dry_run_says_how_the_run_stands(atomic: Atomic):
    """Not how it would: that is called so, and left out where it is the same. An older engine
    tells nothing but how it would."""
    rerun = {"action": "rerun", "dryRun": True, "run": RUN | {"status": "running"}}
    for before, said in (
        ({"statusBefore": "failed"},
         "✗ failed  createUser  01A  rerun: would change 2 steps; the run would be running"),
        ({"statusBefore": "running"}, "▸ running  createUser  01A  rerun: would change 2 steps"),
        ({}, "createUser  01A  rerun: would change 2 steps; the run would be running"),
    ):  # fmt: skip
        would = answer(DONE | rerun | before)
        told = atomic("rerun", "01A", "--step", "index", "--dry-run", answers=[answer(TREE), would])
        assert told.stdout.splitlines()[0] == said


@pytest.mark.parametrize(
    ("opened", "took"),
    [({}, "3.1 s"), ({"openedAt": "2026-11-23T12:00:02.100Z", "generation": 2}, "1 s")],
)
def test_how_long_a_step_took_is_told_of_its_generation(
    atomic: Atomic, opened: dict[str, Any], took: str
):
    """From when it was opened last: what it stood failed in between is none of it."""
    step = STEP | {"endedAt": "2026-11-23T12:00:03.100Z"} | opened
    shown = atomic("show", "01A", answers=[answer(TREE | {"steps": [step]})]).output
    assert shown.rstrip().endswith(f", took {took}")
