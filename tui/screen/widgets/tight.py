"""Sends only what changed to the terminal.

Textual marks regions dirty, but sends each of their lines from the left edge of the widget on: for
a countdown in the seventh column eight times what changed. Here a line is cut at both ends. And it
sends each text with all of its style, and ends that behind it: four times what is read. Here a
style is sent where it is another than that of the text before, and of its colours those that are.
To say a colour takes nineteen bytes and to go anywhere at most eight, so what is in one style is
sent together, wherever it stands.

`ChopsUpdate` and the screen's compositor are not public in Textual: `just tui-budget` and
`tests/tui/screen/test_time.py` tell when they are others, and without this file everything works as
before, only dearer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from rich.cells import cell_len
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
    if before == after:
        return ""
    begin, _, _ = after.render("x", color_system=system).partition("x")
    anew = END + begin
    if _attributes(before) != _attributes(after):
        return anew  # what ends each of them is not known to all terminals
    codes = ";".join(
        code
        for was, will_be, usual, is_front in (
            (before.color, after.color, "39", True),
            (before.bgcolor, after.bgcolor, "49", False),
        )
        if was != will_be
        for code in _codes(will_be, system, usual, is_front=is_front)
    )
    return min(f"\x1b[{codes}m", anew, key=len) if codes else ""


def _attributes(style: Style) -> object:
    """Bold, reverse and the like."""
    return tuple(map(bool, ATTRIBUTES(style)))


def _codes(
    color: Color | None, system: ColorSystem, usual: str, *, is_front: bool
) -> tuple[str, ...]:
    if color is None:
        return (usual,)
    return color.downgrade(system).get_ansi_codes(foreground=is_front)


class Text(NamedTuple):
    """A text in one style, and where it stands."""

    rank: tuple[object, ...]
    """What is seen of its style; texts of the same rank are sent together."""
    y: int
    x: int
    text: str
    style: Style


@lru_cache(maxsize=4_096)
def rank_of(style: Style) -> tuple[object, ...]:
    """What is seen of a style, in an order in which neighbours have much in common."""
    front, back = (color.name if color else "" for color in (style.color, style.bgcolor))
    return _attributes(style), back, front


@lru_cache(maxsize=4_096)
def _blank_is_like(before: Style, style: Style) -> bool:
    """Whether a blank looks the same in both: only the ground behind it is seen."""
    has_ink = (bool(it.reverse or it.underline or it.underline2 or it.strike or it.overline)
               for it in (before, style))  # fmt: skip
    return before.bgcolor == style.bgcolor and not any(has_ink)


def _joined(one: Text, other: Text) -> Text | None:
    """Two texts as one, if the other stands right behind it and is seen as if it were in its style;
    blanks are in that of their neighbour."""
    if (one.y, one.x + cell_len(one.text)) != (other.y, other.x):
        return None
    whole = one.text + other.text
    if one.rank == other.rank:
        return one._replace(text=whole)
    if not _blank_is_like(one.style, other.style):
        return None
    if not other.text.strip(" "):
        return one._replace(text=whole)
    return None if one.text.strip(" ") else other._replace(x=one.x, text=whole)


def moved(was: tuple[int, int] | None, to: tuple[int, int]) -> str:
    """The shortest that brings the terminal's cursor from one place (x, y) to another. None: where
    it was is not known."""
    x, y = to
    at = Control.move_to(x, y).segment.text
    if was is None or was == to:
        return at if was is None else ""
    right, down = x - was[0], y - was[1]
    vertical = _steps(down, "B") if down > 0 else _steps(-down, "A")
    back = min("\b" * -right, _steps(-right, "D"), key=len)
    return min(vertical + (_steps(right, "C") if right > 0 else back), at, key=len)


def _steps(count: int, to: str) -> str:
    if count <= 0:
        return ""
    return f"\x1b[{'' if count == 1 else count}{to}"


class TightUpdate(ChopsUpdate):
    """An update that sends its spans and nothing beside them."""

    def render_segments(self, console: Console) -> str:
        """The update as what is written to the terminal."""
        written: list[str] = []
        system = COLOR_SYSTEMS.get(console.color_system or "", ColorSystem.TRUECOLOR)
        style = PLAIN
        at: tuple[int, int] | None = None
        for _, y, x, text, its in sorted(self._texts(), key=lambda text: text[:3]):
            written += [moved(at, (x, y)), turned(style, its, system), text]
            style, end = its, x + cell_len(text)
            # at the edge the cursor stays or wraps, and not all terminals take as many cells for
            # what is not ASCII
            at = (end, y) if text.isascii() and end < self.chop_ends[y][-1] else None
        return "".join([*written, turned(style, PLAIN, system)])

    def _texts(self) -> Iterator[Text]:
        """What is in the spans; what goes on as before is one text with that."""
        found: Text | None = None
        for y, x, text, style in self._segments():
            new = Text(rank_of(style), y, x, text, style)
            both = None if found is None else _joined(found, new)
            if found is not None and both is None:
                yield found
            found = both or new
        if found is not None:
            yield found

    def _segments(self) -> Iterator[tuple[int, int, str, Style]]:
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= last or end <= first:
                    continue
                at = max(x, first)
                for text, style, _ in strip.crop(at - x, min(end, last) - x):
                    if text:
                        yield y, at, text, style or PLAIN
                    at += cell_len(text)


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
