"""Filters as SQL find what the same conditions find in Python, on pages of any size."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.cause import stuck
from engine.core.filter import parse
from engine.core.model import StepState
from engine.ports.views import RunQuery
from engine.store.sqlite.readers import connect_read_only
from engine.store.tables.connection import SQL, Tables
from engine.store.tables.views import filter as filters
from engine.store.tables.views.filter import Condition
from engine.store.tables.views.views import TableViews
from tests.store.shelf import (
    NOW,
    TEXTS,
    Shelf,
    a_run,
    a_step,
    fill,
    found,
    random_runs,
    wanted,
)
from tests.store.support import store_at

RUNS = 150


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    path = tmp_path_factory.mktemp("shelf") / "a.db"
    runs = random_runs(RUNS)
    trio.run(fill, path, runs)
    db = connect_read_only(path)
    yield Shelf(db, runs)
    db.close()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("negated", ["", "!"], ids=["plain", "negated"])
def test_a_term(shelf: Shelf, text: str, negated: str) -> None:
    """Each field, each word, wildcards and what only looks like one: with and without `!`."""
    assert found(shelf.db, negated + text) == wanted(shelf.runs, negated + text)


def test_the_shelf_has_what_is_looked_for(shelf: Shelf) -> None:
    """A term that finds nothing or everything would prove nothing; few of these are such."""
    counts = {text: len(wanted(shelf.runs, text)) for text in TEXTS}
    empty = {text for text, count in counts.items() if count in (0, RUNS)}
    assert empty == {
        *("wf:nothing", "step:send?1?", "step:SENDMAIL", "host:evil.example.com", "host:*/*"),
        *("job:J3", "job:J2/refused"),
        *("age:<0s", "code:1xx", "code:302", "*", '"- "'),
        *("error:ofxit", "error:\u00e4", r"error:0\%"),
    }


def test_runs_by_cause(shelf: Shelf) -> None:
    """A cause finds all its runs, by as much of its name as is given; turned round all others."""
    needs = {run.id: need.cause for run in shelf.runs if (need := stuck(run))}
    assert len(set(needs.values())) > 5
    for cause in set(needs.values()):
        ids = sorted((id for id, other in needs.items() if other == cause), reverse=True)
        assert found(shelf.db, f"cause:{cause}") == ids
        assert found(shelf.db, f"cause:{cause} !is:stuck") == []
        others = sorted({run.id for run in shelf.runs} - {*ids}, reverse=True)
        assert found(shelf.db, f"!cause:{cause}") == others
        for text in (f"cause:{cause[:2]}", f"cause:*{cause[3:]}", f"cause:{cause[:3]}?"):
            assert found(shelf.db, text) == wanted(shelf.runs, text)


def test_terms_stand_together(shelf: Shelf) -> None:
    """All must hold; states that leave nothing find nothing."""
    texts = (
        "is:failed !is:dismissed",
        "is:live is:stuck",
        "is:failed is:stuck wf:o*",
        "is:ended s",
    )
    for text in texts:
        assert wanted(shelf.runs, text)
        assert found(shelf.db, text) == wanted(shelf.runs, text)
    for text in ("is:live is:ended", "is:failed is:completed", "is:stuck is:dismissed"):
        assert found(shelf.db, text) == wanted(shelf.runs, text) == []


def test_other_conditions_hold_too(shelf: Shelf) -> None:
    """What the query's own parameters ask for is held beside the filter."""
    also: Condition = ("run.client = ? AND run.state IN (?)", ("shop", "failed"))
    assert found(shelf.db, "wf:o*", also) == wanted(shelf.runs, "wf:o* client:shop is:failed") != []


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("limit", [1, 3, 500])
@pytest.mark.parametrize(("chunk", "at_most"), [(1, 1), (4, 4), (7, 21), (50, 100), (75, 600)])
def test_pages_find_each_run_once(
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    newest_first: bool,
    limit: int,
    chunk: int,
    at_most: int,
) -> None:
    """However few rows are looked at for a page, and in both orders: every run, once, in order."""
    monkeypatch.setattr(filters, "CHUNK_ROWS", chunk)
    monkeypatch.setattr(filters, "ROWS_LOOKED_AT_MAX", at_most)
    for text in (
        "",
        "is:stuck",
        "is:live",
        "is:failed",
        "wf:order",
        "wf:nothing",
        "!is:stuck due:>1s",
    ):
        ids = found(shelf.db, text, newest_first=newest_first, limit=limit)
        assert ids == wanted(shelf.runs, text, newest_first=newest_first), text


FILTERS = st.lists(
    st.tuples(st.sampled_from(["", "", "!"]), st.sampled_from(TEXTS)).map("".join), max_size=4
).map(" ".join)


@pytest.mark.slow
@settings(max_examples=300)
@given(text=FILTERS, newest_first=st.booleans(), limit=st.integers(1, 60), chunk=st.integers(1, 80))
def test_any_filter_finds_what_it_says(
    shelf: Shelf, text: str, newest_first: bool, limit: int, chunk: int
) -> None:
    """Terms in any combination, on pages of any size, against the same conditions in Python."""
    with mock.patch.multiple(filters, CHUNK_ROWS=chunk, ROWS_LOOKED_AT_MAX=3 * chunk):
        ids = found(shelf.db, text, newest_first=newest_first, limit=limit)
    assert ids == wanted(shelf.runs, text, newest_first=newest_first)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("is:stuck", "run_cause"),
        ("cause:ab", "run_cause"),
        ("wf:a is:stuck is:failed", "run_cause"),
        ("is:failed", "run_state"),
        ("is:live", "run_state"),
        ("!is:ended", "run_state"),
    ],
)
def test_what_has_an_index_is_looked_for_by_it(shelf: Shelf, text: str, index: str) -> None:
    """Few runs are stuck or live among many that have ended: only those are looked at."""
    candidates = filters.Candidates(parse(text), newest_first=True)
    edges = ("~",) * candidates._times
    plan = [
        row["detail"]
        for row in shelf.db.execute(f"EXPLAIN QUERY PLAN {candidates._sql}", edges)
        if "run" in row["detail"]
    ]
    assert plan
    assert all(f"INDEX {index}" in detail for detail in plan), plan


