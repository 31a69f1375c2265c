"""In which order the rows of a board stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.looks import SHAPES
from tui.screens.ask import Choice, Choose
from tui.sorting import FIXED, SORTS

if TYPE_CHECKING:
    from tui.app import Dashboard

AS_LISTED = "as the engine lists them"


class Ordering:
    """Sorts boards that are held whole by any column, and turns the runs round."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app

    def do_sort(self) -> None:
        """Choose a column; of runs there is one, so it is turned round."""
        app = self._app
        view = app.looking.view
        if view == "runs":
            self._turn()
            return
        if view not in SORTS:
            app.flash(FIXED[view], "alarm")
            return
        columns = [c for c in app.grid().columns if c.key in SORTS[view]]
        keys = {column.title.lower(): column.key for column in columns}
        now = app.looking.sorted_by.get(view)
        choices = [
            Choice(f"{at}", title, title, _direction(key, now))
            for at, (title, key) in enumerate(keys.items(), 1)
        ]
        choices.append(Choice("0", AS_LISTED, AS_LISTED, "" if now else "now"))

        def chosen(title: str | None) -> None:
            if title:
                self._by(keys.get(title))

        app.push_screen(Choose("Sort by", choices), chosen)

    def clicked(self, key: str) -> None:
        """The head of a column was clicked."""
        view = self._app.looking.view
        if view == "runs" and key == "age":
            self._turn()
        elif key in SORTS.get(view, {}):
            self._by(key)
        else:
            self._app.flash(FIXED.get(view, "this column does not sort"), "alarm")

    def _by(self, key: str | None) -> None:
        """Sort by a column, the other way round if it is so already; None: as the engine does."""
        app = self._app
        app.looking.sort(key)
        app.grid().show_order(app.looking.sorted_by.get(app.looking.view))
        app.draw()

    def _turn(self) -> None:
        """Oldest first, or newest first again. The cursor stays on its run, and marks on theirs."""
        app = self._app
        listing = app.store.listing("runs")
        if app.store.stale and not (listing.at_head and listing.at_tail):
            app.flash("not connected: the other end of the list cannot be read", "alarm")
            return
        app.looking.turn()
        app.grid().show_order(("age", app.looking.newest_first))
        if app.feed is not None:
            app.show_board()
        else:
            listing.turn()
        app.looking.turned(done=listing.total is not None)
        app.draw()

    def lost(self) -> str:
        """What to say when the cursor's row is not among those that were read."""
        if not self._app.looking.is_turning:
            return "the row under the cursor has left the list"
        self._app.looking.turned()
        marks = self._app.selection("runs").marks_lost
        told = f", and {marks:,} marks were taken away" if marks else ""
        return f"its run is further down in this order: the cursor is on another one{told}"


def _direction(key: str, now: tuple[str, bool] | None) -> str:
    if now is None or now[0] != key:
        return ""
    return f"now {SHAPES.arrow_down if now[1] else SHAPES.arrow_up}, again turns it round"
