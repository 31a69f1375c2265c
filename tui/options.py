"""How the dashboard was started."""

from __future__ import annotations

from msgspec import Struct, field

from tui.text.redact import NAMES

SERVED_DRIVER = "tui.browser.served:ServedDriver"
"""In TEXTUAL_DRIVER: this dashboard is drawn in a browser (`browser/serve.py`)."""


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
    actor: str | None = None
    """Who acts, for the record."""
    keys: dict[str, str] = field(default_factory=dict)
    """Other keys, by the id of the command."""
    badge: str = ""
    """Stands in the top bar: which engine this is."""
    strict: bool = False
    """Every action is asked first."""
    redact: frozenset[str] = NAMES
    """Names whose values are never shown."""
