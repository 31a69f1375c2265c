"""`atomic prune` says how much goes, and when it is over, or where to look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.client.fake_engine import Atomic, FakeEngine, answer

ASKED_AT = "2026-11-23T12:00:00.000Z"
PLAN = {"dryRun": False, "retentionDays": 30, "keysKeptDays": None, "keys": 0,
        "runs": {"completed": 1_200, "failed": 1}, "beginsAt": ASKED_AT}  # fmt: skip
GOES = "goes, beside the engine's work: 1,201 runs (1,200 completed, 1 failed)"


def _pass(runs: int, *, since: str = ASKED_AT, **members: Any) -> dict[str, Any]:
    return {"since": since, "runsExpired": runs, "keysForgotten": 0, "eventsRemoved": 3, **members}


def _status(started_at: str = "2026-11-23T11:00:00.000Z", **retention: Any) -> Any:
    days = {"retentionDays": 30, "keysKeptDays": None, "actsAt": None, "runsExpired": 0}
    told = {**days, "keysForgotten": 0, **retention}
    return answer({"startedAt": started_at, "retention": told})


OVER = _pass(1_201, endedAt="2026-11-23T12:00:04.200Z", tookMs=4_200)
BEFORE = _pass(9, since="2026-11-23T11:59:59.999Z", endedAt="2026-11-23T11:59:59.999Z", tookMs=0)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes with each look at it."""

    def seconds() -> Iterator[float]:
        yield from map(float, range(1_000))

    counted = seconds()
    monkeypatch.setattr("engine.cli.access.prune.monotonic", lambda: next(counted))
    monkeypatch.setattr("engine.cli.access.prune.sleep", lambda seconds: None)


def test_what_went_is_told_when_it_is_over(atomic: Atomic, engine: FakeEngine) -> None:
    """Of the look that was asked for: one that was at work before it, or had ended, is none."""
    looks = [_status(), _status(lastPass=BEFORE), _status(lastPass=BEFORE, underWay=_pass(7)),
             _status(lastPass=OVER)]  # fmt: skip
    told = atomic("prune", answers=[answer(PLAN, 202), *looks])
    over = "over: 1,201 runs, 0 keys and 3 events went in 4.2 s"
    assert told.stdout.splitlines() == [GOES, over]
    assert engine.answers == []


def test_a_script_is_not_kept_until_all_has_gone(atomic: Atomic) -> None:
    """It is told how far it is, that it goes on, and who knows more."""
    looks = [_status(underWay=_pass(800))] * 10
    told = atomic("prune", answers=[answer(PLAN, 202), *looks])
    assert told.stdout.splitlines() == [
        GOES,
        "not over: 800 runs, 0 keys and 3 events went so far, of 1,201 runs that go; the engine"
        " goes on by itself, and `atomic status` says how far it is",
    ]


@pytest.mark.parametrize("looks", [[answer({})], [_status("2026-11-23T12:00:00.001Z")]])
def test_of_an_engine_that_was_started_anew_nothing_is_claimed(
    atomic: Atomic, looks: list[Any]
) -> None:
    """Nor is the answer to what was asked taken back: it goes on with the rest by itself."""
    told = atomic("prune", answers=[answer(PLAN, 202), *looks])
    assert told.stdout.splitlines()[1].startswith("not over: the engine goes on by itself")
    assert told.exit_code == 0


@pytest.mark.parametrize(
    ("options", "members"),
    [(("--json",), {}), (("--dry-run",), {"dryRun": True}), ((), {"dryRun": False})],
)
def test_otherwise_nothing_is_waited_for(
    atomic: Atomic, options: tuple[str, ...], members: dict[str, Any]
) -> None:
    """A dry run has nothing to wait for, who reads JSON asks for more, an older engine knows
    nothing."""
    plan = {**PLAN, **members}
    if members:
        del plan["beginsAt"]
    told = atomic("prune", *options, answers=[answer(plan, 202)])
    assert (told.exit_code, told.stderr) == (0, "")


def test_the_status_says_how_far_it_is_and_what_went_last(atomic: Atomic) -> None:
    """And why it was given up."""
    failed = {**OVER, "error": "The database cannot be read."}
    told = atomic("status", answers=[_status(underWay=_pass(1), lastPass=failed)])
    assert told.stdout.splitlines()[-2:] == [
        "pruning since 2026-11-23 12:00:00Z: 1 run, 0 keys and 3 events went so far",
        "pruned last 2026-11-23 12:00:04Z: 1,201 runs, 0 keys and 3 events went in 4.2 s, then it"
        " was given up: The database cannot be read. The next look goes on, within ten minutes",
    ]
