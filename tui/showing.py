"""The commands that change what is seen, and how: help, palette, look, times, another run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.background import suspend
from tui.boards import Cell
from tui.help import help_lines
from tui.screens.ask import READ_FRAME_CELLS, Read
from tui.screens.palette import palette

if TYPE_CHECKING:
    from tui.app import Dashboard
    from tui.store import Store

RUN_ID_CHARACTERS = 26
"""Of a ULID."""


class Showing:
    """See the head of this file."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app

    def do_help(self) -> None:
        self._app.looking.help()
        cells = self._app.size.width - READ_FRAME_CELLS
        lines = help_lines(self._app.commands, self._app.looking.view, cells)
        self._app.push_screen(Read(f"Keys: {self._app.looking.view}", lines))

    def do_palette(self) -> None:
        self._app.push_screen(palette(self._app))

    def do_resync(self) -> None:
        if self._app.feed is not None:
            self._app.feed.resync()
        self._app.flash("reading everything again")

    def do_suspend(self) -> None:
        if not suspend(self._app):
            self._app.flash("there is no shell to go back to", "alarm")

    def do_follow(self) -> None:
        if not self._app.looking.following:
            self._app.moving.do_first()
        self._app.looking.follow(following=not self._app.looking.following)
        self._app.flash("following" if self._app.looking.following else "not following")

    def do_theme(self, name: str) -> None:
        """Another look; without a name those that there are."""
        app = self._app
        if not name:
            names: list[Cell] = [(each, "plain") for each in sorted(app.available_themes)]
            app.push_screen(Read(f"Themes: {app.theme} now", names))
        elif name in app.available_themes:
            app.theme = name
        else:
            app.flash(f"there is no theme `{name}`: `:theme` lists them", "alarm")

    def do_utc(self) -> None:
        is_utc = self._app.looking.tell_times_in_utc()
        self._app.flash(f"times are told in {'UTC' if is_utc else 'local time'}")

    def do_run(self, wanted: str) -> None:
        try:
            self._app.reading.open_run(run_id_of(self._app.store, wanted))
        except LookupError as error:
            self._app.flash(str(error.args[0]), "alarm")


def run_id_of(store: Store, wanted: str) -> str:
    """The run that an id, or the end of one that was seen, stands for. Raises LookupError."""
    if len(wanted) == RUN_ID_CHARACTERS:
        return wanted
    seen = {*store.runs, *store.trees, *(event.run_id for event in store.events)}
    seen |= {retry.run_id for retry in store.retries.values()}
    ends = [run_id for run_id in seen if wanted and run_id.endswith(wanted.upper())]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise LookupError(f"{len(ends):,} runs that were seen end with {wanted}: give more of it")
    raise LookupError(f"no run that was seen ends with {wanted or 'that'}: give its whole id")
