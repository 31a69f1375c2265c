"""What a token that is bound to one client may see: the runs of that client, and no others.

Another client's run is refused as one that there is not, in the same words: whoever asks learns
nothing of it.
"""

from __future__ import annotations

from engine.core.errors import Refused
from engine.core.model import run_of
from engine.front.access.who import Who
from engine.front.api.context import Front


async def check_own(front: Front, who: Who, id: str, unknown: Refused) -> None:
    """Raises `unknown` for the run or step of another client, if the token is bound to one.

    What there is not passes: whoever looks for it says so.
    """
    if who.client is None:
        return
    live = front.engine.memory.live.get(run_of(id))
    if live is not None and live.run.client == who.client:
        return
    if await front.views.client_of(run_of(id)) not in (who.client, None):
        raise unknown
