"""Reads what has happened from the engine: its events from a time on, up to now.

The stream has no end: it goes on with what happens next. So the last event is known before, by the
status; who may see one client alone, whose ids are others each time, has come to the end when the
stream says nothing between two heartbeats.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.client import ProblemError
from engine.wire import Problem
from engine.wire.events import Event, Heartbeat, Reset, Stamped
from tui.data.model import Happening, happening_of
from tui.data.tree import Tree
from tui.past.history import Gathered
from tui.text.sanitize import clean

if TYPE_CHECKING:
    from engine.client import AsyncClient

EVENTS_PASSED_MAX = 200_000
"""So many events are read for what happened to one run, most of them of others: half a minute."""
NO_TIME = "?"
"""Refused by an engine that knows times, and taken by one that does not."""
TOLD_EVERY = 500
Progress = Callable[[int], None]
"""Is told now and then how many events were read."""


class PastError(Exception):
    """What was cannot be told; the message says why, and what to do."""


def rfc3339(ms: float) -> str:
    """A time for the wire."""
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


async def events_since(
    client: AsyncClient, since_ms: float, last: str | None
) -> AsyncGenerator[Event, None]:
    """What happened at a time (milliseconds since the epoch) and later, up to the `last` event, as
    a status said before (`sequence`), in its order.

    Raises PastError, where it is not all there or the engine does not know how to tell it;
    AtomicError.
    """
    begun = heard = False
    async with client.operate.events(since=rfc3339(since_ms)) as stream:
        async for event in stream:
            match event.data:
                case Reset():
                    raise PastError(REMOVED)
                case Stamped():
                    heard = True
                    yield event
                    if event.id == last:
                        return
                case Heartbeat() if not begun:
                    begun = True
                    if event.id == last:  # nothing has happened since, or it begins now
                        await _knows_times(client)
                        return
                case Heartbeat() if not heard:
                    return
                case Heartbeat():
                    heard = False


REMOVED = (
    "not all that happened since then is kept: retention removes what ended `retention_days` ago,"
    " and its events"
)
TOO_OLD = "this engine is too old to tell what happened before: it has to know `since` of events"


async def _knows_times(client: AsyncClient) -> None:
    """Raises PastError for an engine that begins now, whatever time is asked for."""
    try:
        async with client.operate.events(since=NO_TIME) as stream:
            await anext(aiter(stream))
    except ProblemError as error:
        if error.problem == Problem.INVALID_REQUEST:
            return
        raise
    raise PastError(TOO_OLD)


async def happened_to(client: AsyncClient, known: Tree, progress: Progress) -> list[Happening]:
    """All that has happened to a run, in its order, as far as it is known. Raises PastError,
    AtomicError."""
    gathered, passed = Gathered(known), 0
    last = (await client.operate.status()).sequence
    async with aclosing(events_since(client, known.run.submitted_at, last)) as events:
        async for event in events:
            passed += 1
            if passed > EVENTS_PASSED_MAX:
                raise PastError(TOO_MANY.format(EVENTS_PASSED_MAX))
            if passed % TOLD_EVERY == 0:
                progress(passed)
            if isinstance(event.data, Stamped) and event.data.run_id == known.run.id:
                if (happening := happening_of(clean(event))) is not None:
                    gathered.take(happening)
                if gathered.is_whole:
                    return gathered.events
    if gathered.may_be_whole:
        return gathered.events
    raise PastError(LACKING)


TOO_MANY = (
    "more than {:,} events have happened on the engine since it began, too many to look for its"
    " own: t shows when its attempts were"
)
LACKING = "the engine did not tell all of its events: r reads the run again"
