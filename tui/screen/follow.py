"""Follows the engine: with a client from the beginning, or with one that is made when the first
picture is there (to import what it speaks with takes as long as that picture)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from anyio import to_thread

from engine.client import Event
from tui.boards.looking import Looking
from tui.data.feed import Feed, Reporter
from tui.data.inputs import Input as Taken
from tui.data.store import Store

if TYPE_CHECKING:
    from engine.client import AsyncClient


class Following:
    """See the head of this file. `take` is given what was read; `draw_soon` follows what was asked
    for, while events are drawn when their turn comes."""

    def __init__(
        self,
        store: Store,
        reporter: Reporter,
        take: Callable[[Taken], None],
        chance: Callable[[], float],
        draw_soon: Callable[[], None],
        *,
        slow_link: bool = False,
    ) -> None:
        self._store, self._reporter, self._give = store, reporter, take
        self._slow_link = slow_link
        self._chance, self._draw_soon = chance, draw_soon
        self.client: AsyncClient | None = None
        self.feed: Feed | None = None

    def speak(self, client: AsyncClient) -> None:
        """From now on the engine is asked with this client."""
        self.client = client

    def follow(self, client: AsyncClient) -> Feed:
        """And followed, as soon as the feed runs."""
        self.speak(client)
        self.feed = Feed(
            client, self._store, self._take,
            chance=self._chance, reporter=self._reporter, slow_link=self._slow_link,
        )  # fmt: skip
        return self.feed

    async def connect(self, connects: Callable[[], AsyncClient], looking: Looking) -> None:
        """Make the client beside the screen, and follow its engine until cancelled."""
        feed = self.follow(await to_thread.run_sync(connects))
        feed.open(looking.open_run_id)
        feed.show(looking.board)
        await feed.run()

    def _take(self, taken: Taken) -> None:
        self._give(taken)
        if not isinstance(taken, Event):
            self._draw_soon()
