"""`atomic limits`: what is asked of the engine, and what is shown."""

from __future__ import annotations

from tests.cli.tree import TREE
from tests.client.fake_engine import STEP, Atomic, FakeEngine, answer

ROW = {
    "kind": "host",
    "name": "app:9000",
    "limits": [
        {"limit": "in_flight_max", "value": None, "setBy": "default"},
        {"limit": "calls_per_s", "value": 0.5, "setBy": "run time\x1b[2J"},
    ],
}
SHOWN = [
    "KIND  NAME      LIMIT          VALUE  SET BY",
    "host  app:9000  in_flight_max  none   default",
    "host  app:9000  calls_per_s    0.5    run time\\u001b[2J",
]


def test_limits_are_shown(atomic: Atomic):
    """Each with where it comes from."""
    shown = atomic("limits", answers=[answer({"limits": [ROW]})])
    assert [line.rstrip() for line in shown.stdout.splitlines()] == SHOWN
    assert '"setBy"' in atomic("limits", "--json", answers=[answer({"limits": [ROW]})]).stdout
    assert "no limits" in atomic("limits", answers=[answer({"limits": []})]).stderr


def test_limits_are_set_and_reset(atomic: Atomic, engine: FakeEngine):
    """Whole numbers as such; what holds then is shown."""
    told = atomic(
        "limits", "set", "host", "app:9000", "calls_per_s=0.5", "in_flight_max=3",
        answers=[answer(ROW)],
    )  # fmt: skip
    assert [line.rstrip() for line in told.stdout.splitlines()] == SHOWN
    assert atomic("limits", "reset", "client", "shop", answers=[answer(ROW)]).exit_code == 0
    values = {"calls_per_s": 0.5, "in_flight_max": 3}
    assert engine.bodies() == [
        {"kind": "host", "name": "app:9000", "set": values},
        {"kind": "client", "name": "shop"},
    ]
    slip = atomic("limits", "set", "host", "app:9000", "calls_per_s=many")
    assert (slip.exit_code, "NAME=NUMBER" in slip.stderr) == (2, True)


def test_the_status_says_what_clients_take(atomic: Atomic):
    """Of the limits that are set; the others are not told."""
    limits = [
        {"limit": "new_runs_per_s", "value": 0.5, "setBy": "a.toml", "used": None},
        {"limit": "open_runs_max", "value": 2000, "setBy": "a.toml", "used": 1000},
        {"limit": "in_flight_max", "value": 2, "setBy": "run time\x1b", "used": 2},
        {"limit": "memory_share", "value": None, "setBy": "default", "used": None},
    ]
    status = {"clients": [{"client": "shop", "limits": limits, "refused": 1}]}
    shown = atomic("status", answers=[answer(status)]).stdout
    assert (
        "shop: new_runs_per_s 0.5 (a.toml), open_runs_max 1,000 of 2,000 (a.toml),"
        " in_flight_max 2 of 2 (run time\\u001b), 1 post refused"
    ) in shown


def test_a_step_that_waits_says_what_for(atomic: Atomic):
    """Once, instead of its next try; of one that is held also since when, by an engine that does
    not say by what too."""

    def shown(**members: object) -> str:
        step = STEP | {"status": "backing-off", "dueAt": "2026-11-23T12:00:14.000Z"} | members
        return atomic("show", "01A", answers=[answer(TREE | {"steps": [step]})]).output

    held = {"heldSince": "2026-11-23T12:00:14.000Z"}
    text = "waits for app:9000: 8 of 8 calls in flight"
    said = shown(waits={"waitsFor": "place", "text": text + "\x1b"})
    assert f"{text}\\u001b" in said
    assert "next try" not in said
    by = shown(**held, waits={"waitsFor": "release", "text": "held by client shop"})
    assert ", held by client shop since 2026-11-23 12:00:14Z" in by
    assert ", held since 2026-11-23 12:00:14Z" in shown(**held)
    turn = shown(**held, waits={"waitsFor": "release", "text": "waits for its turn: h"})
    assert "held since 2026-11-23 12:00:14Z, waits for its turn: h" in turn
