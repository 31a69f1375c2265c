"""A line that a person types, or pastes: what a terminal would obey is left out of it."""

from __future__ import annotations

from textual.widgets import Input

from tui.sanitize import safe


class Typed(Input):
    """An input that takes only what can be printed."""

    def replace(self, text: str, start: int, end: int) -> None:
        """Replace a stretch; everything that is typed or pasted comes by here."""
        super().replace("".join(c for c in text if c == safe(c)), start, end)
