"""engine/store/postgres/readers.py: a read is of one moment, at which its fence held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from engine.core.errors import Problem, Refused
from engine.ports.retention import Expired
from engine.ports.store import Look
from engine.store.postgres.borrowing import Borrowing
from engine.store.postgres.readers import SeatQueries
from engine.store.postgres.schema import migrate
from engine.store.postgres.wire import Blocking, connect, place_of
from engine.store.seat import Fence, Fenced, NoReply
from engine.store.tables.connection import Tables, snapshot
from tests.postgres import Postgres

FENCE = Fence("ada", 7)
COUNT = "SELECT count(*) FROM tally"


class OneTry:
    """A seat that asks once."""

    def __init__(self, fence: Fence = FENCE, follows: int = 3) -> None:
        self._fence, self._follows = fence, follows

    async def read(self, ask: Callable[[Fence, int], Awaitable[Any]]) -> Any:
        return await ask(self._fence, self._follows)


class Sat(NamedTuple):
    """A database that somebody has, and ways to it."""

    queries: Callable[..., SeatQueries]
    db: Blocking
    borrowing: Borrowing


@pytest.fixture
async def sat(postgres: Postgres) -> AsyncIterator[Sat]:
    place = place_of(postgres.database())
    db = (await connect(place)).into_thread()
    migrate(db, "the test's database")
    db.script("UPDATE seat SET owner = 'ada', epoch = 7; UPDATE mark SET follows = 3")
    borrowing = Borrowing(place, 2)

    def queries(seat: OneTry | None = None, **options: Any) -> SeatQueries:
        return SeatQueries(seat or OneTry(), borrowing, **options)  # type: ignore[arg-type]

    yield Sat(queries, db, borrowing)
    borrowing.close()
    db.close()


def count(db: Tables) -> int:
    found: int = db.execute(COUNT).fetchone()[0]
    return found


@pytest.mark.parametrize(
    ("seat", "why"),
    [
        (OneTry(Fence("bob", 7)), "ada may write, of epoch 7"),
        (OneTry(Fence("ada", 6)), "ada may write, of epoch 7"),
        (OneTry(Fence("ada", 8)), "ada may write, of epoch 7"),
        (OneTry(follows=4), "the tables have had 3 follows, and should have 4"),
    ],
)
async def test_who_may_not_write_reads_nothing(sat: Sat, seat: OneTry, why: str) -> None:
    """Nor who reads tables that lack what is known to be in them; and the next one reads well."""
    asked: list[Tables] = []
    with pytest.raises(Fenced, match=why):
        await sat.queries(seat).read(asked.append)
    assert asked == []
    assert await sat.queries(OneTry(follows=2)).read(count) == 0


async def test_a_read_is_of_one_moment(sat: Sat) -> None:
    """What is committed while it goes on is seen by the next one."""

    def work(db: Tables) -> list[int]:
        before = count(db)
        sat.db.script("INSERT INTO tally VALUES ('failed', 1)")
        with snapshot(db):
            return [before, count(db)]

    assert await sat.queries().read(work) == [0, 0]
    assert await sat.queries().read(count) == 1


async def test_a_read_cannot_write(sat: Sat) -> None:
    """Also not by mistake; and nothing is left on the connection."""
    with pytest.raises(NoReply, match="read-only transaction"):
        await sat.queries().read(lambda db: db.execute("INSERT INTO tally VALUES ('failed', 1)"))
    assert await sat.queries().read(count) == 0
    waits = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'"
    assert [tuple(row) for row in sat.db.execute(waits)] == [(0,)]


async def test_an_identity_is_asked_for(sat: Sat) -> None:
    """Of a run, or of one that expired."""
    sat.db.script(
        "INSERT INTO expired VALUES ('R1', 'shop', 'w', 'k', 'completed', 1, 2);"
        "INSERT INTO run VALUES ('R2', 'shop', 'w', 'l', 'failed', 1, 1, 0, 1, 0, 1, 0, 1, '', 1)"
    )
    found = [sat.queries().find_run("shop", "w", key, or_expired=False) for key in "klm"]
    assert all(isinstance(look, Look) for look in found)
    expired, run, nobody = [await look.ask() for look in found if isinstance(look, Look)]
    assert isinstance(expired, Expired)
    assert (expired.run_id, run, nobody) == ("R1", "R2", None)


async def test_who_is_not_patient_is_told(postgres: Postgres) -> None:
    """People, where the engine itself goes on asking."""
    borrowing = Borrowing(place_of(postgres.url("nothing_of_the_kind")), 1)
    with pytest.raises(NoReply):
        await SeatQueries(OneTry(), borrowing).read(count)  # type: ignore[arg-type]
    with pytest.raises(Refused) as told:
        await SeatQueries(OneTry(), borrowing, patient=False).read(count)  # type: ignore[arg-type]
    assert told.value.problem is Problem.STORE_UNAVAILABLE
    assert told.value.members["retryAfter"] == 1
