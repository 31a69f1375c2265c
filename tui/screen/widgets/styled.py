"""Draws in the styles of the theme, which the application has once for all of them.

A widget that has component classes of its own has each computed anew with every change of a class:
for nine widgets of sixteen styles that is more work than the rest of the first picture.
"""

from __future__ import annotations

from typing import Any

from rich.style import Style
from textual.widget import Widget

from tui.boards.looks import STYLES

COMPONENTS = {f"style--{name}" for name in (*STYLES, "head", "cursor", "mark", "reverse")}
"""The component classes of an application that has such widgets."""


class Styled(Widget):
    """A widget that asks its application for styles."""

    def __init__(self, *children: Widget, **options: Any) -> None:
        super().__init__(*children, **options)
        self._drawn_in: dict[str, Style] = {}

    def style_of(self, name: str) -> Style:
        """A style of the theme by its name."""
        if name not in self._drawn_in:
            theme = self.app.get_component_styles(f"style--{name}")
            self._drawn_in[name] = self.rich_style + theme.partial_rich_style
        return self._drawn_in[name]

    def notify_style_update(self) -> None:
        """Another theme draws everything anew."""
        super().notify_style_update()
        before, self._drawn_in = self._drawn_in, {}
        if any(self.style_of(name) != style for name, style in before.items()):
            self.refresh()
