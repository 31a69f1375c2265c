"""Follows the engine: with a client from the beginning, or with one that is made when the first
picture is there (to import what it speaks with takes as long as that picture)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from anyio import to_thread

from tui.feed import Feed
from tui.inputs import EventRead
from tui.inputs import Input as Taken

if TYPE_CHECKING:
    from engine.client import AsyncClient
    from tui.app import Dashboard


class Following:
    """See the head of this file."""

    def __init__(
        self, app: Dashboard, take: Callable[[Taken], None], chance: Callable[[], float]
    ) -> None:
        self._app, self._give, self._chance = app, take, chance

    def follow(self, client: AsyncClient) -> Feed:
        """From now on the engine of this client is followed, as soon as the feed runs."""
        app = self._app
        app.client = client
        app.feed = Feed(client, app.store, self._take, chance=self._chance, reporter=app)
        return app.feed

    async def connect(self, connects: Callable[[], AsyncClient]) -> None:
        """Make the client beside the screen, and follow its engine until cancelled."""
        app = self._app
        feed = self.follow(await to_thread.run_sync(connects))
        feed.open(app.looking.open_run_id)
        app.show_board()
        await feed.run()

    def _take(self, taken: Taken) -> None:
        """What was asked for is drawn as soon as it is there, events when their turn comes."""
        self._give(taken)
        if not isinstance(taken, EventRead) and not self._app.options.slow_link:
            self._app.call_later(self._app.flush)
