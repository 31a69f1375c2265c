"""What a `retarget` is asked to do, of one run or in bulk."""

from __future__ import annotations

from engine import wire
from engine.core.actions import Action
from engine.core.errors import Problem, Refused
from engine.core.model import Move
from engine.core.retarget import read_move


def move_of(asked: wire.ActionRequest | wire.BulkRequest) -> Move | None:
    """What a `retarget` does. Raises Refused, also where another action was given URLs."""
    if asked.action is Action.RETARGET:
        return read_move(asked.from_ or None, asked.to or None)
    if asked.from_ or asked.to:
        raise Refused(
            Problem.INVALID_REQUEST,
            f"`from` and `to` belong to `retarget`, not to `{asked.action}`.",
            member="from" if asked.from_ else "to",
        )
    return None
