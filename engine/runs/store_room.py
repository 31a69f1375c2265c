"""Room in the store: `store_bytes_max`. What has begun goes on; what would begin is refused.

Nothing is removed to make room: only what retention says goes, when its time has come.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from engine.core.errors import Refused
from engine.ports.store import Store

EVERY_S = 1.0
"""How often it is looked at: what comes within a second may be above the limit."""
WARNED_PART = 0.8
"""Of the limit, from which on the log warns."""
WELL_PART = 0.75
"""Below it the warning is over, and may come again."""


class StoreRoom:
    """What is used of the room that there is. `warn`: the log."""

    def __init__(self, store: Store, bytes_max: int, warn: Callable[..., None]) -> None:
        """`bytes_max` 0: there is no limit, and `run` is not called."""
        self._store, self._warn = store, warn
        self.bytes_max = bytes_max
        self.bytes_used = 0
        """As of the last look."""
        self.is_full = False
        self.is_filling = False
        """It was 80 % of the limit, and has not been below 75 % since."""

    async def run(self) -> None:
        """Look again and again. For an engine that has a limit."""
        while True:
            await self.look()
            await trio.sleep(EVERY_S)

    async def look(self) -> None:
        """See how much is used."""
        try:
            self.bytes_used = await self._store.bytes_used()
        except Refused:  # it cannot be read there, as the log says
            return
        was_full, self.is_full = self.is_full, self.bytes_used >= self.bytes_max
        if self.is_full != was_full:
            if self.is_full:
                self._say("store-full")
            else:
                self._say("store-has-room")
            self.is_filling = True
        elif not self.is_filling and self.bytes_used >= WARNED_PART * self.bytes_max:
            self.is_filling = True
            self._say("store-fills")
        elif self.bytes_used < WELL_PART * self.bytes_max:
            self.is_filling = False

    def _say(self, event: str) -> None:
        self._warn(event, bytes_used=self.bytes_used, store_bytes_max=self.bytes_max)
