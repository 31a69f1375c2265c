"""The line above a run."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.text.times import rfc3339
from engine.wire import CauseList, CauseRow, Reason
from tests.tui.support import (
    NOW,
    RUN,
    FakeClock,
    attempt_row,
    status_read,
    step_row,
    store_at,
    tree_read,
)
from tui.boards.around.headline import alike, headline
from tui.data.inputs import CausesRead
from tui.data.store import Store

CARD: dict[str, Any] = {
    "http_status": 402,
    "error": "http-status: answered 402",
    "excerpt": "card_declined",
}


def run(status: str, *, passed_s: float = 183, card: str = "failed", **members: Any) -> Store:
    """A run whose card was declined, so long ago."""
    clock = FakeClock()
    store = store_at(clock)
    store.apply(status_read(NOW, clock))
    tried = attempt_row(1, "failure", -1_000, 0, http_status=402)
    root = {"failed": "failed", "completed": "completed"}.get(status, "waiting")
    cause: dict[str, Any] = {"cause_id": f"{RUN}-card"} if root == "failed" else {}
    store.apply(
        tree_read(
            step_row(status=root, **cause),
            step_row("card", card, parent=RUN, attempts=[tried], ended=0, **CARD),
            status=status,
            **members,
        )
    )
    clock.pass_s(passed_s)
    return store


def told(store: Store, cells: int = 120) -> tuple[str, str]:
    left, right = headline(store, store.trees.get(RUN), cells)
    return ("".join(piece.text for piece in left), "".join(piece.text for piece in right))


def causes(store: Store, **reason: Any) -> None:
    """Thirteen runs failed as this one did."""
    told: dict[str, Any] = {"step_id": "s", "step_name": "card", "http_status": 402}
    why = Reason(**(told | {"error": "http-status: answered 402"} | reason))
    row = CauseRow("c", 13, 0, rfc3339(NOW), rfc3339(NOW), RUN, "order.fulfil", "failed", None, why)
    store.apply(CausesRead(CauseList((row,), 13, 300_000)))


def test_how_it_stands_since_when_why_and_whose() -> None:
    """In the words of the step that failed."""
    left, right = told(run("failed", ended_at=rfc3339(NOW)))
    assert left == f" order.fulfil {RUN[-8:]}" + ("  ✗ failed 3m03 ago · card: 402 card_declined")
    assert right == "  shop / ord-99 "


@pytest.mark.parametrize(
    ("status", "card", "since"),
    [
        ("running", "completed", "▸ running for 3m03"),
        ("backing-off", "backing-off", "↻ backing-off 3m03 ago · card: 402"),
        ("completed", "completed", "✓ completed"),
    ],
)
def test_since_when(status: str, card: str, since: str) -> None:
    """What goes on has gone on for so long; what failed did so long ago."""
    assert since in told(run(status, card=card))[0]


def test_how_many_are_like_it() -> None:
    """Others that need a person for the same step's same failure; not itself."""
    store = run("failed")
    assert told(store)[1] == "  shop / ord-99 "
    causes(store)
    assert told(store)[1] == "  shop / ord-99 · 12 like it "
    causes(store, http_status=500)
    assert alike(store, store.trees[RUN]) == 0
    causes(store, step_name="other")
    assert alike(store, store.trees[RUN]) == 0
    well = run("completed", card="completed")
    causes(well)
    assert alike(well, well.trees[RUN]) == 0


def test_why_goes_before_whose() -> None:
    """Where there is no room for both; that there are others like it stays."""
    store = run("failed", idempotency_key="k" * 250)
    causes(store)
    left, right = told(store, 80)
    assert left.endswith(" · card: 402 card_declined")
    assert right == "· 12 like it "
    assert len(left + right) <= 80


def test_a_long_key_leaves_room() -> None:
    """It is cut in its middle; nothing is told of a run that was not read."""
    _, right = told(run("failed", idempotency_key="k" * 250), 105)
    assert len(right) <= 105 // 3 + 3
    assert "…" in right
    assert headline(store_at(), None, 80) == ([], [])
