"""Steps for pages to lay out."""

from __future__ import annotations

from engine.ports.views import StepOutline


def a_step(name: str, parent: str | None = "R", state: str = "completed") -> StepOutline:
    return StepOutline(name, parent, name, state, 0, None if state == "running" else 1, None)
