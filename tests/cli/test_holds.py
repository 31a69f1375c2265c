"""`atomic hold`, `release` and `holds`: what is asked, what is shown, and where else it is said."""

from __future__ import annotations

import json

import pytest

from engine.wire import Problem
from tests.cli.tree import DONE, TREE
from tests.client.fake_engine import RUN, STEP, Atomic, FakeEngine, answer, refusal

AT = "2026-11-23T12:00:00.000Z"
HELD = {"kind": "host", "name": "app:9000", "since": AT, "actor": "ada", "waiting": 1}
HOST = {"host": "app:9000", "ended": 3, "succeeded": 3, "p95Ms": 1, "byMinute": [], "inFlight": 0}
CALLED = answer({"hosts": [HOST | {"queued": 0}]})
LETS_GO = HELD | {"releasedAt": AT, "ratePerS": 1_000, "waiting": 1_200}


def test_a_hold_says_what_and_why(atomic: Atomic, engine: FakeEngine) -> None:
    """Who acts goes along; what others wrote cannot drive the terminal."""
    told = HELD | {"reason": "bad\x1b deploy"}
    command = ("hold", "host", "app:9000", "--reason", "bad", "--as", "ada")
    done = atomic(*command, answers=[answer(told), CALLED])
    shown = done.stdout
    assert done.stderr == ""
    assert shown == (
        "held: host app:9000 since 2026-11-23 12:00:00Z by ada: bad\\u001b deploy; 1 step waiting\n"
    )
    request, _ = engine.requests
    assert request.headers["atomic-actor"] == "ada"
    assert json.loads(request.content) == {"kind": "host", "name": "app:9000", "reason": "bad"}


@pytest.mark.parametrize(("name", "known"), [("app", True), ("app:9000", True), ("smtp:25", False)])
def test_a_host_that_the_engine_does_not_call_is_noted(
    atomic: Atomic, name: str, known: bool
) -> None:
    """The name of what the application calls holds nothing: said, where it would be believed."""
    held = answer(HELD | {"name": name})
    done = atomic("hold", "host", name, answers=[held, CALLED])
    assert (done.exit_code, done.stdout.startswith(f"held: host {name} ")) == (0, True)
    assert ("called no smtp:25 lately" in done.stderr) is not known
    asked = ("hold", "workflow", "w")
    assert atomic(*asked, answers=[answer(HELD | {"kind": "workflow"})]).stderr == ""


def test_a_release_has_a_rate(atomic: Atomic, engine: FakeEngine) -> None:
    """And says how much still waits."""
    shown = atomic("release", "host", "app:9000", "--rate", "1000", answers=[answer(LETS_GO)])
    assert shown.stdout == (
        "released: host app:9000 at 2026-11-23 12:00:00Z, 1,000 a second; 1,200 steps waiting\n"
    )
    assert engine.body() == {"kind": "host", "name": "app:9000", "ratePerS": 1_000}


@pytest.mark.parametrize("rate", ["0", "1001", "x"])
def test_a_rate_has_its_bounds(atomic: Atomic, engine: FakeEngine, rate: str) -> None:
    """1 to 1,000: else nothing is asked."""
    result = atomic("release", "client", "shop", "--rate", rate, answers=[])
    assert (result.exit_code, engine.requests) == (2, [])


def test_what_is_not_held_is_told_in_words(atomic: Atomic) -> None:
    """Exit code 4, as of all that the engine refuses."""
    why = "There is no hold on client shop; `atomic holds` lists them."
    result = atomic("release", "client", "shop", answers=[refusal(Problem.NOT_FOUND, why)])
    assert result.exit_code == 4
    assert why.removesuffix(".") in result.output


def test_holds_are_listed_and_said_with_the_status(atomic: Atomic) -> None:
    """One line each, the same in both; nothing where nothing is held, or an engine says it in
    another way."""
    lines = [
        "held: host app:9000 since 2026-11-23 12:00:00Z by ada; 1 step waiting",
        "released: host app:9000 at 2026-11-23 12:00:00Z, 1,000 a second; 1,200 steps waiting",
    ]
    found = {"holds": [HELD, LETS_GO], "waiting": 1_201}
    assert atomic("holds", answers=[answer(found)]).stdout.splitlines() == lines
    nothing = {"holds": [], "waiting": 0}
    assert atomic("holds", answers=[answer(nothing)]).stdout == "Nothing is held.\n"
    told = {"version": "1", "instance": "i", "counts": {}}
    shown = atomic("status", answers=[answer(told | found)]).stdout
    assert all(f"{line}\n" in shown for line in lines)
    others: tuple[object, ...] = ([], None, "odd", {"kind": 1})
    for holds in others:
        result = atomic("status", answers=[answer(told | {"holds": holds})])
        assert (result.exit_code, "held" in result.stdout) == (0, False)


