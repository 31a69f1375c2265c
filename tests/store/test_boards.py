"""Why runs are stuck, what is tried next, what is due when; and how an older file learns of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlite_utils import Database

from engine.alerts.rules import Rule, Trouble
from engine.alerts.windows import Incident, Remembered
from engine.core.cause import Stuck, stuck
from engine.core.filter import parse
from engine.core.model import PauseReason, Run, Step, StepState
from engine.front.show.rows import cause_row
from engine.ports.views import (
    DueCount,
    LateFound,
    LateRuns,
    RetryQuery,
    RetryRecord,
    RunQuery,
    StuckOf,
)
from engine.store import rows
from engine.store.sqlite.schema import migrations
from engine.store.tables.connection import SQL
from engine.store.tables.views import boards, together
from engine.store.tables.views.views import TableViews
from engine.store.tables.writing import Table
from tests.store.older import TO_M016
from tests.store.shelf import NOW, a_run, a_step, fill, holds, random_runs
from tests.store.support import RETRY, answered, change_file, new_run, started, store_at

OLD = "0000000000"
"""An id as old as there is."""
FAILED, PAUSED, BACKING_OFF = StepState.FAILED, StepState.PAUSED, StepState.BACKING_OFF


def failed(id: str, at: int, status: int = 500) -> Run:
    """A run that failed at this time."""
    return a_run(id, a_step(id, state=FAILED, ended_at=at, http_status=status))


def paused(id: str, at: int) -> Run:
    """A run whose retries were used up at this time, by a failure like that of `failed`."""
    reason = PauseReason.EXHAUSTED
    step = a_step(
        id, state=PAUSED, paused_at=at, pause_reason=reason, http_status=500, resumes_to=BACKING_OFF
    )
    return a_run(id, step)


def backing_off(run_id: str, ordinal: int, due_at: int, **members: object) -> Step:
    """A step whose next attempt has a time."""
    return a_step(run_id, ordinal, state=BACKING_OFF, due_at=due_at, **members)


def retrying(id: str, *due: int) -> Run:
    """A run under way with a child for each of these times."""
    children = [backing_off(id, n, at, name=f"s{n}") for n, at in enumerate(due, 1)]
    return a_run(id, a_step(id, state=StepState.RUNNING), *children, shown=BACKING_OFF)


async def test_runs_with_one_cause_stand_together(path: Path) -> None:
    """How many, since when, how many of them lately; what most need a person for first, and the
    latest run as the example: not the one with the last id, nor the first to get stuck."""
    runs = [failed("01A", 10), failed("01B", 50), failed("01C", 30), failed("01D", 40, 404)]
    dismissed = failed("01E", 60)
    dismissed.dismissed = True
    await fill(path, [*runs, dismissed, a_run("01F", a_step("01F"))])
    async with store_at(path) as store:
        views = TableViews(store)
        first, second = await views.causes(new_since=30)
        assert (first.runs, first.new_runs, first.first_at, first.last_at) == (3, 1, 10, 50)
        assert (first.latest.id, first.latest.stuck_at) == ("01B", 50)
        assert first.latest.at is not None
        assert first.latest.at.http_status == 500
        assert (second.runs, second.new_runs, second.latest.id) == (1, 1, "01D")
        need = stuck(runs[0])
        assert need is not None
        assert first.cause == first.latest.cause == need.cause
        assert (await views.summary(0)).stuck == 4


async def test_exhausted_and_failed_by_the_same_thing_are_one_cause(path: Path) -> None:
    """What has to be mended is the same; of two that got stuck at once the later run is told."""
    await fill(path, [failed("01A", 10), paused("01B", 10)])
    async with store_at(path) as store:
        (only,) = await TableViews(store).causes(0)
        assert (only.runs, only.latest.id, only.latest.state) == (2, "01B", "paused")


async def test_as_many_causes_as_fit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equally many runs the causes with the latest come first, and the list has an end."""
    monkeypatch.setattr(boards, "CAUSES_MAX", 2)
    await fill(path, [failed(f"01{n}", n, 500 + n) for n in range(4)])
    async with store_at(path) as store:
        found = await TableViews(store).causes(0)
        assert [each.latest.id for each in found] == ["013", "012"]


