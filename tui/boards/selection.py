"""Which row the cursor is on, and which rows are marked. Both are ids: rows may come, go and be
sorted anew around them.

Plain data. The table that draws the rows says which of them are on the screen, and is told when the
cursor or a mark is another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

MARKED_MAX = 100
"""More rows are acted on by a job of the engine's."""
LOOK_AGAIN_S = 0.5
"""So long after the cursor's row has left, a key was still meant for that one."""
NEVER = float("-inf")


class CursorMove(NamedTuple):
    """What other rows did to the cursor and to the marks."""

    before: int
    """Where the cursor's row was; -1: there was none."""
    lost: bool = False
    """That row has left."""
    marks_lost: int = 0
    """So many marked rows have."""


class Selection:
    """See the head of this file. `moved`: the cursor was moved. `marked`: marks came or went."""

    def __init__(
        self, moved: Callable[[], None] = lambda: None, marked: Callable[[], None] = lambda: None
    ) -> None:
        self._moved, self._marked = moved, marked
        self.ids: list[str] = []
        self._index: dict[str, int] = {}
        self.cursor_id: str | None = None
        self.marks: dict[str, None] = {}
        self.range_from: str | None = None
        """The row at which a range was begun: marks reach from there to the cursor. None: they stay
        as they are."""
        self.marks_lost = 0
        """Marks whose rows have left, since this was last told."""
        self._left_at = NEVER
        """Monotonic: when the row under the cursor last left."""
        self.first_seen, self.rows_seen = 0, 1
        """The index of the first row on the screen, and how many there is room for."""

    @property
    def cursor(self) -> int:
        """The index of the cursor's row; -1: there is none."""
        return -1 if self.cursor_id is None else self._index.get(self.cursor_id, -1)

    # -- rows come and go ----------------------------------------------------------------------

    def set_ids(self, ids: Sequence[str], now: float) -> CursorMove | None:
        """The rows are these now, on the monotonic clock. The cursor stays on its row, or is where
        that was. None: they are the same."""
        if list(ids) == self.ids:
            return None
        before = self.cursor
        self.ids = list(ids)
        self._index = {row_id: at for at, row_id in enumerate(self.ids)}
        gone = [row_id for row_id in self.marks if row_id not in self._index]
        for row_id in gone:
            del self.marks[row_id]
        if self.range_from not in self._index:
            self.range_from = None
        self.marks_lost += len(gone)
        lost = self.cursor_id is not None and self.cursor_id not in self._index
        if lost:
            self._left_at = now
        if not self.ids:
            self.cursor_id = None
        elif self.cursor_id is None or lost:
            self.cursor_id = self.ids[min(max(before, 0), len(self.ids) - 1)]
        return CursorMove(before, lost, len(gone))

    def stand_in(self, row_id: str) -> None:
        """This row, which is to come, stands for the cursor's, which has not left."""
        self.cursor_id = row_id

    def has_just_left(self, now: float) -> bool:
        """Whether a key may still be meant for the row that was under the cursor."""
        return now - self._left_at < LOOK_AGAIN_S

    def look_anew(self) -> None:
        """Whoever looks at the rows now sees which one is under the cursor."""
        self._left_at = NEVER

    def told_of_marks(self) -> None:
        """That marked rows have left is known."""
        self.marks_lost = 0

    # -- what is on the screen -----------------------------------------------------------------

    def see(self, first: int, rows: int) -> None:
        """These rows are on the screen."""
        self.first_seen, self.rows_seen = first, rows

    def is_seen(self, index: int) -> bool:
        """Whether a row is on the screen."""
        return self.first_seen <= index < self.first_seen + self.rows_seen

    @property
    def ids_seen(self) -> list[str]:
        """The rows on the screen."""
        return self.ids[self.first_seen : self.first_seen + self.rows_seen]

    # -- the cursor ----------------------------------------------------------------------------

    def move(self, by: int) -> None:
        """Move the cursor by so many rows."""
        if self.ids:
            self.move_to(min(max(self.cursor + by, 0), len(self.ids) - 1))

    def move_to(self, index: int) -> None:
        """Move the cursor to a row: it is known now which one is under it, and what has left."""
        if self.ids:
            self.cursor_id = self.ids[index]
            self.look_anew()
            self.told_of_marks()
            if self.range_from is not None:
                self.marks = dict.fromkeys(self._up_to_cursor(self.range_from))
            self._moved()

    def move_to_id(self, row_id: str) -> None:
        """Move the cursor to this row, if it is here."""
        index = self._index.get(row_id)
        if index is not None:
            self.move_to(index)

    # -- marks ---------------------------------------------------------------------------------

    def toggle_mark(self) -> None:
        """Mark the cursor's row, or take its mark away; a range ends here with its marks."""
        if self.range_from is not None:
            self.range_from = None
        elif self.cursor_id in self.marks:
            del self.marks[self.cursor_id]
        elif self.cursor_id is not None:
            self.marks[self.cursor_id] = None
        self._marked()

    def mark_range(self) -> None:
        """Begin a range at the cursor's row, that reaches to wherever the cursor goes; again: it
        ends here. Where something is marked already: from the last mark to here."""
        last = next(reversed(self.marks), None)
        if self.range_from is not None:
            self.range_from = None
        elif last is None:
            self.toggle_mark()
            self.range_from = self.cursor_id
            return
        elif self.cursor >= 0:
            self.marks |= dict.fromkeys(self._up_to_cursor(last))
        self._marked()

    def _up_to_cursor(self, row_id: str) -> list[str]:
        begin, end = sorted((self._index[row_id], self.cursor))
        return self.ids[begin : end + 1]

    def mark_all(self) -> None:
        """Mark every row that was read."""
        self.range_from = None
        self.marks = dict.fromkeys(self.ids)
        self._marked()

    def unmark(self, row_id: str) -> None:
        """Take the mark of a row away, for what was done to it: the others stay as they are."""
        self.range_from = None
        self.marks.pop(row_id, None)

    def clear_marks(self) -> None:
        """Take all marks away."""
        self.marks.clear()
        self.range_from = None
        self.told_of_marks()
        self._marked()
