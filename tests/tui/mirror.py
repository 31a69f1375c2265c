"""A store beside a real engine: it is told the engine's own event frames and its own trees."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import trio

from engine import wire
from engine.core.errors import Refused
from engine.core.events import Actor
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.hold import HoldKind
from engine.core.rules.repair import Given
from engine.core.text.times import rfc3339
from engine.front.api.events import event_frame
from engine.front.show.digests import Digests
from engine.front.show.rows import run_row, step_row
from engine.ports.caller import Invocation
from engine.runs.open.callers import Recorded, Wait
from engine.store.tables.views.views import TableViews
from engine.wire.events import Event, read_event
from tests.simulation.determinism import run_seeded
from tests.tui.support import store_at
from tests.world import EPOCH_MS, FakeClock, World, ok, still_open, world
from tui.data.inputs import TreeRead

FILE = "file"
PAGE = 100


def event_read(frame: bytes) -> Event:
    """A frame of the stream as the client reads it."""
    lines = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
    return read_event(lines["id"], lines["event"], lines["data"])


class Mirror:
    """Follows an engine as a dashboard does, a step at a time."""

    def __init__(self, world: World) -> None:
        self._views = TableViews(world.store)
        self._at = 0
        self.store = store_at()
        self.inputs: list[Event | TreeRead] = []

    def take(self, read: Event | TreeRead) -> None:
        """Give the store something."""
        self.inputs.append(read)
        self.store.apply(read)

    async def follow(self, most: int = PAGE) -> int:
        """Give the store the next events; returns how many there were."""
        records = await self._views.events(self._at, most)
        for record in records:
            self._at = record.seq
            self.take(event_read(event_frame(FILE, record, Digests(b""))))
        return len(records)

    async def follow_all(self) -> None:
        """Give the store every event that there is."""
        while await self.follow():
            pass

    async def tree(self, run_id: str) -> TreeRead:
        """What the engine would answer when it is asked for a run."""
        found = await self._views.tree(run_id)
        assert found is not None
        record, steps, attempts = found
        rows = tuple(step_row(s, [a for a in attempts if a.step_id == s.id]) for s in steps)
        return TreeRead(wire.RunTree(run_row(record), rows, rfc3339(EPOCH_MS)))


STEP = "http://app:9000/workflows/w/steps/"
ASYNC = Wait(prefer_ms=0)
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
    step_id = None if action in (Action.DISMISS, Action.UNDISMISS) else flow.random.choice(steps)
    given = None
    if action in (Action.SET_RESULT, Action.SKIP):
        given = Given(204, b"digest")
    elif action is Action.RERUN and flow.random.random() < 0.5:
        step_id, given = None, Given(0, b"digest", data=b"1")
    with suppress(Refused):
        await it.act(run_id, action, step_id=step_id, reason="so", given=given)


def brake(it: World, chance: float) -> None:
    """Now and then everything is held for a while."""
    holds, what, ada = it.engine.holds, (HoldKind.WORKFLOW, "w"), Actor("ada")
    held = holds.get(what)
    if chance < 0.15 and held is None:
        holds.hold(*what, None, ada, it.engine.clock.steady_ms())
    elif chance > 0.5 and held is not None and held.released_at is None:
        holds.release(*what, None, ada, it.engine.clock.steady_ms())


def watched(path: Path, seed: int) -> tuple[Mirror, TreeRead]:
    """A run that is operated and followed to its rest; and what the engine says of it then.
    One seed, one schedule: what comes in the same moment comes in the same order each time.

    Trees are read now and then, and given to the store late: events are ahead of them.
    """
    return run_seeded(seed, partial(_watched, path, seed))


async def _watched(path: Path, seed: int) -> tuple[Mirror, TreeRead]:
    flow, holding = Flow(seed), Random(f"{seed} holds")
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
            brake(it, holding.random())
            await mirror.follow(flow.random.randrange(1, 12))
            if late and flow.random.random() < 0.5:
                mirror.take(late.pop(0))
            if flow.random.random() < 0.2:
                late.append(await mirror.tree(run_id))
        brake(it, 1.0)
        await trio.sleep(300)
        await mirror.follow_all()
        return mirror, await mirror.tree(run_id)
