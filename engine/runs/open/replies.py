"""Room in memory for large outcomes on their way to callers (`memory_bytes_max`).

An outcome lies in the store. To be answered it is read and made into an answer, which stays in
memory until its caller has read it; a caller that does not is cut off after
`unread_answer_timeout_ms`. While there is no room the outcome stays where it is.
"""

from __future__ import annotations

import trio
from msgspec.structs import replace

from engine.core.model import Step
from engine.ports.store import Body, Larger, Store
from engine.process.budget import Budget, Charge
from engine.runs.limits.refusals import outcome_expired, over_share, overloaded
from engine.runs.open.callers import Recorded

WAIT_S_MAX = 5.0
"""How long an outcome waits for room before its caller is told to ask again."""


async def read_answer(store: Store, step: Step, bytes_max: int) -> tuple[Body | None, int]:
    """The response of a step that has completed, if it is no larger, and else its size. Raises
    Refused if the run has expired since it was read."""
    found = await _body(store, step, bytes_max)
    return (None, found.size) if isinstance(found, Larger) else (found, 0)


def with_room_nowait(budget: Budget, client: str, result: Recorded) -> Recorded:
    """The outcome with room for a large body; or without the body, if there is none now."""
    size = result.left_out or (0 if result.body is None else len(result.body.data))
    if size <= budget.small_bytes_max:
        return result
    room = None if result.left_out else budget.replies.take(client, size, client=client)
    return replace(result, body=None, left_out=size) if room is None else replace(result, room=room)


async def wait_room(budget: Budget, owner: str, size: int, client: str = "") -> Charge:
    """Room for an answer, to this client. Raises Refused (`overloaded`) when there is none for
    WAIT_S_MAX."""
    replies = budget.replies
    with trio.move_on_after(WAIT_S_MAX):
        return await replies.wait(owner, size, client=client)
    budget.refused += 1
    if replies.lacks_share(client, owner, size):
        raise over_share()
    raise overloaded("memory_bytes_max")


async def with_body(store: Store, budget: Budget, client: str, result: Recorded) -> Recorded:
    """The outcome with the body that was left out, when there is room for it. Raises Refused."""
    room = await wait_room(budget, client, result.left_out, client)
    try:
        step = result.step
        body = await _body(store, step)
        assert not isinstance(body, Larger)
    except BaseException:
        room.give_back()
        raise
    return replace(result, body=body, left_out=0, room=room)


async def _body(store: Store, step: Step, bytes_max: int | None = None) -> Body | Larger | None:
    found = await store.body(step.id, step.answer_attempt, answer=True, bytes_max=bytes_max)
    if found is None and (expired := await store.expired(step.run_id)) is not None:
        raise outcome_expired(expired)  # a body that has gone is not an empty one
    return found
