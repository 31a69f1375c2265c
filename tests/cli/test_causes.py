"""`atomic causes`: why runs need a person."""

from __future__ import annotations

import json

import httpx

from tests.client.fake_engine import Atomic, FakeEngine, answer

AT = {
    "stepId": "01A-1", "name": "charge", "url": "http://app/charge", "status": "failed",
    "attempts": 1, "failures": 1, "retriesMax": 0,
}  # fmt: skip
CAUSE = {
    "cause": "92d9401c", "runs": 1_060, "newRuns": 2, "firstAt": "2026-11-23T12:00:00.000Z",
    "lastAt": "2026-11-23T12:00:14.000Z", "runId": "01A", "workflowName": "order",
    "status": "failed", "at": AT, "pattern": "order * not found",
    "reason": {"stepId": "01A-1", "stepName": "charge", "httpStatus": 402,
               "error": "http-status: answered 402", "excerpt": "order 17 not found"},
}  # fmt: skip


def found(*causes: dict[str, object]) -> httpx.Response:
    return answer({"causes": causes, "runs": 1_060, "newWithinMs": 300_000})


def test_a_cause_is_told_by_its_latest_run_and_by_what_all_have_in_common(atomic: Atomic):
    """Which is left out where it is the same, and where words do not count."""
    same = CAUSE | {"pattern": "order 17 not found"}
    paused = CAUSE | {"status": "paused", "pattern": None}
    bare = CAUSE | {"at": None, "reason": None, "pattern": None}
    result = atomic("causes", answers=[found(CAUSE, same, paused, bare)])
    why = "HTTP 402 order 17 not found"
    head, first, more, *others = result.output.splitlines()
    assert head.split() == ["RUNS", "NEW", "CAUSE", "WORKFLOW", "STEP", "LAST"]
    assert first.split()[:5] == ["1,060", "2", "92d9401c", "order", "charge"]
    assert first.endswith(f"2026-11-23 12:00:14Z  {why}")
    assert more == "    all of them: order * not found"
    ends = [line.split("Z  ")[1] for line in others[:3]]
    assert ends == [why, f"paused after {why}", "failed"]
    assert others[3] == "1,060 runs, 4 causes"


NOTE = {"at": "2026-11-23T12:00:14.000Z", "actor": "ada", "text": "vendor\x1b informed"}
WRITTEN = "note 2026-11-23 12:00:14Z by ada: vendor\\u001b informed"


def test_notes_stand_below_their_cause(atomic: Atomic):
    """And what is in them does nothing to the terminal."""
    told = atomic("causes", answers=[found(CAUSE | {"notes": [NOTE]})]).output
    assert told.splitlines()[2:4] == ["    all of them: order * not found", f"    {WRITTEN}"]


def test_a_note_is_written_and_taken_back(atomic: Atomic, engine: FakeEngine):
    """By whom, of what, and which."""
    of = ("note", "92d9401c", "--text", "so", "--as", "ada")
    assert atomic("causes", *of, answers=[answer(NOTE)]).output == f"{WRITTEN}\n"
    asked = engine.requests[-1]
    assert (asked.url.path, json.loads(asked.content)) == (
        "/api/v1/causes/92d9401c/notes", {"text": "so"},
    )  # fmt: skip
    assert asked.headers["atomic-actor"] == "ada"
    taken = atomic("causes", "unnote", "92d9401c", "2", answers=[answer(NOTE)])
    assert taken.output == f"taken back: {WRITTEN}\n"
    assert engine.requests[-1].url.path == "/api/v1/causes/92d9401c/notes/2/remove"


def test_nothing_needs_a_person(atomic: Atomic):
    """Then there is no table."""
    none = answer({"causes": [], "runs": 0, "newWithinMs": 300_000})
    assert atomic("causes", answers=[none]).output == "0 runs, 0 causes\n"


def test_as_json(atomic: Atomic):
    """As it was answered."""
    (told,) = json.loads(atomic("causes", "--json", answers=[found(CAUSE)]).stdout)["causes"]
    assert CAUSE.items() <= (told | {"at": AT, "reason": CAUSE["reason"]}).items()


DISMISSED = {
    "at": "2026-11-23T12:00:20.000Z", "actor": "ana", "reason": "ticket\x1b 4711",
    "cameAgain": False,
}  # fmt: skip
TOLD = "dismissed 2026-11-23 12:00:20Z by ana: ticket\\u001b 4711"
AGAIN = "came again after ana dismissed it 2026-11-23 12:00:20Z: ticket\\u001b 4711"


def test_what_is_dismissed_is_counted_and_what_came_again_is_called_so(
    atomic: Atomic, engine: FakeEngine
):
    """How to see the others stands there, and they are asked for."""
    again = CAUSE | {"dismissal": DISMISSED | {"cameAgain": True}, "pattern": None}
    hidden = {"causes": [again], "runs": 1_060, "newWithinMs": 300_000, "dismissedCauses": 1,
              "dismissedRuns": 2}  # fmt: skip
    told = atomic("causes", answers=[answer(hidden)]).output.splitlines()
    assert told[2:] == [
        f"    {AGAIN}",
        "1,060 runs, 1 cause; dismissed: 2 runs, 1 cause (--dismissed lists them too)",
    ]
    assert not engine.requests[-1].url.params
    listed = hidden | {"causes": [again, CAUSE | {"dismissal": DISMISSED}]}
    told = atomic("causes", "--dismissed", answers=[answer(listed)]).output.splitlines()
    assert told[-2:] == [
        f"    {TOLD}", "1,060 runs, 2 causes; of these dismissed: 2 runs, 1 cause",
    ]  # fmt: skip
    assert dict(engine.requests[-1].url.params) == {"dismissed": "true"}


def test_a_cause_is_dismissed_and_put_back(atomic: Atomic, engine: FakeEngine):
    """By whom, why; what came meanwhile is said."""
    of = ("92d9401c", "--reason", "so", "--as", "ana")
    assert atomic("causes", "dismiss", *of, answers=[answer(DISMISSED)]).output == f"{TOLD}\n"
    asked = engine.requests[-1]
    assert (asked.url.path, json.loads(asked.content)) == (
        "/api/v1/causes/92d9401c/dismiss", {"reason": "so"},
    )  # fmt: skip
    assert asked.headers["atomic-actor"] == "ana"
    again = answer(DISMISSED | {"cameAgain": True})
    assert atomic("causes", "dismiss", *of, answers=[again]).output == f"{AGAIN}\n"
    taken = atomic("causes", "undismiss", "92d9401c", answers=[answer(DISMISSED)])
    assert taken.output == f"back on the list: {TOLD}\n"
    assert engine.requests[-1].url.path == "/api/v1/causes/92d9401c/undismiss"
