"""A store beside a real engine: it is told the engine's own event frames and its own trees."""

from __future__ import annotations

import msgspec

from engine import wire
from engine.front.api.events import event_frame
from engine.front.show.rows import run_row, step_row
from engine.front.show.times import rfc3339
from engine.store.sqlite.views.views import SqliteViews
from tests.tui.support import store_at
from tests.world import EPOCH_MS, World
from tui.data.inputs import EventRead, TreeRead

FILE = "file"
PAGE = 100


def event_read(frame: bytes) -> EventRead:
    """A frame of the stream as the client reads it."""
    lines = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
    return EventRead(lines["id"], lines["event"], msgspec.json.decode(lines["data"]))


class Mirror:
    """Follows an engine as a dashboard does, a step at a time."""

    def __init__(self, world: World) -> None:
        self._views = SqliteViews(world.store)
        self._at = 0
        self.store = store_at()
        self.inputs: list[EventRead | TreeRead] = []

    def take(self, read: EventRead | TreeRead) -> None:
        """Give the store something."""
        self.inputs.append(read)
        self.store.apply(read)

    async def follow(self, most: int = PAGE) -> int:
        """Give the store the next events; returns how many there were."""
        records = await self._views.events(self._at, most)
        for record in records:
            self._at = record.seq
            self.take(event_read(event_frame(FILE, record)))
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
