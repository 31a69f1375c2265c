"""Sends only what changed to the terminal.

Textual marks regions dirty, but sends each of their lines from the left edge of the widget on: for
a countdown in the seventh column eight times what changed. Here a line is cut at both ends. And it
sends each text with all of its style, and ends that behind it: four times what is read. Here a
style is sent where it is another than that of the text before, and of its colours those that are.

`ChopsUpdate` and the screen's compositor are not public in Textual: `just tui-budget` and
`tests/tui/screen/test_time.py` tell when they are others, and without this file everything works as
before, only dearer.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter

from rich.color import Color, ColorSystem
from rich.console import COLOR_SYSTEMS, Console
from rich.control import Control
from rich.style import Style
from textual._compositor import ChopsUpdate, Compositor
from textual.screen import Screen

PLAIN = Style()
END = "\x1b[0m"
ATTRIBUTES = attrgetter(
    "bold", "dim", "italic", "underline", "blink", "blink2", "reverse", "conceal", "strike",
    "underline2", "frame", "encircle", "overline",
)  # fmt: skip


@lru_cache(maxsize=4_096)
def turned(before: Style, after: Style, system: ColorSystem) -> str:
    """What makes a terminal that writes in one style write in another."""
    if _attributes(before) != _attributes(after):
        begin, _, _ = after.render("x", color_system=system).partition("x")
        return END + begin  # what ends each of them is not known to all terminals
    codes = ";".join(
        code
        for was, will_be, usual, is_front in (
            (before.color, after.color, "39", True),
            (before.bgcolor, after.bgcolor, "49", False),
        )
        if was != will_be
        for code in _codes(will_be, system, usual, is_front=is_front)
    )
    return f"\x1b[{codes}m" if codes else ""


def _attributes(style: Style) -> object:
    """Bold, reverse and the like."""
    return tuple(map(bool, ATTRIBUTES(style)))


def _codes(
    color: Color | None, system: ColorSystem, usual: str, *, is_front: bool
) -> tuple[str, ...]:
    if color is None:
        return (usual,)
    return color.downgrade(system).get_ansi_codes(foreground=is_front)


class TightUpdate(ChopsUpdate):
    """An update that sends its spans and nothing beside them."""

    def render_segments(self, console: Console) -> str:
        """The update as what is written to the terminal."""
        written: list[str] = []
        system = COLOR_SYSTEMS.get(console.color_system or "", ColorSystem.TRUECOLOR)
        style = PLAIN
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= last or end <= first:
                    continue
                begin = max(x, first)
                part = strip.crop(begin - x, min(end, last) - x)
                written.append(Control.move_to(begin, y).segment.text)
                for text, its, _ in part:
                    written += [turned(style, its or PLAIN, system), text]
                    style = its or PLAIN
        return "".join([*written, turned(style, PLAIN, system)])


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
