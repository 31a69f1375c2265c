"""Windows on a long list: pages that come in, in any order, leave a contiguous part of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui.support import STEADY
from tui.data import listing as listings
from tui.data.listing import Edge, Listing

PAGE = 5


class Served:
    """A list at an engine, in order, and pages of it as the engine gives them."""

    def __init__(self, rows: int) -> None:
        self.rows = [f"r{n:04}" for n in range(rows)]
        self._new = 0

    def add(self) -> None:
        """A new row comes to the head."""
        self._new += 1
        self.rows.insert(0, f"n{self._new:04}")

    def page(self, edge: Edge, cursor: str | None) -> tuple[list[str], str | None]:
        """A page, and the cursor of what lies beyond it."""
        rows = self.rows[::-1] if edge in (Edge.TAIL, Edge.BEFORE) else self.rows
        at = 0 if cursor is None else rows.index(cursor) + 1
        found = rows[at : at + PAGE]
        return found, found[-1] if at + PAGE < len(rows) else None


def read(listing: Listing, served: Served, edge: Edge, behind: str | None = None) -> None:
    """Read a page as the feed does."""
    cursor = {Edge.PART: behind, Edge.AFTER: listing.after, Edge.BEFORE: listing.ahead}.get(edge)
    page, beyond = served.page(edge, cursor)
    listing.take(edge, page, total=len(served.rows), is_estimate=False, next=beyond, behind=behind)


def test_pages_one_after_the_other() -> None:
    """From the head to the tail, knowing how much there is."""
    listing, served = Listing(), Served(12)
    read(listing, served, Edge.HEAD)
    assert (listing.ids, listing.total) == (served.rows[:5], 12)
    assert (listing.at_head, listing.at_tail, listing.outdated) == (True, False, False)
    read(listing, served, Edge.AFTER)
    read(listing, served, Edge.AFTER)
    assert listing.ids == served.rows
    assert listing.at_tail
    assert "r0011" in listing
    assert len(listing) == 12


def test_from_the_tail_backwards() -> None:
    """`G` needs no page in between."""
    listing, served = Listing(), Served(12)
    read(listing, served, Edge.HEAD)
    read(listing, served, Edge.TAIL)
    assert listing.ids == served.rows[7:]
    assert (listing.before, listing.at_head, listing.at_tail) == (7, False, True)
    read(listing, served, Edge.BEFORE)
    assert (listing.before, listing.ids) == (2, served.rows[2:])
    read(listing, served, Edge.BEFORE)
    assert (listing.before, listing.ids, listing.at_head) == (0, served.rows, True)


def test_the_last_page_joins_what_it_meets() -> None:
    """A search stops counting early; with both ends in one window the rows are counted."""
    listing = Listing()
    rows = [f"r{n}" for n in range(8)]
    listing.take(Edge.HEAD, rows[:5], total=5, is_estimate=True, next="r4")
    listing.take(Edge.TAIL, rows[:2:-1], total=5, is_estimate=True, next="r3")
    assert (listing.ids, listing.at_head, listing.at_tail, listing.before) == (rows, True, True, 0)
    assert (listing.total, listing.is_estimate, listing.has_jumped) == (8, False, True)


def test_a_new_head_keeps_what_it_meets() -> None:
    """The cursor may stand far below: new rows at the top do not take its row away."""
    listing, served = Listing(), Served(12)
    read(listing, served, Edge.HEAD)
    read(listing, served, Edge.AFTER)
    for _ in range(3):
        served.add()
    read(listing, served, Edge.HEAD)
    assert listing.ids == served.rows[:13]
    for _ in range(30):
        served.add()
    read(listing, served, Edge.HEAD)
    assert listing.ids == served.rows[:5]  # a gap: what was known does not join it


def test_turning_a_list_round() -> None:
    """What is held whole is turned where it is; of a part nothing would be at its place."""
    listing, served = Listing(), Served(12)
    read(listing, served, Edge.HEAD)
    listing.turn()
    assert (listing.ids, listing.total) == ([], None)
    listing.put(["a", "b", "c"], whole=True)
    listing.turn()
    assert (listing.ids, listing.total) == (["c", "b", "a"], 3)


def test_a_part_is_read_again_in_its_place() -> None:
    """Rows that have gone from it go, and the rows around it stay."""
    listing, served = Listing(), Served(12)
    for edge in (Edge.HEAD, Edge.AFTER, Edge.AFTER):
        read(listing, served, edge)
    for gone in ("r0004", "r0005"):
        served.rows.remove(gone)
    read(listing, served, Edge.PART, "r0002")
    assert listing.ids == served.rows
    listing.take(Edge.PART, ["x"], total=1, is_estimate=False, next=None, behind="unknown")
    assert listing.ids == served.rows


def test_a_search_may_find_nothing_and_not_be_over() -> None:
    """The cursor goes on from where the engine has looked, not from the last row."""
    listing = Listing()
    listing.take(Edge.HEAD, [], total=0, is_estimate=True, next="c1")
    assert (listing.ids, listing.at_tail, listing.after) == ([], False, "c1")
    listing.take(Edge.AFTER, [], total=0, is_estimate=True, next="c2")
    assert (listing.after, listing.is_estimate) == ("c2", True)
    listing.take(Edge.AFTER, ["a"], total=1, is_estimate=True, next=None)
    assert (listing.ids, listing.at_tail, listing.after) == (["a"], True, None)
    assert (listing.total, listing.is_estimate) == (1, False)  # all of it has been seen


def test_an_estimate_of_a_part_is_none_of_the_whole() -> None:
    """A page further on counts only itself."""
    listing = Listing()
    listing.take(Edge.HEAD, ["a", "b"], total=2, is_estimate=True, next="b")
    listing.take(Edge.AFTER, ["c"], total=1, is_estimate=True, next="c")
    assert (listing.total, listing.is_estimate) == (2, True)


def test_a_list_that_is_held_whole() -> None:
    """What is read at once takes the place of what was there, and has no row twice."""
    listing = Listing()
    listing.unseen = 3
    listing.put(["a", "b", "a"], whole=True)
    assert (listing.ids, listing.total, listing.unseen) == (["a", "b"], 2, 0)
    assert (listing.at_head, listing.at_tail, listing.outdated) == (True, True, False)
    listing.put(["c"], whole=False)
    assert (listing.ids, listing.total, listing.is_estimate) == (["c"], 1, True)
    assert not (listing.at_tail and listing.at_head)
    listing.clear()
    assert (listing.ids, listing.total, listing.outdated) == ([], None, True)


STEPS = st.lists(
    st.sampled_from([*Edge, *Edge, "add", "remove"]).flatmap(
        lambda step: st.tuples(st.just(step), st.integers(0, 10**6))
    ),
    max_size=40,
)


@pytest.mark.slow
@settings(STEADY, max_examples=400)
@given(st.integers(0, 40), st.integers(6, 30), STEPS)
def test_a_window_is_a_part_of_the_list(
    rows: int, kept_max: int, steps: list[tuple[str, int]]
) -> None:
    """Whatever is read in whatever order while rows come and go: no row twice, none left out
    between two others, in the list's order, and never more than may be kept.

    Rows that have gone since they were read may still stand there until they are read again.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listings, "ROWS_KEPT_MAX", kept_max)
        listing, served = Listing(), Served(rows)
        read(listing, served, Edge.HEAD)
        for step, chance in steps:
            act(listing, served, step, chance)
            check(listing, served, kept_max)


