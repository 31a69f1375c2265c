"""A run at each moment of its own time."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.machine import Change
from engine.core.retry import RetryPolicy
from engine.core.text.times import rfc3339
from engine.front.show.rows import run_row as row_of_run
from engine.front.show.rows import step_row as row_of_step
from engine.ports.views import record_of
from engine.wire import MoveRow
from tests.core.any_run import AnyRun
from tests.core.seeded import run_of as run_of_seed
from tests.core.support import EXACT
from tests.tui.past.support import HAPPENED, MOMENTS, SHIP, known
from tests.tui.support import NOW, RUN, event, step_row, store_at, tree_read
from tests.tui.watched import Watched, differing
from tui.data.model import Run, State, Step, run_of, step_of
from tui.past.history import Gathered, History

SEEDS = 20
UNTOLD = ("rev", "tries", "waits", "url", "step_key")
"""Of a step: moves are revisions of steps that no event names; the core's rows have no attempts."""


def happenings(*told: tuple[str, int, str, str, int, dict[str, Any]]) -> list[Any]:
    """Events as the dashboard keeps them."""
    store = store_at()
    for seq, (kind, rev, status, step, at, members) in enumerate(told or HAPPENED):
        store.apply(event(kind, rev, status, step, seq=seq, at=at, **members))
    return list(store.events)


def history() -> History:
    return History(known(), happenings())


def moves(it: History) -> int:
    return len(it.tree.moves)


def states(it: History) -> dict[str, str]:
    return {step.name: str(step.state) for step in it.tree.steps.values()}


def test_it_begins_at_the_last_moment() -> None:
    """As it is now, but that it is then."""
    it = history()
    assert [moment.at - NOW for moment in it.moments] == MOMENTS
    assert it.index == len(MOMENTS) - 1
    assert states(it) == {"order": "completed", "ship": "completed"}
    assert it.tree.run.state is State.COMPLETED
    assert it.tree.run.ended_at == it.now_ms == NOW + 210


def test_back_to_its_first_moment_and_on_again() -> None:
    """Steps come and go, attempts open and close; each moment is the same from either side."""
    it = history()
    seen = {}
    for at in range(len(MOMENTS) - 1, -1, -1):
        assert it.go(at)
        seen[at] = (dict(it.tree.steps), it.tree.run)
    assert states(it) == {"order": "pending"}
    assert it.tree.run.state is State.PENDING
    for at in range(len(MOMENTS)):
        assert it.go(at)
        assert (dict(it.tree.steps), it.tree.run) == seen[at]
        assert list(it.tree.steps) == list(seen[at][0])
    it.go(4)
    ship = it.tree.steps[SHIP]
    assert (ship.state, ship.due_at, len(ship.tries)) == (State.BACKING_OFF, NOW + 99, 1)
    assert ship.tries[0].ended_at == NOW + 90
    it.go(3)
    assert it.tree.steps[SHIP].tries[0].is_open


def test_it_has_ends() -> None:
    """Nothing is before the first moment and behind the last."""
    it = history()
    assert not it.go(len(MOMENTS))
    assert not it.go(-1)
    assert it.index == len(MOMENTS) - 1


def test_the_moment_at_a_time() -> None:
    """The last one up to it; none before it began."""
    it = history()
    assert [it.at(NOW + at) for at in (-1, 0, 4, 5, 95, 209, 10_000)] == [-1, 0, 0, 1, 4, 6, 7]


def test_what_happened_then_is_told_by_its_weightiest_event() -> None:
    """What failed, or else the step: not that the run moved for it."""
    it = history()
    told = [moment.headline.fact.kind for moment in it.moments]
    assert told[1] == "started"
    assert told[4] == "attempt-ended"
    assert told[7] == "run-moved"  # the end of a run is what one looks for


def test_urls_are_those_of_before_a_move_and_behind_it() -> None:
    """What was posted as the old one was called there; the moves of then are told."""
    moved = ("retargeted", 4, "running", RUN, 95, {"fromUrl": "http://old.test", "toUrl": "x"})
    told = sorted([*HAPPENED, moved], key=lambda it: it[4])
    now = known()
    now.steps[SHIP] = replace(now.steps[SHIP], url="http://new.test/ship")
    now.moves = (MoveRow("http://old.test", "http://new.test", rfc3339(NOW + 95)),)
    it = History(now, happenings(*told))
    assert it.tree.steps[SHIP].host == "new.test"
    assert moves(it) == 1
    it.go(4)
    assert it.tree.steps[SHIP].host == "old.test"
    assert moves(it) == 0
    it.go(5)
    assert it.tree.steps[SHIP].host == "new.test"


