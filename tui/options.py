"""How the dashboard was started."""

from __future__ import annotations

from msgspec import Struct

SERVED_DRIVER = "tui.served:ServedDriver"
"""In TEXTUAL_DRIVER: this dashboard is drawn in a browser (`serve.py`)."""


class Options(Struct, frozen=True, kw_only=True):
    """What the command line said."""

    url: str
    board: str = "runs"
    filter: str = "is:live"
    read_only: bool = False
    ascii_only: bool = False
    slow_link: bool = False
    mouse: bool = True
    theme: str | None = None
    bell: bool = False
    """Ring when something begins to need a person."""
