"""The terminal itself: its title, its characters, and what it is left with."""

from __future__ import annotations

from textual.app import App
from textual.filter import LineFilter
from textual.screen import Screen

from tui.screen import themes
from tui.screen.attention import GIVE_TITLE_BACK, KEEP_TITLE
from tui.screen.widgets.ascii import Asciify
from tui.screen.widgets.tight import TightScreen


class OnTerminal(App[None]):
    """An app that gives the terminal back as it was."""

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__()
        self.ascii_filter = Asciify(enabled=ascii_only)

    def get_line_filters(self) -> list[LineFilter]:
        """The last thing that is done to a line."""
        found = list(super().get_line_filters())
        return [*found, self.ascii_filter] if self.ascii_filter.enabled else found

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What Textual's own themes do not have."""
        return themes.variables(self.current_theme)

    def get_default_screen(self) -> Screen[None]:
        """The screen of the boards."""
        return TightScreen()

    def tell_terminal(self, sequence: str) -> None:
        """What Textual has no words for. The text in it is ours."""
        if self._driver is not None and not self.is_headless and not self.is_web:
            self._driver.write(sequence)

    def _fatal_error(self) -> None:
        """As Textual has it, but without the values of variables: bodies are among them."""
        from rich.traceback import Traceback

        self.panic(Traceback(show_locals=False, width=None))

    def on_mount(self) -> None:
        self.tell_terminal(KEEP_TITLE)

    def on_unmount(self) -> None:
        self.tell_terminal(GIVE_TITLE_BACK)