async def test_rows_learn_that_a_run_is_stuck_and_is_no_longer(path: Path) -> None:
    """The columns follow the events, also where a crash left them to the next start."""
    async with store_at(path) as store:
        run, write = new_run("k")
        store.write(write)
        store.write(started(run, 1))
        await store.write(answered(run, 2, 410)).wait()  # in the journal; the rows come later
        (only,) = await TableViews(store).causes(0)
        assert (only.runs, only.first_at, only.latest.id) == (1, 2, "Rk")
    async with store_at(path) as store:
        assert [each.runs for each in await TableViews(store).causes(0)] == [1]
        assert RETRY.stop_on == (410,)


async def retries(store_path: Path, query: RetryQuery) -> list[RetryRecord]:
    """All that the query finds, page after page."""
    found: list[RetryRecord] = []
    async with store_at(store_path) as store:
        views = TableViews(store)
        while True:
            page = await views.retries(query)
            assert len(page.retries) <= query.limit
            found += page.retries
            if page.next is None:
                return found
            assert page.next > query.after
            query = RetryQuery(query.now, page.next, query.filter, query.limit)


def times(found: list[RetryRecord]) -> list[tuple[int | None, str]]:
    return [(each.at.due_at, each.at.id) for each in found]


async def test_what_is_tried_next(path: Path) -> None:
    """By time, the most overdue first; of one time by id. What runs or is paused has no time."""
    runs = [retrying("01A", NOW + 5, NOW - 9), retrying("01B", NOW - 9), paused("01C", 1)]
    await fill(path, runs)
    found = await retries(path, RetryQuery(NOW))
    assert times(found) == [(NOW - 9, "01A-2"), (NOW - 9, "01B-1"), (NOW + 5, "01A-1")]
    first = found[0]
    assert (first.client, first.workflow, first.rev) == ("shop", "w", 0)
    assert (first.at.name, first.at.state, first.at.retries_max) == ("s2", "backing-off", 10)


@pytest.mark.parametrize("limit", [1, 3, 500])
@pytest.mark.parametrize(("chunk", "at_most"), [(1, 1), (4, 8), (2_000, 50_000)])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "wf:order*",
        "is:stuck",
        "host:app*",
        "due:<10s",
        "wf:none",
        "error:FUNDS",
        "!error:of_it",
    ],
)
async def test_pages_of_retries(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    chunk: int,
    at_most: int,
    text: str,
) -> None:
    """Each once and in order, however few are looked at for a page; the filter is of their runs."""
    monkeypatch.setattr(boards, "CHUNK_ROWS", chunk)
    monkeypatch.setattr(boards, "ROWS_LOOKED_AT_MAX", at_most)
    runs = random_runs(40)
    await fill(path, runs)
    terms = parse(text)
    found = await retries(path, RetryQuery(NOW, filter=terms or None, limit=limit))
    assert times(found) == sorted(
        (at, step.id)
        for run in runs
        if all(holds(term, run) for term in terms)
        for step in run.steps.values()
        if (at := rows.wake_at(step))
    )


