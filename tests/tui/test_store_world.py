"""A real engine under random failures and a restless operator: what the store has made of the
events is what the engine answers when it is asked.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import trio

from engine.core.errors import Refused
from engine.core.events import Actor
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from engine.runs.open.callers import Recorded, Wait
from tests.tui.mirror import Mirror
from tests.world import FakeClock, World, ok, still_open, world
from tui.data.fold import KINDS
from tui.data.inputs import TreeRead
from tui.data.model import step_of

STEP = "http://app:9000/workflows/w/steps/"
ASYNC = Wait(prefer_ms=0)
SEEDS = range(24)
OPERATED = 40
GENTLE = (Action.RETRY, Action.PAUSE, Action.RESUME)
"""What ends nothing is done more often."""


class Flow:
    """A workflow of two levels whose endpoints fail as a seed has it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world: World | None = None
        self.payload = 0

    def policy(self) -> RetryPolicy:
        return RetryPolicy(count=self.random.randrange(4), back_off_ms=500, max_back_off_ms=4_000)

    async def call(self, call: Invocation) -> Outcome:
        """The application."""
        name = call.url.rpartition("/")[2]
        await trio.sleep(self.random.random() * 2)
        below = {"index": ["a", "b", "c"], "b": ["d", "e"]}.get(name, [])
        for child in below:
            if not await self._post(call, child):
                return Answered(self.random.choice((424, 500)))
        if self.random.random() < 0.4:
            return Answered(503, retry_after_ms=self.random.choice([None, 3_000]))
        return Answered(200, suspend=True) if self.random.random() < 0.1 else ok()

    async def _post(self, call: Invocation, name: str) -> bool:
        assert self.world is not None
        self.payload += self.random.random() < 0.05
        try:
            answer = await self.world.post(
                STEP + name,
                payload=b"%d" % self.payload,
                parent_token=call.parent_token,
                retry=self.policy(),
                wait=ASYNC if self.random.random() < 0.3 else Wait(),
            )
        except Refused:
            return False
        return not isinstance(answer, Recorded) or answer.step.state == "completed"


async def operate(it: World, run_id: str, flow: Flow) -> None:
    """One of an operator's random actions, if it may be done now."""
    live = await it.engine.memory.get(run_id)
    assert live is not None
    actions = [action for action in Action if action is not Action.RETARGET]  # it needs URLs
    action = flow.random.choice([*actions, *GENTLE, *GENTLE])
    steps = [None, *live.run.steps]
    step_id = None if action in (Action.DISMISS, Action.RESTORE) else flow.random.choice(steps)
    with suppress(Refused):
        await it.engine.act(
            run_id,
            action,
            step_id=step_id,
            if_rev=None,
            dry_run=False,
            actor=Actor("ada"),
            reason="so",
        )


async def watched(path: Path, seed: int) -> tuple[Mirror, TreeRead]:
    """A run that is operated and followed to its rest; and what the engine says of it then.

    Trees are read now and then, and given to the store late: events are ahead of them.
    """
    flow = Flow(seed)
    async with world(path, flow.call, clock=FakeClock(seed)) as it:
        flow.world = it
        mirror = Mirror(it)
        run_id = still_open(await it.post(wait=ASYNC, attempt_timeout_ms=20_000)).run_id
        await trio.sleep(0.1)
        mirror.take(await mirror.tree(run_id))
        late: list[TreeRead] = []
        for _ in range(OPERATED):
            await trio.sleep(flow.random.random() * 3)
            if flow.random.random() < 0.7:
                await operate(it, run_id, flow)
            await mirror.follow(flow.random.randrange(1, 12))
            if late and flow.random.random() < 0.5:
                mirror.take(late.pop(0))
            if flow.random.random() < 0.2:
                late.append(await mirror.tree(run_id))
        await trio.sleep(300)
        await mirror.follow_all()
        return mirror, await mirror.tree(run_id)


@pytest.mark.slow
async def test_the_store_after_events_is_the_engine_asked(autojump_clock, tmp_path: Path) -> None:
    """Every step, with every attempt, of every seed: members, order, revision. Of the run what
    events tell: the rest is read with the list. Nothing is left to be read again but dismissals.
    """
    kinds = set()
    for seed in SEEDS:
        mirror, read = await watched(tmp_path / f"{seed}.db", seed)
        store = mirror.store
        (tree,) = store.trees.values()
        asked = {row.id: step_of(row) for row in read.tree.steps}
        for step_id, step in asked.items():
            assert tree.steps[step_id] == step, (seed, step_id)
        assert list(tree.steps) == list(asked), seed
        seen = [event.members for event in store.events]
        if not any("dismissed" in members for members in seen):
            assert not tree.outdated, seed
        if not tree.outdated:
            assert (tree.run.state, tree.run.rev) == (read.tree.run.status, read.tree.run.rev)
            assert store.runs[tree.run.id].rev == tree.run.rev
        assert not tree.under_way
        kinds |= {str(members["kind"]) for members in seen}
    assert kinds == KINDS


@pytest.mark.slow
async def test_missed_events_are_noticed(autojump_clock, tmp_path: Path) -> None:
    """Whichever single event of a step is left out: as soon as the next one of that step comes,
    the store knows that something is missing. (A gap at the end is told by the stream's own ids.)
    """
    mirror, read = await watched(tmp_path / "a.db", 3)
    asked = {row.id: step_of(row) for row in read.tree.steps}
    first = next(i for i in mirror.inputs if isinstance(i, TreeRead))
    events = [i for i in mirror.inputs if not isinstance(i, TreeRead)]
    events = [e for e in events if e.members["kind"] != "run-moved"]
    last = {event.members["stepId"]: at for at, event in enumerate(events)}
    missed = 0
    for gap in set(range(len(events))) - set(last.values()):
        other = Mirror.__new__(Mirror)
        other.inputs, other.store = [], type(mirror.store)(mirror.store.clock)
        other.take(first)
        for event in events[:gap] + events[gap + 1 :]:
            other.take(event)
        other.take(type(events[0])("", "heartbeat", {}))
        (tree,) = other.store.trees.values()
        if tree.steps != asked:
            assert tree.outdated, events[gap].members
            missed += 1
    assert missed > 10
