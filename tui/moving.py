"""Moving the cursor over rows, and marking them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui import query
from tui.listing import Edge
from tui.many import MARKED_MAX
from tui.widgets.lines import Lines

if TYPE_CHECKING:
    from tui.app import Dashboard


class Moving:
    """The commands that move and mark. With the first one what is seen stops following."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app

    def _move(self, by: int) -> None:
        if isinstance(self._app.focused, Lines):
            self._app.focused.scroll_lines(by)
            return
        self._by_hand()
        self._app.selection().move(by)

    def _by_hand(self) -> None:
        """A person moves the cursor, and does not want to be taken away from there."""
        self._app.looking.follow(following=False)

    def do_down(self) -> None:
        self._move(1)

    def do_up(self) -> None:
        self._move(-1)

    def do_half_down(self) -> None:
        self._move(self._app.selection().rows_seen // 2)

    def do_half_up(self) -> None:
        self._move(-(self._app.selection().rows_seen // 2))

    def do_page_down(self) -> None:
        self._move(self._app.selection().rows_seen)

    def do_page_up(self) -> None:
        self._move(-self._app.selection().rows_seen)

    def do_first(self) -> None:
        listing = self._app.store.listing(self._app.looking.view)
        if self._app.looking.view == "runs" and self._app.feed is not None and not listing.at_head:
            self._app.feed.want_more(Edge.HEAD)
        self._by_hand()
        self._app.selection().move_to(0)

    def do_last(self) -> None:
        listing = self._app.store.listing(self._app.looking.view)
        if self._app.looking.view == "runs" and self._app.feed is not None and not listing.at_tail:
            self._app.feed.want_more(Edge.TAIL)
        self._by_hand()
        self._app.selection().move_to(-1)

    def do_mark(self) -> None:
        self._app.looking.mark_filter(
            whole=False
        )  # from here on what is marked is what is seen to be
        self._app.selection().toggle_mark()
        self._move(1)
        self._app.draw()

    def do_mark_range(self) -> None:
        self._app.selection().mark_range()
        self._app.draw()

    def do_mark_all(self) -> None:
        listing = self._app.store.listing(self._app.looking.view)
        self._app.selection().mark_all()
        read = listing.at_head and listing.at_tail and len(listing) <= MARKED_MAX
        looking = self._app.looking
        is_filtered = looking.view == "runs" and not query.is_empty(looking.filters["runs"])
        looking.mark_filter(whole=is_filtered and not read)
        self._app.draw()

    def do_unmark(self) -> None:
        self._app.looking.mark_filter(whole=False)
        self._app.selection().clear_marks()
        self._app.draw()