def test_many_stuck_runs_are_sorted_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their index is in another order: 150,000 of them, sorted for each chunk, took 5 s."""
    monkeypatch.setattr(filters, "CHUNK_ROWS", 2)
    seen: list[str] = []
    shelf.db.set_trace_callback(seen.append)
    try:
        found = filters.find(
            shelf.db, parse("is:stuck"), [], now=NOW, cursor=None, newest_first=True, limit=1_000
        )
    finally:
        shelf.db.set_trace_callback(None)
    assert [row["id"] for row in found.rows] == wanted(shelf.runs, "is:stuck")
    assert len(found.rows) > 10
    assert sum("run_cause" in statement for statement in seen) <= 2  # the last finds no more


@pytest.mark.parametrize("text", TEXTS)
def test_only_the_steps_of_the_run_are_looked_at(shelf: Shelf, text: str) -> None:
    """They are neighbours in the table. By another index each run would cost all that is due."""
    where = " AND ".join(filters.condition(term, NOW)[0] for term in parse(text))
    record = f"EXPLAIN QUERY PLAN {SQL['run_record']} WHERE {where}"
    values = [value for term in parse(text) for value in filters.condition(term, NOW)[1]]
    plan = [row["detail"] for row in shelf.db.execute(record, values)]
    steps = [detail for detail in plan if " step " in detail]
    assert steps
    assert all("SEARCH step USING PRIMARY KEY (id>? AND id<?)" in detail for detail in steps), plan


async def test_a_filter_for_states_alone_is_counted(path: Path) -> None:
    """The counts by state say how many there are, however many were read for the page."""
    runs = [a_run(f"01{n}", a_step(f"01{n}", state=StepState.FAILED, ended_at=n)) for n in range(5)]
    await fill(path, runs)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO tally VALUES ('failed', 5)")
    db.close()
    async with store_at(path) as store:
        views = TableViews(store)
        for text, total in (("is:failed", 5), ("is:ended !is:completed", 5), ("is:live", 0)):
            query = RunQuery(filter=parse(text), now=NOW, limit=2)
            found = await views.runs(query)
            assert (found.total, found.total_is_estimate) == (total, False), text
        for text in ("is:failed key:*", "is:stuck", "!is:dismissed"):
            query = RunQuery(filter=parse(text), now=NOW, limit=2)
            assert (await views.runs(query)).total_is_estimate, text
        of_one = RunQuery(filter=parse("is:failed"), client="shop", now=NOW, limit=2)
        assert (await views.runs(of_one)).total_is_estimate


async def test_a_page_without_steps(path: Path) -> None:
    """The same runs, without where they are."""
    runs = [a_run(f"01{n}", a_step(f"01{n}", state=StepState.FAILED, ended_at=n)) for n in range(3)]
    await fill(path, runs)
    async with store_at(path) as store:
        views = TableViews(store)
        for filter_text in (None, "key:*"):
            filter_terms = None if filter_text is None else parse(filter_text)
            whole, without = [
                await views.runs(RunQuery(filter=filter_terms, now=NOW, without_steps=each))
                for each in (False, True)
            ]
            assert [run.id for run in without.runs] == [run.id for run in whole.runs]
            assert all(run.at is None and run.reason is None for run in without.runs)
            assert all(run.at is not None for run in whole.runs)


async def test_a_page_is_of_one_moment(path: Path) -> None:
    """A run and the step at which it is are read one after the other: what is committed between
    the two is in neither."""
    await fill(path, [a_run("010", a_step("010", state=StepState.FAILED, ended_at=1))])
    async with store_at(path) as store:

        def work(db: Tables) -> list[str]:
            read = "SELECT state FROM run"
            before = db.execute(read).fetchone()[0]
            other = sqlite3.connect(path)
            with other:
                other.execute("UPDATE run SET state = 'completed'")
            other.close()
            return [before, db.execute(read).fetchone()[0]]

        views = TableViews(store)
        assert await views._of_all(work, lambda a, b: a + b) == ["failed", "failed"]


async def test_a_page_of_the_view(path: Path) -> None:
    """How many match is known when all was looked at for one page, and an estimate else."""
    runs = [a_run(f"01{n}", a_step(f"01{n}", state=StepState.FAILED, ended_at=n)) for n in range(5)]
    await fill(path, runs)
    async with store_at(path) as store:
        views = TableViews(store)
        whole = await views.runs(RunQuery(filter=parse("key:*"), now=NOW))
        assert (len(whole.runs), whole.total, whole.total_is_estimate) == (5, 5, False)
        assert whole.next is None
        first = await views.runs(RunQuery(filter=parse("key:*"), now=NOW, limit=3))
        assert ([run.id for run in first.runs], first.next) == (["014", "013", "012"], "012")
        assert first.total_is_estimate
        query = RunQuery(filter=parse("key:*"), now=NOW, limit=3, cursor=first.next)
        second = await views.runs(query)
        assert ([run.id for run in second.runs], second.next) == (["011", "010"], None)
        other = RunQuery(filter=parse("is:failed"), client="other", now=NOW)
        assert (await views.runs(other)).runs == ()
        states = RunQuery(filter=parse("w"), states=("failed", "paused"), now=NOW)
        assert len((await views.runs(states)).runs) == 5
