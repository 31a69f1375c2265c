"""What the inspector says of a step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tui.golden import same
from tests.tui.scene import scene
from tests.tui.support import NOW, RUN, attempt_row, step_row, store_at, tree_read
from tui.boards import Seen, text_of
from tui.detail import ATTEMPTS_SHOWN_MAX, inspector
from tui.rows import Rows


@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_inspector_as_text(ascii_only: bool) -> None:
    """How each step stands, whom it calls, every attempt, and what set the next one."""
    store = scene()
    rows = Rows(store, ascii_only=ascii_only)
    rows.seen_now()
    told = ""
    for step in store.trees[RUN].steps.values():
        told += "\n".join(text_of(line).rstrip() for line in rows.inspector(step)) + "\n\n"
    assert told.isascii() == ascii_only
    same("inspector-ascii" if ascii_only else "inspector", told)


def told_of(**more: Any) -> list[str]:
    """What the inspector says of a step."""
    store = store_at()
    store.apply(tree_read(step_row(**more)))
    return [text_of(line) for line in inspector(store.trees[RUN].steps[RUN], Seen(NOW))]


def test_the_inspector_says_why() -> None:
    """Why it is paused, because of whom it was cancelled, what it waits for."""
    assert "paused exhausted" in told_of(status="paused", pause_reason="exhausted")
    assert f"because of {RUN}-x" in told_of(status="cancelled", cause_id=f"{RUN}-x")
    waits = told_of(status="pending", awaiting_post=True, generation=2)
    assert "starts when the workflow posts it again" in waits
    assert "gen  2" in waits
    timed = told_of(status="backing-off", due=9_000, delay_by="operator")
    assert "next 14:13:29, set by an operator" in timed
    assert "last 503" in told_of(status="backing-off", http_status=503, error="http-status")
    assert "last tls-failed: expired" in told_of(status="failed", error="tls-failed: expired")


def test_the_inspector_of_many_attempts() -> None:
    """The latest of them; how many there were before is told."""
    tries = [attempt_row(n, "failure", n, n + 1) for n in range(1, 1_001)]
    told = told_of(attempts=tries, retries_max=2_000)
    assert told[-1] == "… and 800 before"
    assert told[-2].startswith(f" {1_001 - ATTEMPTS_SHOWN_MAX} ✗ ")


@pytest.mark.parametrize(
    ("status", "more", "told"),
    [
        ("running", {}, "   1 ▸ 14:13:20  0ms     in flight"),
        ("crash", {"ended": 9}, "   1 ⊘ 14:13:20  9ms     crash"),
        ("late", {"ended": 9, "http_status": 200}, "   1 ⊘ 14:13:20  9ms     late 200"),
        ("odd", {"ended": 9}, "   1 ? 14:13:20  9ms     —"),
        (
            "failure",
            {"ended": 9, "http_status": 503, "delay_ms": 8_000, "delay_by": "retry-after"},
            "   1 ✗ 14:13:20  9ms     503  then 8.0s ← Retry-After",
        ),
    ],
)
def test_an_attempt_as_text(status: str, more: dict[str, Any], told: str) -> None:
    """What it came to, and what followed."""
    assert told_of(attempts=[attempt_row(1, status, **more)])[-1] == told
