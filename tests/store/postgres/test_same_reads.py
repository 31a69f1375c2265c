"""What is read in PostgreSQL is what is read in a file with the same rows, by every question.

What a file's answers should be the tests beside this folder say; here they are the measure.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import product
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
import trio
from msgspec.structs import replace

from engine.core.filter import parse
from engine.core.model import StepState
from engine.core.retry import DAY_MS
from engine.ports.audit import AuditQuery
from engine.ports.store import Due, Look
from engine.ports.views import RetryQuery, RunQuery
from engine.store.postgres.wire import connect, place_of
from engine.store.tables.connection import Tables
from engine.store.tables.reading import journal_end, run_counts, who_has
from engine.store.tables.reads import Queries, TableReads
from engine.store.tables.registry import read_registered
from engine.store.tables.store import TableStore, what_is_known
from engine.store.tables.views.jobs import TableJobs
from engine.store.tables.views.views import TableViews
from tests.postgres import Postgres
from tests.store.postgres.copied import copy_rows, more, reads_of
from tests.store.shelf import CLIENTS, NOW, fill, random_runs
from tests.store.support import store_at

T = TypeVar("T")
RUNS = random_runs(120)
IDS = [run.id for run in RUNS]
FILTERS = (
    "is:stuck", "is:late", "is:failed !is:dismissed", "is:failed is:completed", "client:acme*",
    "wf:a[b]*", "host:*.com", "due:<1m", "try:>2", "error:funds", "error:\u00fcber", "cause:*",
    "job:J1", "code:5xx", "K", "is:live is:stuck client:shop", "step:send[1]",
)  # fmt: skip


class Side(NamedTuple):
    """One of the two."""

    views: TableViews
    jobs: TableJobs
    reads: TableReads
    read: Callable[[Callable[[Tables], Any]], Any]


class CopiedQueries(Queries):
    """Reads of a copy, with no way that anything could happen on."""

    def __init__(self, read: Callable[[Callable[[Tables], T]], T]) -> None:
        self._read = read

    async def read(self, work: Callable[[Tables], T]) -> T:
        found: T = self._read(work)  # type: ignore[arg-type,assignment]
        return found

    def find_run(self, client: str, workflow: str, key: str, *, or_expired: bool) -> Look:
        identity = (client, workflow, key)
        return Look(partial(self.read, partial(who_has, identity=identity, or_expired=or_expired)))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> tuple[Path, str]:
    """A file with all kinds of things, and the address of a database with its rows."""
    path, url = tmp_path_factory.mktemp("filled") / "a.db", postgres.database()

    async def make() -> None:
        await fill(path, RUNS)
        async with store_at(path) as store:
            await more(store)
            connection = (await connect(place_of(url))).into_thread()
            copy_rows(store._connection, connection)
            connection.close()

    trio.run(make)
    return path, url


@pytest.fixture
async def sides(filled: tuple[Path, str]) -> AsyncIterator[tuple[Side, Side]]:
    """Both, for who asks."""
    path, url = filled
    connection = (await connect(place_of(url))).into_thread()
    async with store_at(path) as store:
        read = reads_of(connection)
        queries = CopiedQueries(read)
        beside: TableStore = copy.copy(store)
        beside.view_readers = queries
        yield (
            Side(TableViews(store), TableJobs(store), TableReads(store.readers, store.readers),
                 lambda work: work(store._connection)),
            Side(TableViews(beside), TableJobs(beside), TableReads(queries, queries), read),
        )  # fmt: skip
    connection.close()


async def same(sides: tuple[Side, Side], what: str, *values: Any, **named: Any) -> Any:
    """What both find."""
    ours, theirs = [await attrgetter(what)(side)(*values, **named) for side in sides]
    assert ours == theirs, (what, values)
    return ours


async def test_lists(sides: tuple[Side, Side]) -> None:
    """Of runs, whichever are asked for, page after page."""
    filters = (None, *(parse(text) for text in FILTERS))
    found = 0
    for terms, only, states, newest in product(
        filters, (None, "shop"), ((), ("failed", "paused")), (True, False)
    ):
        query = RunQuery(
            filter=terms, only=only, states=states, newest_first=newest, now=NOW, limit=7
        )
        page = await same(sides, "views.runs", query)
        found += len(page.runs)
        if page.next is not None:
            query = replace(query, limit=500, cursor=page.next, without_steps=True)
            await same(sides, "views.runs", query)
    assert found > 500
    for query in (
        RunQuery(client="shop", limit=3), RunQuery(workflow="order", only="shop"),
        RunQuery(workflow="w", key="b"), RunQuery(key="nothing"),
    ):  # fmt: skip
        await same(sides, "views.runs", query)


async def test_runs(sides: tuple[Side, Side]) -> None:
    """All that a page of one run asks for."""
    for run_id in (*IDS, *(f"R{key}" for key in "abcdefg")):
        for what in ("tree", "outline", "outcomes", "step"):
            await same(sides, f"views.{what}", run_id)
        await same(sides, "views.some_steps", run_id, (run_id, f"{run_id}-1", "none"), 1)
        await same(sides, "views.payload_number", run_id, 1)
        await same(sides, "views.body", run_id, 1, answer=False)
        await same(sides, "views.body", run_id, 1, answer=True, bytes_max=2)
    assert await same(sides, "views.client_of", "Ra") == "shop"
    assert len(await same(sides, "views.clients_of", [*IDS, "Ra"])) == len(IDS) + 1


async def test_boards(sides: tuple[Side, Side]) -> None:
    """What is counted, and what needs a person."""
    names = [it.cause for it in await same(sides, "views.causes", NOW - 50)][:4]
    assert len(names) == 4
    for only in (None, *CLIENTS):
        await same(sides, "views.causes", 0, only, names[:2])
        await same(sides, "views.stuck_of", [*names, "none"], only)
        for text in ("", "is:stuck", "wf:order*"):
            query = RetryQuery(NOW, filter=parse(text) if text else None, limit=3, only=only)
            seen = 0
            while True:
                page = await same(sides, "views.retries", query)
                seen += len(page.retries)
                if page.next is None:
                    break
                query = replace(query, after=page.next)
            assert seen or text
    await same(sides, "views.known_causes")
    assert await same(sides, "views.known_causes", [*names, "none"]) == {*names}
    assert (await same(sides, "views.late_runs", 1 << 46)).runs
    for what in ("due_counts", "summary"):
        await same(sides, f"views.{what}", NOW)
    await same(sides, "views.open_by_client")
    for client in CLIENTS:
        assert await same(sides, "views.open_runs", client)
        await same(sides, "views.client_summary", client, NOW, 2)


async def test_events(sides: tuple[Side, Side]) -> None:
    """By their numbers, and by when they were."""
    assert len(await same(sides, "views.events", 0, 1_000)) > 100
    for after, limit in ((0, 1), (3, 7), (110, 500), (9_999, 5)):
        await same(sides, "views.events", after, limit)
    for at in (0, 1, 2, 3, 4, 1 << 50):
        await same(sides, "views.events_from", at)


async def test_jobs(sides: tuple[Side, Side]) -> None:
    """Bulk jobs, and what came of them."""
    for what, *values in (
        ("under_way",), ("unbegun",), ("kept",), ("job", "J9"), ("job_of_key", "shop", "k"),
        ("job_of_key", None, "k"), ("jobs", None, None, 9), ("jobs", "shop", "J99", 9),
        ("to_do", "J9", "", 9), ("came", "J9"), ("came", "J1"), ("ends", "J9", 9),
        ("ends", "J1", 9),
    ):  # fmt: skip
        assert await same(sides, f"jobs.{what}", *values)


async def test_what_the_engine_asks(sides: tuple[Side, Side]) -> None:
    """What is loaded, due, held, expired, registered, kept of people's acts, and how all stands."""
    for what, *values in (
        ("load_runs", [*IDS, *(f"R{key}" for key in "bcdef")], 1 << 40), ("load_runs", ["Rc"], 0),
        ("due", Due(-1, "", ""), NOW, 50), ("due", Due(0, IDS[30], ""), 1 << 40, 50),
        ("held", "", 9), ("held_counts",), ("read_again", "Rd"), ("expired", "Ra"),
        ("ended_runs", StepState.FAILED, 1 << 40, "~", "", 50), ("old_keys", DAY_MS, "~", "", 9),
        ("old", 3, "Rb"), ("look_to_cut", 1 << 40), ("audited_before", 3),
        ("audited", AuditQuery(limit=3)), ("audited", AuditQuery(what="w2")),
        ("audited", AuditQuery(since=1, actor="bob", act="prune", cursor="04")),
    ):  # fmt: skip
        assert await same(sides, f"reads.{what}", *values)
    for work in (run_counts, journal_end, read_registered):
        ours, theirs = (side.read(work) for side in sides)
        assert ours == theirs
        assert ours
    assert sides[1].read(what_is_known).any_expired
    assert await sides[1].reads.bytes_used() > 100_000
