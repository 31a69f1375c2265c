"""Bugs in what happens while a store is asked who has a key (`engine/runs/memory.py`)."""

from __future__ import annotations

from engine.runs.engine import Engine
from engine.runs.memory import Memory
from tests.mutants.catalog import PROPERTY, SIMULATION, Planting, plant

TEST = "tests/runs/test_asking.py::test_"


@plant("each asks for itself who has a key, and a run comes and goes behind an answer",
       by=(SIMULATION, PROPERTY), rules=("R2", "effects", "engine"),
       test=f"{TEST}no_run_comes_and_goes_behind_an_answer")  # fmt: skip
def everybody_asks(bug: Planting) -> None:
    bug.rewrite(Memory.find,
                "if (asking := self._asking.get(identity)) is None:\n"
                "            return await self._ask(identity, found)\n"
                "        await asking",
                "if True:\n            return await found.ask()\n        await asking")  # fmt: skip


@plant("nobody gives up on a store that does not answer", by=(PROPERTY,),
       test=f"{TEST}a_store_that_does_not_answer_keeps_nobody")  # fmt: skip
def waits_for_ever(bug: Planting) -> None:
    bug.rewrite(Memory._ask, "ANSWER_S_MAX if store.away is None else ANSWER_AWAY_S_MAX", "600")


@plant("a run is opened by an engine that stops", by=(PROPERTY,),
       test=f"{TEST}an_engine_that_stops_meanwhile_opens_nothing")  # fmt: skip
def opens_while_it_stops(bug: Planting) -> None:
    bug.rewrite(Engine._open_run, "if self.shared.draining:", "if False:")


@plant("who was let in counts no more while the store is asked", by=(PROPERTY,),
       test=f"{TEST}who_was_let_in_counts_until_under_way")  # fmt: skip
def let_in_and_forgotten(bug: Planting) -> None:
    bug.rewrite(Engine.submit, "with self.admission.entering():", "if True:")
