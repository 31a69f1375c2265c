"""The connections themselves, to a real server: values, errors, and what a lost one leaves."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from engine.store.postgres.borrowing import Borrowing
from engine.store.postgres.place import Place
from engine.store.postgres.values import (
    BYTEA,
    BYTEA_ARRAY,
    INT8_ARRAY,
    TEXT_ARRAY,
    Param,
    array,
    int8,
    text,
)
from engine.store.postgres.wire import Blocking, NotNow, Said, connect, place_of
from engine.store.seat import NoReply
from tests.postgres import Postgres


@pytest.fixture
def place(postgres: Postgres) -> Place:
    """A database with nothing in it."""
    return place_of(postgres.database())


SQL_VALUES = """
SELECT $1, $2, $3, 2 ^ 62, 9007199254740993::numeric, -70000::numeric, 0::numeric, true, NULL,
    1.5::numeric, 'ü'::name
"""


async def test_values_come_back_as_they_went(place: Place) -> None:
    """Each kind, and what is not there. A NUL, which text cannot hold, comes back as U+FFFD."""
    connection = await connect(place)
    values = (int8(-(1 << 63)), text("a\0b"), Param(BYTEA, b"\0\xff"))
    row = (await connection.run(SQL_VALUES, values)).fetchone()
    assert row is not None
    assert list(row) == [
        -(1 << 63), "a\ufffdb", b"\0\xff",
        2.0**62, 9007199254740993, -70000, 0, True, None, 1.5, "ü",
    ]  # fmt: skip
    connection.close()


async def test_arrays_of_each_kind(place: Place) -> None:
    """With what is not there, and empty ones."""
    connection = await connect(place)
    sql = "SELECT * FROM unnest($1, $2, $3) AS it (number, words, data)"
    columns: list[list[Any]] = [[1, None, -3], ["ä", None, ""], [b"\0", b"", None]]
    params = [
        array(type, values)
        for type, values in zip((INT8_ARRAY, TEXT_ARRAY, BYTEA_ARRAY), columns, strict=True)
    ]
    rows = (await connection.run(sql, params)).fetchall()
    assert [tuple(row) for row in rows] == list(zip(*columns, strict=True))
    assert (rows[0]["words"], dict(rows[2])["number"]) == ("ä", -3)
    empty = [array(type, ()) for type in (INT8_ARRAY, TEXT_ARRAY, BYTEA_ARRAY)]
    assert (await connection.run(sql, empty)).fetchone() is None
    connection.close()


async def test_more_than_a_socket_takes_at_once(place: Place) -> None:
    """There and back."""
    connection = await connect(place)
    large = b"l" * (4 << 20)
    (row,) = await connection.run("SELECT $1", [Param(BYTEA, large)])
    assert row[0] == large
    connection.close()


async def test_an_error_is_told_by_its_code_and_the_connection_goes_on(place: Place) -> None:
    """What the server says is said; values that were to be written are not."""
    connection = await connect(place)
    await connection.run("CREATE TABLE it (n bigint PRIMARY KEY)")
    await connection.run("INSERT INTO it VALUES ($1)", [int8(77)])
    with pytest.raises(Said) as told:
        await connection.run("INSERT INTO it VALUES ($1)", [int8(77)])
    assert (told.value.state, "77" in str(told.value)) == ("23505", False)
    (row,) = await connection.run("SELECT count(*) FROM it")
    assert row[0] == 1
    connection.close()


async def test_success_with_a_warning_is_none(place: Place) -> None:
    """So does a wait for the standby end that somebody cancelled. A notice is no warning."""
    sql = "DO $$ BEGIN RAISE {} 'it is on this disk alone'; END $$"
    connection = await connect(place)
    with pytest.raises(NotNow, match="warns: it is on this disk alone") as told:
        await connection.run(sql.format("WARNING"))
    assert told.value.state == "01000"
    await connection.run(sql.format("NOTICE"))
    connection.close()
    borrowing = Borrowing(place, 1)
    with pytest.raises(NotNow, match="warns"):
        await borrowing.read(lambda db: db.execute(sql.format("WARNING")))
    borrowing.close()


async def test_who_stops_waiting_leaves_no_answer_behind(place: Place) -> None:
    """The connection is closed: the next one to ask would have been told what was asked before."""
    connection = await connect(place)
    with trio.move_on_after(0.05):
        await connection.run("SELECT pg_sleep(60)")
    assert connection.is_lost
    with pytest.raises(NoReply, match="the connection is lost"):
        await connection.run("SELECT 1")


async def test_an_ended_session_is_no_answer(postgres: Postgres, place: Place) -> None:
    """In the middle of a statement, or between two; on the loop, and in a thread."""
    connection, borrowing = await connect(place), Borrowing(place, 1)
    pid = await borrowing.read(lambda db: db.backend_pid)
    async with trio.open_nursery() as nursery:

        async def asks() -> None:
            with pytest.raises(NotNow, match="terminating connection") as told:
                await connection.run("SELECT pg_sleep(60)")
            assert told.value.state in ("57P01", "08006")

        nursery.start_soon(asks)
        while not connection.is_lost:
            postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                         f" WHERE pid IN ({pid}, {connection.backend_pid})")  # fmt: skip
            await trio.sleep(0.01)
    assert connection.is_lost
    with pytest.raises(NoReply):
        await borrowing.read(lambda db: db.execute("SELECT 1"))
    found = await borrowing.read(lambda db: list(db.execute("SELECT 1").fetchall()[0]))
    assert found == [1]
    borrowing.close()


async def test_what_failed_leaves_no_transaction_to_the_next(place: Place) -> None:
    """Nor does a lock of it stay."""
    borrowing = Borrowing(place, 1)

    def fails(db: Blocking) -> None:
        db.script("BEGIN; CREATE TABLE it ()")
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await borrowing.read(fails)
    await borrowing.read(lambda db: db.script("CREATE TABLE it ()"))
    borrowing.close()


async def test_no_more_than_so_many_are_borrowed(place: Place) -> None:
    """The next one waits, and they are used again."""
    borrowing, pids = Borrowing(place, 2), set[int]()

    async def ask() -> None:
        pids.add(await borrowing.read(lambda db: db.backend_pid))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(ask)
    assert 1 <= len(pids) <= 2
    borrowing.close()


async def test_the_first_host_that_is_well_is_taken(postgres: Postgres) -> None:
    """Where none is, it is said of each why."""
    well = postgres.database()
    directory = well.partition("host=")[2]
    connection = await connect(place_of(well.replace("host=", "host=/nowhere,")))
    assert not connection.is_lost
    connection.close()
    unwell = well.replace("host=", "host=/nowhere,").replace("@/t", "@/no_t")
    with pytest.raises(NotNow) as told:
        await connect(place_of(unwell))
    assert "/nowhere" in str(told.value)
    assert directory in str(told.value)
    assert "does not exist" in str(told.value)


async def test_who_is_silent_is_not_waited_for(autojump_clock: None) -> None:
    """A host that takes the connection and says nothing."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    place = place_of(
        f"postgresql://ada:s3cret@127.0.0.1:{port}/x?connect_timeout=3&sslmode=disable"
    )
    began = trio.current_time()
    with pytest.raises(NotNow, match=r"127\.0\.0\.1 \(127\.0\.0\.1\) does not answer within 3 s"):
        await connect(place)
    assert trio.current_time() - began == 3
    await listeners[0].aclose()
