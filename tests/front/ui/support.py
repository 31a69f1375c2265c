"""Pages, and steps for them to lay out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from engine.front.ui.site import Site
from engine.ports.views import StepOutline
from engine.process.costly import CostlyWork

NOW = "2026-12-01T12:00:00.000Z"


def a_step(
    name: str, parent: str | None = "R", state: str = "completed", *, by_hand: bool = False
) -> StepOutline:
    ended_at = None if state == "running" else 1
    return StepOutline(name, parent, name, state, 0, ended_at, None, by_hand)


def site() -> Site:
    config = SimpleNamespace(public_url=None, tls_cert=None)
    front: Any = SimpleNamespace(config=config, version="1", costly=CostlyWork())
    return Site(front)
