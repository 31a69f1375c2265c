"""Sends only what changed to the terminal.

Textual marks regions dirty, but sends each of their lines from the left edge of the widget on: for
a countdown in the seventh column eight times what changed. Here a line is cut at both ends.

`ChopsUpdate` and the screen's compositor are not public in Textual: `just tui-budget` and
`tests/tui/screen/test_time.py` tell when they are others, and without this file everything works as
before, only dearer.
"""

from __future__ import annotations

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, Compositor
from textual.screen import Screen


class TightUpdate(ChopsUpdate):
    """An update that sends its spans and nothing beside them."""

    def render_segments(self, console: Console) -> str:
        """The update as what is written to the terminal."""
        written: list[str] = []
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= last or end <= first:
                    continue
                begin = max(x, first)
                part = strip.crop(begin - x, min(end, last) - x)
                written += [Control.move_to(begin, y).segment.text, part.render(console)]
        return "".join(written)


class TightCompositor(Compositor):
    """Makes them."""

    def render_partial_update(self) -> ChopsUpdate | None:
        """What is dirty, or None."""
        update = super().render_partial_update()
        if update is None:
            return None
        return TightUpdate(update.chops, update.spans, update.chop_ends)


class TightScreen(Screen[None]):
    """A screen that is drawn so."""

    def __init__(self) -> None:
        super().__init__()
        self._compositor = TightCompositor()