def test_nothing_is_no_history() -> None:
    """It is said, and nothing is shown."""
    with pytest.raises(ValueError, match="nothing is recorded"):
        History(known(), [])


# -- whether it is whole ---------------------------------------------------------------------------


def gathered(*told: tuple[str, int, str, str, int, dict[str, Any]]) -> bool:
    it = Gathered(known())
    for each in happenings(*told):
        it.take(each)
    return it.is_whole


def test_it_is_whole_from_its_first_event_to_what_is_known() -> None:
    """Without the first, without the last, or without one that led to what is known, it is not."""
    assert gathered(*HAPPENED)
    assert not gathered(*HAPPENED[:-1])
    assert not gathered(*HAPPENED[1:])
    assert not gathered(*[each for each in HAPPENED if each[3] == RUN])
    it = Gathered(known())
    assert not it.is_whole


def test_it_is_whole_as_soon_as_all_is_there() -> None:
    """Not before, and also of a run that was never anything but pending."""
    it, all_of_it = Gathered(known()), happenings()
    for each in all_of_it[:-1]:
        it.take(each)
        assert not it.is_whole
    it.take(all_of_it[-1])
    assert it.is_whole
    store = store_at()
    store.apply(tree_read(step_row("order", "pending", rev=1), status="pending", rev=0))
    fresh = Gathered(store.trees[RUN])
    fresh.take(all_of_it[0])
    assert fresh.is_whole


def test_what_happened_to_all_of_the_run_stands_for_what_its_steps_lack() -> None:
    """A move is one event, and a revision of each step that it takes along."""
    moved = ("retargeted", 4, "completed", RUN, 300, {"fromUrl": "http://old.test", "toUrl": "x"})
    now = known()
    now.steps[RUN] = replace(now.steps[RUN], rev=4)
    now.steps[SHIP] = replace(now.steps[SHIP], rev=6)
    it = Gathered(now)
    for each in happenings(*HAPPENED, moved):
        it.take(each)
    assert not it.is_whole
    assert it.may_be_whole
    now.steps[SHIP] = replace(now.steps[SHIP], rev=7)
    it = Gathered(now)
    for each in happenings(*HAPPENED, moved):
        it.take(each)
    assert not it.may_be_whole


# -- held to the core ------------------------------------------------------------------------------


class Walked(Watched):
    """Remembers how a run was after each of its changes."""

    def __init__(self, retry: RetryPolicy | None = EXACT) -> None:
        self.was: list[tuple[int, dict[str, Step], Run]] = []
        super().__init__(retry)

    def _took(self, change: Change) -> None:
        super()._took(change)
        if change.events:
            at = change.events[-1].at
            if self.was and self.was[-1][0] == at:
                self.was.pop()  # of one moment
            steps = {id: step_of(row_of_step(step)) for id, step in self.run.steps.items()}
            self.was.append((at, steps, run_of(row_of_run(record_of(self.run)))))

    def walk(self) -> None:
        """Back through all of it, on again, and with leaps."""
        known, gathered = self.store.trees["R"], Gathered(self.store.trees["R"])
        for each in self.store.events:
            gathered.take(each)
        assert gathered.may_be_whole
        it = History(known, gathered.events)
        assert [moment.at for moment in it.moments] == [at for at, *_ in self.was]
        back = range(len(self.was) - 1, -1, -1)
        for at in [*back, *reversed(back), 0, len(self.was) // 2, len(self.was) - 1]:
            assert it.go(at)
            _, steps, run = self.was[at]
            assert list(it.tree.steps) == list(steps)
            for step in steps.values():
                assert not differing(it.tree.steps[step.id], step, UNTOLD)
            assert not differing(it.tree.run, run, ("at", "reason"))


class AnyWalkedRun(AnyRun):
    """Everything that may happen, and at the end the whole way back."""

    drives = Walked


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_moment_is_as_it_was(seed: int) -> None:
    """Held to the core: whatever was done to the run."""
    machine = run_of_seed(seed, AnyWalkedRun)
    assert isinstance(machine.driven, Walked)
    machine.driven.walk()
    machine.teardown()
