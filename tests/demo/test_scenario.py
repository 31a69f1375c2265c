"""The seeded scenario and the table of promises: pure functions."""

import ast
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import demo_app
from demo_app.faults import parse_fault
from demo_app.promised import Row, compare, counted, promised
from demo_app.scenario import (
    FOUR_EYES,
    READERS,
    Scenario,
    Submission,
    draw_faults,
    once,
    opening,
)


def effects_of(submission: Submission, **changed: int) -> dict[str, Any]:
    """`/effects` as it would be, each promise kept but for those changed."""
    numbers = {**promised(submission), **changed}
    return {
        "effects": [
            {"key": submission.key, "step": step, "effects": number, "response": {}}
            for step, number in numbers.items()
        ]
    }


def test_scenario_is_a_function_of_its_seed() -> None:
    """Equal seeds give equal streams, also from the middle; another seed another stream."""
    stream = list(islice(Scenario(1), 50))
    assert stream == list(islice(Scenario(1), 50))
    assert Scenario(1).submission(37) == stream[37]
    assert [one.payload for one in islice(Scenario(2), 50)] != [one.payload for one in stream]
    assert len({one.key for one in stream}) == 50


def test_scenario_is_pinned() -> None:
    """The stream is the same on every machine and Python: a change here changes every replay."""
    kinds = "".join(one.workflow[0] for one in islice(Scenario(0), 20))
    assert kinds == "pccppccopcppppccoocc"
    assert draw_faults(0, "s0-000000", "createUser") == []


def test_scenario_has_every_workflow_and_valid_faults() -> None:
    """All workflows and every kind of fault but the crash turn up; every fault exists."""
    stream = list(islice(Scenario(3), 400))
    expected = {one.expect for one in stream}
    assert expected == {"created", "confirmed", "declined", "onboarded"}
    plans = [plan for one in stream for plan in one.payload.get("faults", {}).values()]
    kinds = {parse_fault(fault)[0] for plan in plans for fault in plan}
    assert kinds == {"status", "retry-after", "slow", "drop", "hang"}
    assert max(len(plan) for plan in plans) <= 3


def test_crashes_only_where_asked() -> None:
    """A crash is in the set and the stream only for those who start the application again."""
    assert "crash" not in str(once()) + str(list(islice(Scenario(3), 400)))
    assert once(crashes=True)[1].payload["faults"]["chargeCard"] == ["crash"]
    assert "crash" in str(list(islice(Scenario(3, crashes=True), 400)))


def test_bodies_are_the_same_asked_either_way() -> None:
    """Submitted to the engine or asked of the application: same key, same payload."""
    for submission in once("demo-7"):
        body, front = submission.body("http://app:9000"), submission.front_body()
        assert body["idempotencyKey"] == front.pop("idempotencyKey") == submission.key
        assert body["payload"] == front
        assert body["stepInvokeUrl"].startswith("http://app:9000/workflows/")
        assert body["retry"]["backOff"] == 200
        assert submission.key.startswith("demo-7-")


def test_seed_diagram_is_in_the_fixed_set() -> None:
    """The first of the fixed set has the seed's 404, 404, 404 before the 200."""
    assert once()[0].payload["faults"] == {"sendAnalytics": ["404", "404", "404"]}


def test_the_opening_has_all_there_is_to_see() -> None:
    """A fan-out of 200, failures in it, orders that fail for good for two reasons, one to pause."""
    wide, *people = opening(5)
    assert wide.payload["readers"] == READERS == 200
    assert len(promised(wide)) == 200
    assert not wide.needs_a_person
    assert len(wide.payload["faults"]) > 5
    assert wide.payload["options"]["attemptTimeout"] > wide.payload["spreadMs"]
    plans = [one.payload["faults"] for one in people]
    reasons = [plan[0] for faults in plans for plan in faults.values() if "refuse" in plan[0]]
    assert len(reasons) == len(set(reasons)) == 7
    assert [one.key for one in people if one.key.endswith(FOUR_EYES)] == [people[-1].key]
    assert all(one.needs_a_person and one.expect == "confirmed" for one in people)
    for faults in (wide.payload["faults"], *plans):
        for plan in faults.values():
            assert all(parse_fault(fault) for fault in plan)
    assert opening(5) == opening(5)
    assert {one.key for one in opening(5)}.isdisjoint(one.key for one in opening(6))


def test_lost_and_doubled_are_told() -> None:
    """An effect short is lost, one too many doubled, an unpromised one doubled too."""
    _, order, declined, _ = once()
    rows = compare([order], effects_of(order, **{"bookCarrier/2": 0, "chargeCard": 2}))
    assert {row.effect: (row.lost, row.doubled) for row in rows if row.lost or row.doubled} == {
        "bookCarrier/2": (1, 0),
        "chargeCard": (0, 1),
    }
    rows = compare([declined], effects_of(declined, chargeCard=1))
    assert rows[-1] == Row("placeOrder", declined.key, "chargeCard", 0, 1)
    assert rows[-1].doubled == 1
    assert all(row.lost == 1 for row in compare([order], {"effects": []}))


def test_mail_server_has_the_last_word() -> None:
    """With the mail server's count a mail sent twice shows, though we noted it once."""
    row = {"key": "k", "step": "sendEmail", "effects": 1, "response": {"messageId": "<a@b>"}}
    assert counted({"effects": [row]}, "k") == {"sendEmail": 1}
    assert counted({"effects": [row]}, "k", {"<a@b>": 2}) == {"sendEmail": 2}
    assert counted({"effects": [row]}, "k", {}) == {"sendEmail": 0}
    assert counted({"effects": [row]}, "other") == {}


def test_unknown_workflow_promises_nothing() -> None:
    """A submission of another application is an error, not an empty promise."""
    with pytest.raises(ValueError, match="no workflow 'other'"):
        promised(Submission("other", "/", "/", "k", {}, ""))


def test_application_imports_nothing_of_the_engine() -> None:
    """What a user writes needs HTTP only."""
    files = sorted(Path(str(demo_app.__file__)).parent.glob("**/*.py"))
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file.name} imports relatively"
                names = [node.module or ""]
            roots = {name.partition(".")[0] for name in names}
            assert not roots & {"engine", "tui", "trio"}, f"{file.name} imports {roots}"
