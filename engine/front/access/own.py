"""What a token that is bound to one client may see: the runs of that client, and no others.

Another client's run is refused as one that there is not, in the same words: whoever asks learns
nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.core.errors import Refused
from engine.core.model import run_of
from engine.front.access.who import Who
from engine.ports.views import Views

AtHand = Callable[[str], str | None]
"""Whose run in memory that is; None: it is not there."""


async def check_own(who: Who, id: str, unknown: Refused, at_hand: AtHand, views: Views) -> None:
    """Raises `unknown` for the run or step of another client, if the token is bound to one.

    What there is not passes: whoever looks for it says so.
    """
    if who.client is None:
        return
    run_id = run_of(id)
    if at_hand(run_id) == who.client:
        return
    if await views.client_of(run_id) not in (who.client, None):
        raise unknown
