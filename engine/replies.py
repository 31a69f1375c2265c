"""Room in memory for large outcomes on their way to callers (`memory_bytes_max`).

An outcome lies in the store. To be answered it is read and made into an answer, which stays in
memory until its caller has read it; a caller that does not is cut off after
`unread_answer_timeout_ms`. While there is no room the outcome stays where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.budget import Budget, Charge
from engine.core.model import Step
from engine.ports.store import Body, Larger
from engine.refusals import overloaded

if TYPE_CHECKING:
    from engine.supervisor import Engine

WAIT_S_MAX = 5.0
"""How long an outcome waits for room before its caller is told to ask again."""


class Recorded(Struct, frozen=True):
    """The outcome of a step, durable."""

    step: Step
    body: Body | None
    cause: Step | None
    replayed: bool
    payload_differs: bool = False
    left_out: int = 0
    """Bytes of a body that is still to be read, when there is room for it."""
    room: Charge | None = None
    """What a large body takes, until it is sent: whoever is given this gives it back."""


async def read_answer(engine: Engine, step: Step) -> tuple[Body | None, int]:
    """The response of a step that has completed, if it is small, and else its size."""
    found = await engine.store.body_up_to(
        step.id, step.answer_attempt, engine.budget.small_bytes_max, answer=True
    )
    return (None, found.size) if isinstance(found, Larger) else (found, 0)


def with_room_nowait(engine: Engine, client: str, result: Recorded) -> Recorded:
    """The outcome with room for a large body; or without the body, if there is none now."""
    size = result.left_out or (0 if result.body is None else len(result.body.data))
    if size <= engine.budget.small_bytes_max:
        return result
    room = None if result.left_out else engine.budget.replies.take(client, size)
    return replace(result, body=None, left_out=size) if room is None else replace(result, room=room)


async def wait_room(budget: Budget, owner: str, size: int) -> Charge:
    """Room for an answer. Raises Refused (`overloaded`) when there is none for WAIT_S_MAX."""
    with trio.move_on_after(WAIT_S_MAX):
        return await budget.replies.wait(owner, size)
    budget.refused += 1
    raise overloaded("memory_bytes_max")


async def with_body(engine: Engine, client: str, result: Recorded) -> Recorded:
    """The outcome with the body that was left out, when there is room for it. Raises Refused."""
    room = await wait_room(engine.budget, client, result.left_out)
    try:
        step = result.step
        body = await engine.store.answer(step.id, step.answer_attempt)
    except BaseException:
        room.give_back()
        raise
    return replace(result, body=body, left_out=0, room=room)
