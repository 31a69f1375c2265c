"""Looking for a text in lines that are read: typed at the foot of the box, and gone to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from tui.boards.cells import Cell, text_of
from tui.screen.widgets.typed import Typed


class Find(Typed):
    """Where it is typed. It is not there until it is asked for, and `esc` closes it alone."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    class Left(Message):
        """It was closed without being typed to its end."""

    def __init__(self) -> None:
        super().__init__(id="find", compact=True, placeholder="a part of a line")
        self.display = False

    def action_leave(self) -> None:
        """Look for nothing."""
        self.post_message(self.Left())


def lines_with(lines: Sequence[Cell], text: str) -> list[int]:
    """Which lines have a text, whatever its case; or begin with the end of one that goes on."""
    wanted = text.lower()
    told = [text_of(line).lower() for line in lines]
    found = []
    for at, line in enumerate(told):
        rest = told[at + 1] if at + 1 < len(told) else ""
        if wanted in line or (wanted in line + rest and wanted not in rest):
            found.append(at)
    return found
