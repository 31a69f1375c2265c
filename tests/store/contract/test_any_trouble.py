"""Lives of an engine on a server in any trouble, by seed: nothing that was told is ever unsaid."""

from __future__ import annotations

from random import Random

import pytest
import trio

from engine.ports.store import StoreStopped
from engine.store.sqlite.store import TableStore
from tests.store.contract.adapters import Crash, InMemory, Trouble, as_recorded, runs_of, told
from tests.store.support import answered, new_run, started

SEEDS = 40
LIVES = 4
EVENTS = 5
"""Of a run that is opened, called and completed."""
ON_THE_WAY = [None, *Trouble]
WEIGHTS = [30, 1, 1, 1, 2]


class Round:
    """One seed: what was told, and what is so in the end."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.shared = InMemory(has_standby=True)
        self.runs: dict[str, object] = {}
        """Those that were acknowledged, as they were then."""
        self.told: dict[int, str] = {}
        """Whose each event was that somebody has heard of."""
        self._keys = 0

    async def live(self) -> None:
        """Open runs and read them, until this life ends by itself or by a crash."""
        try:
            async with self.shared.life() as store:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._trouble)
                    for _ in range(6):
                        await self._work(store)
                    raise Crash
        except* (Crash, StoreStopped):
            pass

    async def _work(self, store: TableStore) -> None:
        self._keys += 1
        run, write = new_run(f"{self._keys:03}")
        store.write(write)
        store.write(started(run, 1))
        receipt = store.write(answered(run, 2))
        with trio.move_on_after(self.random.choice([0, 1, 9])):
            await receipt.wait()
        if receipt.durable:
            self.runs[run.id] = as_recorded(run)
        with trio.move_on_after(5):
            self._hear(await told(store))
            known = self.random.sample(sorted(self.runs), min(3, len(self.runs)))
            found = await store.load_runs(known, 0)
            assert list(map(as_recorded, found)) == [self.runs[run_id] for run_id in known]

    def _hear(self, events: list[tuple[int, str]]) -> None:
        for seq, run_id in events:
            assert self.told.setdefault(seq, run_id) == run_id, f"event {seq} was of another run"

    async def _trouble(self) -> None:
        database, random = self.shared.database, self.random
        while True:
            await trio.sleep(random.random() * 2)
            match random.randrange(7):
                case 0:
                    database.standby_receives(False)
                case 1:
                    database.standby_receives(True)
                case 2:
                    database.primary.end_sessions()
                case 3:
                    database.restart()
                case 4:
                    database.fail_over()
                case 5:
                    await database.bring_late()
                case _:
                    more = random.choices(ON_THE_WAY, WEIGHTS, k=40)
                    database.to_come.extend(more)
            for old in database.old:
                old.end_sessions()

    async def end(self) -> None:
        """All is well again: what is there must be what was told."""
        database = self.shared.database
        database.to_come.clear()
        for server in (*database.old, database.primary):
            server.end_sessions()
        database.standby_receives(True)
        await database.bring_late()
        async with self.shared.life() as store:
            events = await told(store)
            self._hear(events)
            there = runs_of(events)
            assert {seq for seq in self.told if seq > len(events)} == set()
            assert [run_id for run_id in self.runs if there.count(run_id) < EVENTS] == []
            assert max(map(there.count, there), default=0) <= EVENTS, "something happened twice"
            found = await store.load_runs(list(self.runs), 0)
            assert list(map(as_recorded, found)) == list(self.runs.values())


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_nothing_that_was_told_is_unsaid(autojump_clock: None, seed: int) -> None:
    """Events and runs that were acknowledged or read are there in the end: once, as they were, with
    no gap, though statements were lost, late and doubled, servers started anew and gave over."""
    played = Round(seed)
    for _ in range(LIVES):
        await played.live()
    await played.end()
