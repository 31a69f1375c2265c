"""What is shown on a terminal that has no room for the dashboard."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.screen.dialogs.background import suspend

COLUMNS_MIN, LINES_MIN = 60, 12


def is_too_small(size: Size) -> bool:
    """Whether a terminal of this size has no room."""
    return size.width < COLUMNS_MIN or size.height < LINES_MIN


class TooSmall(ModalScreen[None]):
    """Covers everything: no key acts on what cannot be seen. Goes when there is room."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+q", "app.exit", "Quit", show=False),
        Binding("ctrl+z", "suspend", "Suspend", show=False),
    ]

    def compose(self) -> ComposeResult:
        yield Static(id="too-small", markup=False)

    def on_mount(self) -> None:
        self._tell(self.app.size)

    def on_resize(self, event: events.Resize) -> None:
        self._tell(event.size)

    def action_suspend(self) -> None:
        """To the background."""
        suspend(self.app)

    def on_screen_resume(self) -> None:
        """What lay over it has closed, perhaps after the terminal has grown."""
        if not is_too_small(self.app.size):
            self.dismiss(None)

    def _tell(self, size: Size) -> None:
        told = f"too small: have {size.width}×{size.height}, need {COLUMNS_MIN}×{LINES_MIN}"
        self.query_one("#too-small", Static).update(told)
