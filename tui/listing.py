"""A window on a long list: the ids of some rows in order, and how much lies before and behind.

The engine holds the list and its order; a window grows at its edges as the cursor comes near them,
page by page, and is bounded. Rows are known by their ids, never by where they stand: a page that
comes in changes what is around a cursor, not what it is on.
"""

from __future__ import annotations

from enum import StrEnum

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
        self.outdated = True
        """Something happened to a row of it: read it again."""
        self.unseen = 0
        """New rows that have come since it was read."""

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._known

    def clear(self) -> None:
        """Forget everything: another filter or order."""
        self.__init__()  # type: ignore[misc]

    def take(
        self,
        edge: Edge,
        page: list[str],
        *,
        total: int | None,
        is_estimate: bool,
        more: bool,
        behind: str | None = None,
    ) -> None:
        """A page was read. `more`: beyond it there is more. `behind`: where a PART begins."""
        self.total, self.is_estimate = total, is_estimate
        match edge:
            case Edge.HEAD:
                self._join(0, page, more=more, meets=self.at_head)
                self.at_head, self.before, self.unseen = True, 0, 0
                self.outdated = False
            case Edge.PART:
                if behind in self._known:
                    self._join(self.ids.index(behind) + 1, page, more=more, meets=True)
                self.outdated = False
            case Edge.AFTER:
                self.ids += [id for id in page if id not in self._known]
                self.at_tail = not more
                self._cut_head()
            case Edge.TAIL:
                self.ids = page[::-1]
                self.at_head, self.at_tail = not more, True
                self.before = 0 if not more else max(0, (total or 0) - len(page))
            case Edge.BEFORE:
                new = [id for id in page if id not in self._known]
                self.ids[:0] = new[::-1]
                self.at_head = not more
                self.before = 0 if not more else max(0, self.before - len(new))
        self._cut_tail()
        self._known = set(self.ids)

    def _join(self, at: int, page: list[str], *, more: bool, meets: bool) -> None:
        """Put a page in place of what was there. Rows further on stay if the page meets them."""
        kept, taken = self.ids[:at], set(page)
        further: list[str] = []
        if more and meets and page and page[-1] in self._known:
            rest = self.ids[self.ids.index(page[-1]) + 1 :]
            further = [id for id in rest if id not in taken]
        self.ids = [id for id in kept if id not in taken] + page + further
        self.at_tail = (self.at_tail and bool(further)) or not more

    def _cut_head(self) -> None:
        over = len(self.ids) - ROWS_KEPT_MAX
        if over > 0:
            del self.ids[:over]
            self.before += over
            self.at_head = False

    def _cut_tail(self) -> None:
        if len(self.ids) > ROWS_KEPT_MAX:
            del self.ids[ROWS_KEPT_MAX:]
            self.at_tail = False

    def touch(self, row_id: str, *, is_new: bool) -> bool:
        """Something happened to a row; returns whether this listing may be out of date for it."""
        if is_new:
            self.unseen += 1
        elif row_id not in self._known:
            return False
        self.outdated = True
        return True
