"""Somebody who holds a client, a workflow or a host now and then, and releases it again.

    R30  an attempt started under a hold        (from the moment it was asked for, once it is told)
    R31  a hold that was released does not end  (nothing waits any more, and it is still there)

That all ends afterwards, and that no outcome is lost, the other rules say.
"""

from __future__ import annotations

from random import Random

import trio
from msgspec import Struct

from engine.core.errors import Refused
from engine.core.events import Actor
from engine.core.rules.hold import Hold, HoldKind, covers
from tests.simulation.life import Died, Life
from tests.simulation.net import Net
from tests.simulation.programs import HOSTS
from tests.simulation.records import Start

BRAKE = Actor("brake")
NAMES = (
    (HoldKind.CLIENT, "shop"),
    (HoldKind.CLIENT, "bank"),
    (HoldKind.WORKFLOW, "flow"),
    *((HoldKind.HOST, host) for host in HOSTS),
    *((HoldKind.HOST, host.partition(":")[0]) for host in HOSTS),
)
RATES = (None, None, 1, 20)


class Held(Struct):
    """A hold, from its first word to the first word of its release, in the journal's numbers."""

    hold: Hold
    behind: int
    """The last event that was written when it was asked for."""
    until: int | None = None
    """The last event that was durable when its release was asked for; None: it was not."""


class Holds:
    """The holds of one world."""

    def __init__(self, net: Net, rng: Random) -> None:
        self._net, self._rng = net, rng
        self.found: list[Held] = []
        """Those that were told to be durable."""

    async def operate(self) -> None:
        """Hold and release now and then, until cancelled."""
        while True:
            await trio.sleep(self._rng.random() * 20)
            kind, name = self._rng.choice(NAMES)
            if self._open(kind, name) or self._rng.random() < 0.3:
                await self._release(kind, name, self._rng.choice(RATES))
            else:
                await self._hold(kind, name)

    def _open(self, kind: HoldKind, name: str) -> list[Held]:
        return [it for it in self.found if it.hold.key == (kind, name) and it.until is None]

    async def _hold(self, kind: HoldKind, name: str) -> None:
        life = self._net.life
        if life is None or life.engine is None:
            return
        behind = life.engine.store.writer.written  # type: ignore[attr-defined]  # SQLite's
        place = self._net.history.place()
        try:
            with trio.CancelScope() as life.requests[place]:
                held = await life.engine.hold(kind, name, None, BRAKE)
                if not life.dead:
                    self._net.history.note("act:hold")
                    self.found.append(Held(held, behind))
                    life.promised()
        except (Died, Refused):
            pass
        finally:
            del life.requests[place]

    async def _release(self, kind: HoldKind, name: str, rate: int | None) -> None:
        life = self._net.life
        if life is None or life.engine is None:
            return
        for it in self._open(kind, name):
            it.until = life.engine.store.last_seq  # type: ignore[attr-defined]  # SQLite's
        place = self._net.history.place()
        try:
            with trio.CancelScope() as life.requests[place]:
                await life.engine.release(kind, name, rate, BRAKE)
                if not life.dead:
                    self._net.history.note("act:release")
                    life.promised()
        except (Died, Refused):
            pass
        finally:
            del life.requests[place]

    async def release_all(self) -> None:
        """When nothing goes wrong any more: whatever is held, also by a word that died unsaid."""
        while True:
            life = self._net.life
            if life is not None and life.engine is not None:
                held = [it for it in life.engine.holds.all if it.released_at is None]
                if not held:
                    return
                for it in held:
                    await self._release(*it.key, self._rng.choice(RATES))
            await trio.sleep(1)

    def check(self, started: list[Start], life: Life) -> None:
        """R30 and R31, when all is over."""
        for start in started:
            what = (start.client, start.workflow, start.url)
            for it in self.found:
                within = start.seq > it.behind and (it.until is None or start.seq <= it.until)
                if within and covers(it.hold, *what):
                    self._net.history.fail("R30", f"{it.hold.text} was held, and {start}")
        if life.engine is not None and life.engine.holds.all:
            left = [it.text for it in life.engine.holds.all]
            self._net.history.fail("R31", f"still there: {', '.join(left)}")
