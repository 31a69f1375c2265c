"""Recordings that somebody has edited, or that an engine of another mind has made: whatever the
format lets through is shown, and nothing of it breaks anything.
"""

from __future__ import annotations

import json
from random import Random

import msgspec
import pytest

from tests.tui.hostile import LINES, edited
from tests.tui.support import FakeClock
from tui.boards import sorting
from tui.boards.around import bars
from tui.boards.around.notices import Viewed, notice
from tui.boards.cells import text_of
from tui.boards.rows import GRIDS, BoardRows
from tui.boards.run.compare import comparison
from tui.boards.run.detail import inspector
from tui.data import record
from tui.data.filter import seen_values
from tui.data.store import Store
from tui.screen.attention import Attention


def draw(random: Random, store: Store, rows: BoardRows) -> None:
    """Everything that a screen would show. Every text of it can be printed."""
    rows.seen_now()
    for run_id, tree in store.trees.items():
        rows.looking.open_run(run_id)
        rows.draw_run(GRIDS["run"], random.choice([60, 80, 140]))
        for step in tree.steps.values():
            inspector(step, rows.seen, 50, roomy=True)
        comparison(tree, random.choice(list(store.trees.values())), 120, rows.seen)
    for view in GRIDS:
        if view in sorting.SORTS:
            rows.looking.sorted_by[view] = (
                random.choice(list(sorting.SORTS[view])),
                random.random() < 0.5,
            )
        for row_id in rows.ids(view):
            for cell in (rows.cells(view, row_id) or {}).values():
                assert text_of(cell).isprintable()
        notice(store, Viewed(view=view, url="http://engine.test"), 70)
    for pieces in bars.health(store, rows.seen):
        assert all(piece.text.isprintable() for piece in pieces)
    seen_values(store)


@pytest.mark.parametrize("seed", range(40))
def test_an_edited_recording_is_shown(seed: int) -> None:
    """Lines of every kind, in any order, most of them edited: what is accepted can be shown."""
    random, clock = Random(seed), FakeClock()
    store = Store(clock)
    rows, attention = BoardRows(store), Attention(store)
    kinds = sorted({line["input"]["type"] for line in LINES})
    accepted = 0
    for _ in range(60):
        kind = random.choice(kinds)
        line = random.choice([each for each in LINES if each["input"]["type"] == kind])
        raw = edited(random, line) if random.random() < 0.7 else json.dumps(line).encode()
        try:
            taken = msgspec.json.decode(raw, type=record.RecordedInput)
        except msgspec.DecodeError:
            continue
        accepted += 1
        store.apply(record.played(taken, clock.monotonic()))
        clock.pass_s(random.choice([0.0, 0.3, 1.0, 20.0]))
        if random.random() < 0.3:
            draw(random, store, rows)
            attention.new_title()
            attention.rings()
    draw(random, store, rows)
    assert accepted >= 15, "else nothing was tried"
