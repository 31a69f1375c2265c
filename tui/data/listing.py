"""A window on a long list: the ids of some rows in order, and how much lies before and behind.

The engine holds the list and its order; a window grows at its edges as the cursor comes near them,
page by page, and is bounded. Rows are known by their ids, never by where they stand: a page that
comes in changes what is around a cursor, not what it is on.
"""

from __future__ import annotations

from enum import StrEnum

from engine.wire import ExpiredRow

ROWS_KEPT_MAX = 2_000


class Edge(StrEnum):
    """Where a page belongs."""

    HEAD = "head"
    """The first page: the window begins anew there, keeping what joins it."""
    PART = "part"
    """What lies behind a row of the window, read again."""
    AFTER = "after"
    """What follows the window."""
    TAIL = "tail"
    """The last page, given from the end: the window begins anew there."""
    BEFORE = "before"
    """What lies before the window, given from it backwards."""


FROM_AN_END = frozenset({Edge.HEAD, Edge.TAIL})
"""Pages that know how many rows there are, when they hold all of them."""


class Listing:
    """The rows of one board under one filter and order."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._known: set[str] = set()
        self.before = 0
        """Rows before the window; an estimate once the window has jumped to the end."""
        self.total: int | None = None
        """Rows that match; None: not read yet."""
        self.is_estimate = False
        self.at_head = True
        """Nothing lies before the window."""
        self.at_tail = False
        """Nothing lies behind it."""
        self.has_jumped = False
        """The last page has come since the screen last looked: a cursor at the end goes with it."""
        self.after: str | None = None
        """The cursor of what follows the window: behind the last row, if the engine has looked
        further and found nothing."""
        self.ahead: str | None = None
        """The same of what lies before it."""
        self.outdated = True
        """Something happened to a row of it: read it again."""
        self.unseen = 0
        """New rows that have come since it was read."""
        self.gone: tuple[ExpiredRow, ...] = ()
        """Runs of the key that is asked for, which retention removed."""

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._known

    def clear(self) -> None:
        """Forget everything: another filter or order."""
        self.__init__()  # type: ignore[misc]

    def expire(self) -> None:
        """It is to be read again."""
        self.outdated = True

    def came(self) -> None:
        """A row has come that was not read."""
        self.unseen += 1

    def turn(self) -> None:
        """The other way round. What is known whole stays; of a part nothing is at its place."""
        if self.at_head and self.at_tail and self.total is not None:
            self.ids.reverse()
        else:
            self.clear()

    def take_jump(self) -> bool:
        """Whether the last page has come since this was last asked."""
        has_jumped, self.has_jumped = self.has_jumped, False
        return has_jumped

    def put(self, ids: list[str], *, whole: bool) -> None:
        """These are the rows: of a list that comes whole, or of one whose order changes all the
        time, so that only its head is read."""
        self.ids = list(dict.fromkeys(ids))[:ROWS_KEPT_MAX]
        self._known = set(self.ids)
        self.total, self.is_estimate, self.at_tail = len(self.ids), not whole, whole
        self.outdated, self.unseen = False, 0

    def take(
        self,
        edge: Edge,
        page: list[str],
        *,
        total: int | None,
        is_estimate: bool,
        next: str | None,
        behind: str | None = None,
    ) -> None:
        """A page was read. `next`: the cursor of what lies beyond it. `behind`: where a PART
        begins."""
        page = list(dict.fromkeys(page))
        match edge:
            case Edge.HEAD:
                self._join(0, page, next, meets=self.at_head)
                self.at_head, self.ahead, self.before = True, None, 0
                self.outdated, self.unseen = False, 0
            case Edge.PART:
                if behind in self._known:
                    self._join(self.ids.index(behind) + 1, page, next, meets=True)
                self.outdated = False
            case Edge.AFTER:
                self.ids += [id for id in page if id not in self._known]
                self.at_tail, self.after = next is None, next
                self._cut_head()
            case Edge.TAIL:
                self._end(page[::-1], next, total or 0)
            case Edge.BEFORE:
                new = [id for id in page if id not in self._known]
                self.ids[:0] = new[::-1]
                self.at_head, self.ahead = next is None, next
                self.before = 0 if next is None else max(0, self.before - len(new))
        self._cut_tail()
        self._known = set(self.ids)
        if self.at_head and self.at_tail:
            self.total, self.is_estimate = len(self.ids), False
        elif not is_estimate or edge in FROM_AN_END or self.total is None:
            self.total, self.is_estimate = total, is_estimate

    def _end(self, page: list[str], next: str | None, total: int) -> None:
        """The last page. Rows before it stay if the window meets it: with its head the list is
        whole then, and its rows are counted."""
        self.at_tail, self.after, self.has_jumped = True, None, True
        if next is not None and page and page[0] in self._known:
            before, taken = self.ids[: self.ids.index(page[0])], set(page)
            self.ids = [id for id in before if id not in taken] + page
            self._cut_head()
            return
        self.ids, self.outdated = page, False
        self.at_head, self.ahead = next is None, next
        self.before = 0 if next is None else max(0, total - len(page))

    def _join(self, at: int, page: list[str], next: str | None, *, meets: bool) -> None:
        """Put a page in place of what was there. Rows further on stay if the page meets them."""
        taken = set(page)
        kept = [id for id in self.ids[:at] if id not in taken]
        further: list[str] = []
        if next is not None and meets and page and page[-1] in self._known:
            rest = self.ids[max(at, self.ids.index(page[-1]) + 1) :]
            further = [id for id in rest if id not in taken]
        self.ids = kept + page + further
        if not further:
            self.at_tail, self.after = next is None, next

    def _cut_head(self) -> None:
        over = len(self.ids) - ROWS_KEPT_MAX
        if over > 0:
            del self.ids[:over]
            self.before += over
            self.at_head, self.ahead = False, self.ids[0]

    def _cut_tail(self) -> None:
        if len(self.ids) > ROWS_KEPT_MAX:
            del self.ids[ROWS_KEPT_MAX:]
            self.at_tail, self.after = False, self.ids[-1]