def act(listing: Listing, served: Served, step: str, chance: int) -> None:
    """Something happens to the list, or a page of it is read."""
    there = set(served.rows)
    match step:
        case "add":
            served.add()
        case "remove" if served.rows:
            del served.rows[chance % len(served.rows)]
        case Edge.AFTER if listing.after in there or not listing.ids:
            read(listing, served, Edge.AFTER)
        case Edge.BEFORE if listing.ahead in there:
            read(listing, served, Edge.BEFORE)
        case Edge.PART if listing.ids:
            behind = listing.ids[chance % len(listing.ids)]
            if behind in there:
                read(listing, served, Edge.PART, behind)
        case Edge.HEAD | Edge.TAIL:
            read(listing, served, Edge(step))


def check(listing: Listing, served: Served, kept_max: int) -> None:
    """The window is a part of the list."""
    ids = listing.ids
    assert len(ids) <= kept_max
    assert len(set(ids)) == len(ids) == len(listing)
    assert all(id in listing for id in ids)
    there = [id for id in ids if id in set(served.rows)]
    if there:
        at = served.rows.index(there[0])
        assert there == served.rows[at : at + len(there)]
        if listing.at_tail:
            assert served.rows[at:] == there


@STEADY
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Edge)),
            st.lists(st.sampled_from("abcdefgh"), max_size=6),
            st.none() | st.sampled_from("abcx"),
            st.none() | st.sampled_from("abcx"),
        ),
        max_size=12,
    )
)
def test_no_page_leaves_a_row_twice(
    pages: list[tuple[Edge, list[str], str | None, str | None]],
) -> None:
    """Pages of a server that has no order, or repeats itself."""
    listing = Listing()
    for edge, page, beyond, behind in pages:
        listing.take(edge, page, total=None, is_estimate=False, next=beyond, behind=behind)
        assert len(set(listing.ids)) == len(listing.ids) == len(listing)
