"""Bugs in the room that bodies take in memory: `engine/process/budget.py` and its users."""

from __future__ import annotations

from engine.process.budget import Charge, Pool
from engine.runs.open.flow import AttemptFlow
from tests.mutants.catalog import Planting, plant


@plant("room in memory is never given back", rules=("liveness",))
def room_never_given_back(bug: Planting) -> None:
    bug.rewrite(Charge.give_back, "if size:", "if False:")


@plant("room that was given back is offered to nobody", rules=("liveness",))
def freed_room_not_offered(bug: Planting) -> None:
    bug.rewrite(Pool._returned, "self._offer()", "pass")


@plant("a payload that was sent keeps its room", rules=("liveness",))
def sent_payload_kept(bug: Planting) -> None:
    bug.rewrite(AttemptFlow.sent, "payload.let_go()", "pass")
