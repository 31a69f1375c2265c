"""The line at the foot: what is typed behind `/` and `:`, and what follows when it is entered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.keys import NoCommand, parse_command
from tui.prompt import Prompt

if TYPE_CHECKING:
    from tui.app import Dashboard


class Commanding:
    """See the head of this file."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app

    def do_filter(self, text: str = "") -> None:
        app = self._app
        if text:
            app.set_filter(text)
        else:
            app.prompt.open("filter", app.looking.filter)

    def do_command(self) -> None:
        self._app.prompt.open("command", "")

    def entered(self, event: Prompt.Entered) -> None:
        """Filter, do the command, or take what was asked for."""
        app = self._app
        if event.kind == "filter":
            if app.set_filter(event.text):
                app.close_prompt()
            return
        if event.kind != "command":
            app.acting.retargeting.entered(event.kind, event.text)
            return
        app.close_prompt()
        try:
            command, argument = parse_command(event.text)
        except NoCommand as error:
            app.flash(str(error), "alarm")
            return
        app.run_command(command.id, argument)
