"""What the steady mix of `atomic demo` begins with, so that all there is to see is there soon.

A fan-out of 200, orders that fail for good for two reasons, one that somebody has paused, and a
host that goes away for a minute.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import trio

from engine.client import AsyncClient
from engine.client.errors import AtomicError

if TYPE_CHECKING:
    from demo_app.scenario import Submission

CARRIER_GOES_AFTER_S = 5.0
CARRIER_AWAY_S = 60.0
AGAIN_AFTER_S = 0.5
PAUSED_BY = "grace"
PAUSED_WHY = "40 kettles: a second person looks before they leave"


async def play(
    submissions: tuple[Submission, ...],
    submit: Callable[[Submission], Awaitable[str]],
    engine_url: str,
    application: httpx.AsyncClient,
) -> None:
    """Submit them, which gives each run's id; pause the one that is to wait for a person; and send
    the carrier away."""
    from demo_app.scenario import FOUR_EYES

    async def one(submission: Submission) -> None:
        run_id = await submit(submission)
        if submission.key.endswith(FOUR_EYES):
            await _pause(engine_url, run_id)

    async with trio.open_nursery() as nursery:
        for submission in submissions:
            nursery.start_soon(one, submission)
        await trio.sleep(CARRIER_GOES_AFTER_S)
        await _send_away(application)


async def _pause(engine_url: str, run_id: str) -> None:
    async with AsyncClient(engine_url, actor=PAUSED_BY) as client:
        with suppress(AtomicError):  # somebody was quicker, or the engine is away: as others then
            await client.operate.act(run_id, "pause", reason=PAUSED_WHY)


async def _send_away(application: httpx.AsyncClient) -> None:
    while not await _tell_carrier(application, CARRIER_AWAY_S):  # noqa: ASYNC110 - another process
        await trio.sleep(AGAIN_AFTER_S)  # the application has crashed, and comes back


async def end(application: httpx.AsyncClient) -> None:
    """Let the carrier come back, so that open runs may end."""
    await _tell_carrier(application, 0)


async def _tell_carrier(application: httpx.AsyncClient, away_s: float) -> bool:
    """Whether it heard it."""
    try:
        answer = await application.post("/carrier/away", json={"seconds": away_s})
    except httpx.TransportError:
        return False
    return answer.is_success
