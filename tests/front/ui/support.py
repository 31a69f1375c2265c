"""Steps for pages to lay out."""

from __future__ import annotations

from engine.ports.views import StepOutline


def a_step(
    name: str, parent: str | None = "R", state: str = "completed", *, by_hand: bool = False
) -> StepOutline:
    ended_at = None if state == "running" else 1
    return StepOutline(name, parent, name, state, 0, ended_at, None, by_hand)