def test_a_run_says_what_holds_it(atomic: Atomic) -> None:
    """Above its tree, at the step instead of a next try, and below what an action did."""
    without = {"holds": [HELD | {"waiting": None}]}
    step = STEP | {"status": "backing-off", "dueAt": AT, "heldSince": AT, "endedAt": None}
    shown = atomic("show", "01A", answers=[answer(TREE | {"steps": [step]} | without)]).stdout
    line = "held: host app:9000 since 2026-11-23 12:00:00Z by ada"
    assert line in shown.splitlines()
    assert "held since 2026-11-23 12:00:00Z" in shown.splitlines()[-1]
    assert "next try" not in shown
    done = atomic("retry", "01A", answers=[answer(DONE | without, 202)]).output
    assert f"  {line}" in done.splitlines()


def test_everything_is_held_and_released(atomic: Atomic, engine: FakeEngine) -> None:
    """Without a name; and either it or a kind and a name is given."""
    held = HELD | {"kind": "all", "name": "*"}
    result = atomic("hold", "--all", "--reason", "bad", answers=[answer(held)])
    assert result.stdout.startswith("held: everything since ")
    assert json.loads(engine.requests[-1].content) == {"kind": "all", "name": "*", "reason": "bad"}
    result = atomic("release", "--all", answers=[answer(held | {"releasedAt": HELD["since"]})])
    assert result.stdout.startswith("released: everything at ")
    for wrong in (("hold",), ("hold", "client"), ("release", "client", "shop", "--all")):
        assert atomic(*wrong).exit_code == 2


def test_a_list_of_runs_says_what_holds_them(atomic: Atomic) -> None:
    """In the place of a next try that is past, at each run of a client or workflow that is held,
    and below the list whatever is; where all have ended, or an engine does not say, nothing."""
    page = answer({"runs": [RUN], "total": 1, "totalIsEstimate": False})
    holds = [HELD, HELD | {"kind": "workflow", "name": RUN["workflowName"], "waiting": 3}]
    done = atomic("runs", answers=[page, answer({"holds": holds, "waiting": 4})])
    assert done.stdout.rstrip().endswith(f"held: workflow {RUN['workflowName']}")
    assert "next try" not in done.stdout
    assert "held: host app:9000 since 2026-11-23 12:00:00Z by ada; 1 step waiting" in done.stderr
    others = [HELD, HELD | {"kind": "client", "name": "other"}]
    done = atomic("runs", answers=[page, answer({"holds": others, "waiting": 4})])
    assert "next try" in done.stdout
    assert "held" not in done.stdout
    refused = refusal(Problem.FORBIDDEN, "This tells of all clients.")
    done = atomic("runs", answers=[page, refused])
    assert (done.exit_code, "held" in done.output) == (0, False)
    ended = answer({"runs": [RUN | {"endedAt": AT}], "total": 1, "totalIsEstimate": False})
    assert atomic("runs", answers=[ended]).exit_code == 0


def test_a_release_says_what_is_held_still(atomic: Atomic) -> None:
    """A step under two holds waits for both: of `vendor:9000` and `vendor` one is not enough."""
    other = HELD | {"name": "app", "waiting": 60}
    holds = answer({"holds": [other, LETS_GO], "waiting": 60})
    done = atomic("release", "host", "app:9000", answers=[answer(LETS_GO), holds])
    assert done.stdout.startswith("released: host app:9000 ")
    assert done.stderr == (
        "still held: host app since 2026-11-23 12:00:00Z by ada; 60 steps waiting\n"
    )


def test_a_hold_on_a_client_that_nobody_knows_is_noted(atomic: Atomic):
    """A slip of the name holds nothing, and says so; what is known by a run or by its definition
    has no note."""
    held = answer(HELD | {"kind": "client", "name": "shpo"})
    none = answer({"runs": [], "total": 0, "totalIsEstimate": False})
    some = answer({"runs": [RUN], "total": 1, "totalIsEstimate": False})
    defined = answer({"clients": [{"name": "shpo", "targets": [], "privateTargets": False,
                                   "stepsNeedParent": None, "disabled": False, "definedIn": None,
                                   "signingSecrets": 0}]})  # fmt: skip
    asked = ("hold", "client", "shpo")
    for answers, is_noted in (
        ([held, none, answer({"clients": []})], True),
        ([held, none, refusal("forbidden", "It needs the role admin.")], True),
        ([held, none, defined], False),
        ([held, some], False),
    ):
        done = atomic(*asked, answers=answers)
        assert done.exit_code == 0
        assert ("no run of a client shpo is here" in done.stderr) is is_noted
