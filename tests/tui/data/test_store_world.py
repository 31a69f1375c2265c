"""A real engine under random failures and a restless operator: what the store has made of the
events is what the engine answers when it is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from engine.core.rules.action import Action
from engine.wire.events import Acted, AnyFact, Fact, Held, ResultSet, RunMoved
from tests.tui.mirror import Mirror, watched
from tests.tui.support import HEARTBEAT
from tui.data.fold import UNTOLD
from tui.data.inputs import TreeRead
from tui.data.model import step_of

SEEDS = range(48)


@pytest.mark.slow
def test_the_store_after_events_is_the_engine_asked(tmp_path: Path) -> None:
    """Every step, with every attempt, of every seed: members, order, revision. Of the run what
    events tell: the rest is read with the list. Nothing is left to be read again but dismissals,
    notes, by what steps are held, and results of runs that had ended.
    """
    kinds, exact = set(), 0
    for seed in SEEDS:
        mirror, read = watched(tmp_path / f"{seed}.db", seed)
        store = mirror.store
        (tree,) = store.trees.values()
        asked = {row.id: step_of(row) for row in read.tree.steps}
        for step_id, step in asked.items():
            assert tree.steps[step_id] == step, (seed, step_id)
        assert list(tree.steps) == list(asked), seed
        seen = [event.fact for event in store.events]
        is_held = any(isinstance(fact, Held) for fact in seen)  # by what is to be read
        is_set = any(isinstance(fact, ResultSet) and fact.step_id == fact.run_id for fact in seen)
        is_noted = any(isinstance(fact, Acted) and fact.action == Action.NOTE for fact in seen)
        untold = is_held or is_noted or is_set  # when a run ended that had ended before, too
        if all(getattr(fact, "dismissed", None) is None for fact in seen) and not untold:
            exact += 1
            assert not tree.outdated, seed
        if not tree.outdated:
            assert (tree.run.state, tree.run.rev) == (read.tree.run.status, read.tree.run.rev)
            assert store.runs[tree.run.id].rev == tree.run.rev
        assert not tree.under_way
        kinds |= set(map(type, seen))
    assert exact, "no seed without dismissals and holds"
    assert kinds == set(get_args(AnyFact)) - set(UNTOLD)


@pytest.mark.slow
def test_missed_events_are_noticed(tmp_path: Path) -> None:
    """Whichever single event of a step is left out: as soon as the next one of that step comes,
    the store knows that something is missing. (A gap at the end is told by the stream's own ids.)
    """
    mirror, read = watched(tmp_path / "a.db", 3)
    asked = {row.id: step_of(row) for row in read.tree.steps}
    first = next(i for i in mirror.inputs if isinstance(i, TreeRead))
    events = [i for i in mirror.inputs if not isinstance(i, TreeRead)]
    events = [e for e in events if not isinstance(e.data, RunMoved)]
    last = {e.data.step_id: at for at, e in enumerate(events) if isinstance(e.data, Fact)}
    missed = 0
    for gap in set(range(len(events))) - set(last.values()):
        other = Mirror.__new__(Mirror)
        other.inputs, other.store = [], type(mirror.store)(mirror.store.clock)
        other.take(first)
        for event in events[:gap] + events[gap + 1 :]:
            other.take(event)
        other.take(HEARTBEAT)
        (tree,) = other.store.trees.values()
        if tree.steps != asked:
            assert tree.outdated, events[gap]
            missed += 1
    assert missed > 10
