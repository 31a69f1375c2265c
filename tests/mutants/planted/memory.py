"""Bugs in the room that bodies take in memory: `engine/process/budget.py` and its users."""

from __future__ import annotations

from engine.process.budget import Charge, Pool
from engine.runs.open.flow import AttemptFlow
from tests.mutants.catalog import PROPERTY, Planting, plant

_SHARES = "tests/process/test_budget.py::"
SHARE = _SHARES + "test_a_client_takes_no_more_than_its_share"
BESIDE = _SHARES + "test_who_waits_for_a_share_keeps_nobody_else_back"


@plant("room in memory is never given back", rules=("liveness",))
def room_never_given_back(bug: Planting) -> None:
    bug.rewrite(Charge.give_back, "if size:", "if False:")


@plant("room that was given back is offered to nobody", rules=("liveness",))
def freed_room_not_offered(bug: Planting) -> None:
    bug.rewrite(Pool._returned, "self._offer()", "pass")


@plant("a payload that was sent keeps its room", rules=("liveness",))
def sent_payload_kept(bug: Planting) -> None:
    bug.rewrite(AttemptFlow.sent, "payload.let_go()", "pass")


@plant("a client takes more than its share of memory", by=(PROPERTY,), test=SHARE)
def share_not_asked(bug: Planting) -> None:
    bug.rewrite(Pool._fits, "if sharer and not", "if False and not")


@plant("who waits for its share of memory keeps all others back", by=(PROPERTY,), test=BESIDE)
def share_keeps_others_back(bug: Planting) -> None:
    bug.rewrite(
        Pool._overtakes, "elif its == sharer and (other == owner or", "elif True or (False or"
    )
