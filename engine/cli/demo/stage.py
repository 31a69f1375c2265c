"""What is asked of `atomic demo`, and how its end is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import trio


class DemoOptions(NamedTuple):
    """What the command line says. Durations in seconds."""

    once: bool = False
    seed: int = 23
    rate: float = 1.0
    """Submissions per second."""
    duration: float | None = None
    kill_engine: float | None = None
    """Kill the engine every so many seconds."""
    data: Path | None = None
    dashboard: bool = False
    """Show the dashboard instead of lines; leaving it ends the demonstration."""


@dataclass
class DemoStop:
    """How the end was asked for."""

    asked: trio.Event = field(default_factory=trio.Event)
    heard: bool = False
    """There is somebody who ends the show when it is asked; else a signal ends everything."""
    patient: bool = True
    """Open runs may end first: Ctrl-C or the duration, not SIGTERM."""
    dashboard: trio.CancelScope = field(default_factory=trio.CancelScope)
    dashboard_left: trio.Event = field(default_factory=trio.Event)
    """The terminal is as it was."""
