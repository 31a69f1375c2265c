"""What waits before anything goes: a clock that may be wrong, and a hold on everything."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.retry import DAY_MS
from engine.core.rules.hold import EVERYTHING, HoldKind
from engine.core.rules.retention import ACTS_AFTER_MS, Retention
from engine.jobs.retention import EVERY_S
from engine.parts import pruning_of
from tests.runs.pruned import MONTH, ONCE, fill, later
from tests.world import EPOCH_MS


async def test_a_clock_far_ahead_waits_too(autojump_clock: object, path: Path) -> None:
    """A day and more after all that was recorded, the clock may be wrong: an hour to see it."""
    async with later(path, 0) as at:
        await at.it.post(key="completes", retry=ONCE)
        await trio.sleep(5)
    async with later(path, 0.5) as at:
        assert at.pruning.acts_at < at.it.engine.clock.steady_ms() + ACTS_AFTER_MS
    async with later(path, 40_000) as at:
        wait_ms = at.pruning.acts_at - at.it.engine.clock.steady_ms()
        assert wait_ms == pytest.approx(ACTS_AFTER_MS, abs=2_000)
    async with later(path, 1) as at:  # it is right again, and the wait does not last a century
        wait_ms = at.pruning.acts_at - at.it.engine.clock.steady_ms()
        assert wait_ms <= ACTS_AFTER_MS


async def test_while_the_clock_may_be_wrong_nobody_has_it_act_sooner(
    autojump_clock: object, path: Path
) -> None:
    """It is said why, until when, and what to do; after a restart, too, for which the recorded is
    no older than the clock. A shorter time alone is no reason, nor is a clock that was set back."""
    minutes = 60_000 / DAY_MS
    await fill(path, "completes")
    async with later(path, 0.5) as at:
        at.pruning.begin("ada")
        assert at.pruning.acts_at <= at.it.engine.clock.steady_ms()
    for start in (40, 40 + 10 * minutes):
        async with later(path, start) as at:
            with pytest.raises(Refused, match=r"clock was 9[456]. hours ahead of all") as refused:
                at.pruning.begin("ada")
            assert refused.value.problem is Problem.NOT_POSSIBLE
            assert "set it and start the engine anew; if it is right, wait until" in str(
                refused.value
            )
            assert at.pruning.acts_at > at.it.engine.clock.steady_ms()
            assert (await at.pruning.plan(MONTH)).runs_go == 1, "a dry run says what would go"
    for start in (40 + 2 * 60 * minutes, 1):  # it was right, and an hour has passed; set right
        async with later(path, start) as at:
            at.pruning.begin("ada")
            assert at.pruning.acts_at <= at.it.engine.clock.steady_ms()


async def test_a_clock_that_is_set_right_while_the_engine_runs_takes_nothing(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the engine's own stays as far ahead as the machine's was at its start."""
    await fill(path, "completes")
    async with later(path, 40) as at:
        clock = at.pruning._clock
        monkeypatch.setattr(clock, "utc_ms", lambda: EPOCH_MS + DAY_MS)
        assert (await at.pruning.plan(MONTH)).runs_go == 0
        await at.prune()
        assert at.pruning.runs_expired == 0


@pytest.mark.parametrize("asks", [False, True])
async def test_while_everything_is_held_nothing_goes_by_itself(
    autojump_clock: object, path: Path, asks: bool
) -> None:
    """As after a restore: whoever looks at the copy finds all of it until it is released. Who asks
    has it removed."""
    config: Any = SimpleNamespace(retention_days=30, keys_kept_days=0)
    await fill(path, "completes")
    async with later(path, 40, Retention()) as at, trio.open_nursery() as nursery:
        engine, clock = at.it.engine, at.pruning._clock
        await engine.hold(HoldKind.ALL, EVERYTHING, None, Actor("ada"))
        pruning = pruning_of(config, at.it.store, engine, clock)  # type: ignore[arg-type]
        nursery.start_soon(pruning.run)
        await trio.sleep(ACTS_AFTER_MS / 1_000 + 2 * EVERY_S)
        assert pruning.runs_expired == 0
        if asks:
            pruning.begin("ada")
        else:
            await engine.release(HoldKind.ALL, EVERYTHING, None, Actor("ada"))
        await trio.sleep(5 if asks else EVERY_S + 5)
        assert pruning.runs_expired == 1
        nursery.cancel_scope.cancel()