async def test_retries_are_found_by_their_time(path: Path) -> None:
    """No statement of the list reads all steps, or sorts them."""
    await fill(path, [retrying("01A", NOW)])
    retries = (
        f"{SQL['retries']} WHERE step.wake_at IS NOT NULL AND (step.wake_at, step.id) > (1, '')"
        f" AND (step.wake_at, step.id) <= ({NOW}, '') ORDER BY step.wake_at, step.id LIMIT 5"
    )
    async with store_at(path) as store:
        for statement in (retries, SQL["timed_behind"].replace("?", "1")):
            plan = await store.view_readers.read(
                lambda db, it=statement: [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {it}")]  # type: ignore[misc]
            )
            assert plan[0].startswith("SEARCH step USING"), plan
            assert "step_wake" in plan[0]
            assert not any("TEMP B-TREE" in detail or "SCAN" in detail for detail in plan), plan


async def test_what_is_due_when(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes touch and do not overlap; late ones are in none; each is counted up to a bound."""
    edges = (-1_001, -1_000, 0, 9_999, 10_000, 59_999, 60_000, 599_999, 600_000, 10**9)
    runs = [retrying("01A", *(NOW + edge for edge in edges)), a_run("01B", a_step("01B"))]
    await fill(path, runs)
    async with store_at(path) as store:
        views = TableViews(store)
        wanted = [(10_000, 3), (60_000, 2), (600_000, 2), (None, 2)]
        assert await views.due_counts(NOW) == [DueCount(*each) for each in wanted]
        summary = await views.summary(NOW)
        assert (summary.late, summary.timed) == (1, len(edges))
        monkeypatch.setattr(boards, "DUE_COUNTED_MAX", 2)
        assert [each.attempts for each in await views.due_counts(NOW)] == [2, 2, 2, 2]


# -- a file of before ----------------------------------------------------------------------------


COLUMNS_OF_BEFORE = rows.RUN_COLUMNS[: rows.RUN_COLUMNS.index("cause")]


def file_of_before(path: Path, runs: list[Run]) -> None:
    """The file as an engine left it that knew only the first migration."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrations.apply(Database(db), stop_before="m002_stuck_runs")
        steps = [rows.step_row(run, step, None) for run in runs for step in run.steps.values()]
        _insert(db, "run", rows.RUN_COLUMNS, [rows.run_row(run, 1, "test", 1) for run in runs])
        _insert(db, "step", rows.STEP_COLUMNS, steps)


def _insert(
    db: sqlite3.Connection, table: str, columns: tuple[str, ...], found: list[tuple[Any, ...]]
) -> None:
    """Rows of today, as far as the file has their columns."""
    known = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
    kept = [place for place, column in enumerate(columns) if column in known]
    older = [tuple(row[place] for place in kept) for row in found]
    Table(table, tuple(columns[place] for place in kept)).insert(db, older)


async def test_a_file_of_before_learns_which_runs_are_stuck(path: Path) -> None:
    """Those that were there already are looked through once, and nothing else of them changes."""
    runs = random_runs(60)
    file_of_before(path, runs)
    with closing(sqlite3.connect(path)) as db:
        before = db.execute(f"SELECT {','.join(COLUMNS_OF_BEFORE)} FROM run").fetchall()
    async with store_at(path) as store:
        found = store._connection.execute("SELECT id, cause, stuck_at FROM run").fetchall()
        after = store._connection.execute(
            f"SELECT {','.join(COLUMNS_OF_BEFORE)} FROM run"
        ).fetchall()
    for run in runs:
        for step in run.steps.values():
            step.excerpt = None  # nothing was known of reasons then
    needs = {run.id: stuck(run) for run in runs}
    assert len({need.cause for need in needs.values() if need}) > 5
    assert {row["id"]: (row["cause"], row["stuck_at"]) for row in found} == {
        id: (need.cause, need.since) if need else (None, None) for id, need in needs.items()
    }
    assert [tuple(row) for row in after] == before


DECLINED, NO_STOCK = "card {} was declined", "no stock of {}"


async def test_five_hundred_runs_of_two_faults_are_two_causes(path: Path) -> None:
    """Of one status in one step; `cause:` finds the runs of the one, all of them and no other."""
    runs = [failed(f"{n:04}", n, 402) for n in range(500)]
    for n, run in enumerate(runs):
        run.root.excerpt = (DECLINED if n % 5 else NO_STOCK).format(n)
        run.root.error = "http-status: answered 402"
    await fill(path, runs)
    async with store_at(path) as store:
        views = TableViews(store)
        most, least = await views.causes(0)
        assert (most.runs, least.runs) == (400, 100)
        assert [cause_row(it).pattern for it in (most, least)] == [
            DECLINED.format("*"), NO_STOCK.format("*"),
        ]  # fmt: skip
        assert most.latest.reason is not None
        assert most.latest.reason.excerpt == DECLINED.format(499)
        query = RunQuery(filter=parse(f"is:stuck cause:{least.cause}"), now=NOW, limit=500)
        found = (await views.runs(query)).runs
        assert {int(run.id) for run in found} == set(range(0, 500, 5))


async def test_a_file_of_before_tells_causes_apart_by_their_words(path: Path) -> None:
    """Those that need a person get their cause anew, but for one that cannot be read."""
    runs = [failed("01A", 10, 402), failed("01B", 20, 402), failed("01C", 30, 402)]
    for run in runs[:2]:
        run.root.excerpt = DECLINED.format(run.id)
    await fill(path, [*runs, failed("01D", 40, 402)])
    change_file(path, "UPDATE run SET cause = 'as-before'")
    change_file(path, "UPDATE step SET state = 'odd', excerpt = 'x' WHERE id = '01D'")
    for statement in TO_M016:
        change_file(path, statement)
    async with store_at(path) as store:
        found = dict(map(tuple, store._connection.execute("SELECT id, cause FROM run").fetchall()))
    need = stuck(runs[0])
    assert need is not None
    assert found == {"01A": need.cause, "01B": need.cause, "01C": "as-before", "01D": "as-before"}


async def test_a_run_whose_cause_cannot_be_told_keeps_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade never ends at one run, whatever is in it."""
    runs = [failed("01A", 10, 402), failed("01B", 20, 402)]
    for run in runs:
        run.root.excerpt = DECLINED.format(run.id)
    await fill(path, runs)
    change_file(path, "UPDATE run SET cause = 'as-before'")
    for statement in TO_M016:
        change_file(path, statement)

    def odd(run: Run) -> Stuck | None:
        if run.id == "01A":
            raise ValueError("odd")
        return stuck(run)

    monkeypatch.setattr("engine.store.sqlite.schema.stuck", odd)
    async with store_at(path) as store:
        found = dict(map(tuple, store._connection.execute("SELECT id, cause FROM run").fetchall()))
    need = stuck(runs[1])
    assert need is not None
    assert found == {"01A": "as-before", "01B": need.cause}


async def test_alerts_that_go_on_are_of_causes_by_their_new_names(path: Path) -> None:
    """After an upgrade: nobody is told that what goes on is over. What was over has its name."""
    run = failed("01A", 10, 402)
    run.root.excerpt = DECLINED.format(run.id)
    await fill(path, [run])
    gone_on = Incident(Trouble(Rule.NEW_CAUSE, "as-before"), 1, 2, id="01B", count=1)
    others = [Incident(Trouble(Rule.DISK, "disk"), 1, 2), Incident(Trouble(Rule.FAILED, "x"), 1, 2)]
    kept = msgspec.json.encode(Remembered((5,), (gone_on, *others))).decode()
    change_file(path, "UPDATE run SET cause = 'as-before'")
    change_file(path, f"INSERT INTO registry VALUES ('alerts', 'windows', '{kept}', 1, 'engine')")
    for statement in TO_M016:
        change_file(path, statement)
    async with store_at(path) as store:
        (entry,) = store.registered
        views = TableViews(store)
        causes = await views.known_causes()
    need = stuck(run)
    assert need is not None
    assert entry.value is not None
    found = msgspec.json.decode(entry.value, type=Remembered)
    assert [it.latest.cause for it in found.incidents] == [need.cause, "disk", "x"]
    assert (found.sent, found.incidents[0].id) == ((5,), "01B")
    assert causes == {need.cause}


async def test_runs_that_are_open_for_long(path: Path) -> None:
    """By client and workflow, with the one that was opened first; neither ended nor paused ones,
    nor one that was opened again since."""
    runs = [a_run(id, a_step(id)) for id in (OLD, f"{OLD}A", f"{OLD}B", f"{OLD}C")]
    runs[0].root.opened_at = 10
    others = [failed(f"{OLD}D", 10), paused(f"{OLD}E", 10), a_run("1Z", a_step("1Z"))]
    await fill(path, [*runs, *others])
    async with store_at(path) as store:
        found = await TableViews(store).late_runs(10)
        assert not found.is_cut
        (late,) = found.runs
        assert (late.runs, late.first_id) == (3, f"{OLD}A")
        assert (late.client, late.workflow) == (runs[0].client, runs[0].root.spec.workflow)
        (late,) = (await TableViews(store).late_runs(11)).runs
        assert (late.runs, late.first_id) == (4, OLD)
        assert await TableViews(store).late_runs(0) == LateFound()


@pytest.mark.parametrize(("most", "left", "is_cut"), [(5, 3, False), (4, 3, True), (1, 0, True)])
async def test_of_more_runs_than_are_looked_at_it_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch, most: int, left: int, is_cut: bool
) -> None:
    """The oldest are; also where none of these is late, as all were opened again."""
    runs = [a_run(id, a_step(id)) for id in (OLD, f"{OLD}A", f"{OLD}B", f"{OLD}C")]
    runs[0].root.opened_at = 10
    await fill(path, runs)
    monkeypatch.setattr(boards, "LATE_LOOKED_AT_MAX", most)
    async with store_at(path) as store:
        found = await TableViews(store).late_runs(10)
        assert (sum(it.runs for it in found.runs), found.is_cut) == (left, is_cut)


def test_those_of_the_tables_and_of_the_tail_are_one() -> None:
    """Of one workflow the sum, and the first of both."""
    tables = LateFound((LateRuns("shop", "w", 2, "01B"), LateRuns("shop", "v", 1, "01C")))
    found = together.late_runs(tables, LateFound((LateRuns("shop", "w", 3, "01A"),)))
    assert found.runs == (LateRuns("shop", "w", 5, "01A"), LateRuns("shop", "v", 1, "01C"))
    for a, b, is_cut in ((False, False, False), (True, False, True), (False, True, True)):
        joined = together.late_runs(LateFound(is_cut=a), LateFound(is_cut=b))
        assert joined == LateFound(is_cut=is_cut)


async def test_causes_that_are_known(path: Path) -> None:
    """All of them, or which of some there still are."""
    runs = [failed("01A", 10), failed("01B", 20, 404)]
    await fill(path, runs)
    causes = {need.cause for run in runs if (need := stuck(run))}
    async with store_at(path) as store:
        views = TableViews(store)
        assert await views.known_causes() == causes
        (first, *_) = sorted(causes)
        assert await views.known_causes([first, "gone"]) == {first}
        assert await views.known_causes([]) == frozenset()


async def test_how_many_are_stuck_for_each_of_some_causes(path: Path) -> None:
    """Since when the latest is; of what is no cause any more nothing is told."""
    runs = [failed("01A", 10), failed("01B", 50), failed("01C", 20, 404)]
    await fill(path, runs)
    async with store_at(path) as store:
        views = TableViews(store)
        first, second = await views.causes(0)
        found = await views.stuck_of([first.cause, "gone"])
        assert found == {first.cause: StuckOf(2, 50)}
        assert await views.stuck_of([]) == {}
        both = await views.stuck_of([first.cause, second.cause], as_of_now=False)
        assert (len(both), both[second.cause]) == (2, StuckOf(1, 20))


async def test_causes_that_are_left_out_take_nobodys_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is cut when they have gone."""
    monkeypatch.setattr(boards, "CAUSES_MAX", 2)
    await fill(path, [failed(f"01{n}", n, 500 + n) for n in range(4)])
    async with store_at(path) as store:
        views = TableViews(store)
        hidden = [each.cause for each in await views.causes(0)]
        left = await views.causes(0, but=hidden)
        assert [each.latest.id for each in left] == ["011", "010"]
        (client,) = {each.latest.client for each in left}
        assert [it.latest.id for it in await views.causes(0, client, hidden)] == ["011", "010"]


def test_what_is_stuck_for_a_cause_in_the_tables_and_in_the_tail_is_one() -> None:
    """The sum, and the latest of both: a cause that came again in the tail has come again."""
    tables = {"a": StuckOf(2, 50), "b": StuckOf(1, 10)}
    found = together.stuck_of(tables, {"a": StuckOf(1, 70), "c": StuckOf(1, 5)})
    assert found == {"a": StuckOf(3, 70), "b": StuckOf(1, 10), "c": StuckOf(1, 5)}
