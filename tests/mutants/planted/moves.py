"""Bugs of runs whose endpoints move: who posts a step without parent token, and what is found."""

from __future__ import annotations

from engine.core import alive, retarget
from engine.core.rules import post
from engine.store import rows
from tests.mutants.catalog import PROPERTY, Planting, plant

FORGOTTEN = ("effects", "R2", "R12", "R27", "fold")


@plant("a new step is taken without a parent token although nobody can be at work", rules=("R28",))
def always_alive(bug: Planting) -> None:
    bug.rewrite(
        alive.can_be_alive,
        "return root.may_post and root.id not in run.flights",
        "return True or root.id not in run.flights",
    )


@plant("a move is applied to what is recorded, and not to what is posted", rules=FORGOTTEN)
def posts_not_moved(bug: Planting) -> None:
    bug.rewrite(post._moved, "if not run.moves:", "if run is not None:")


@plant("moves are forgotten when a run is read again", rules=FORGOTTEN)
def moves_forgotten(bug: Planting) -> None:
    bug.rewrite(
        rows.run_from,
        'moves=() if row["moves"] is None else _moves_from(row["moves"]),',
        "moves=(),",
    )


TAKEN_BACK = (
    "tests/core/test_retarget.py::test_a_child_that_a_crash_took_back_comes_again_under_its_key"
)


@plant(
    "a step that a crash took back gets another key after a move", by=(PROPERTY,), test=TAKEN_BACK
)
def another_key_after_a_move(bug: Planting) -> None:
    bug.rewrite(retarget.new_child_id, "if not run.moves:", "if run is not None:")
