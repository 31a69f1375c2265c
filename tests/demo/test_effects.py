"""The idempotency table by itself: what is left when an effect fails or the process dies."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from demo_app import effects, orders
from demo_app.calls import Call, unquote_key
from demo_app.database import open_database
from demo_app.effects import Effects
from tests.on_asyncio import on_asyncio

CALL = Call("reserveStock", "placeOrder", "run-1", "own-1", {"item": "lamp", "parcels": 2})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A fresh database with the tables used here."""
    schema = effects.SCHEMA + orders.SCHEMA
    with closing(open_database(tmp_path / "app.db", schema)) as connection:
        yield connection


def test_effect_that_fails_leaves_nothing(database: sqlite3.Connection) -> None:
    """Effect and record are one transaction: an error undoes both, the next call does both."""
    table = Effects(database)
    table.count_call(CALL)

    def break_after_effect(connection: sqlite3.Connection) -> Any:
        orders.reserve_stock(CALL, connection)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        table.once(CALL, break_after_effect)
    assert database.execute("SELECT count(*) FROM stock_moves").fetchone()[0] == 0
    assert table.listing()[0]["effects"] == 0
    for _ in range(2):
        response = table.once(CALL, lambda connection: orders.reserve_stock(CALL, connection))
        assert response == {"item": "lamp", "change": -2}
    assert database.execute("SELECT sum(change) FROM stock_moves").fetchone()[0] == -2
    assert table.listing("run-1")[0]["effects"] == 1
    assert table.listing("other") == []


@on_asyncio
async def test_half_done_outside_effect_is_done_again(database: sqlite3.Connection) -> None:
    """Died between `sending` and `done`: the state says so, and the next call does it again."""
    asked: list[str] = []

    async def send() -> str:
        asked.append("send")
        if len(asked) == 1:
            raise ConnectionResetError("the process ends here")
        return "sent"

    table = Effects(database)
    table.count_call(CALL)
    with pytest.raises(ConnectionResetError):
        await table.once_outside(CALL, send)
    assert (table.listing()[0]["state"], table.listing()[0]["effects"]) == ("sending", 0)

    after_restart = Effects(database)
    assert await after_restart.once_outside(CALL, send) == "sent"
    assert await after_restart.once_outside(CALL, send) == "sent"
    assert (table.listing()[0]["state"], table.listing()[0]["effects"]) == ("done", 1)
    assert len(asked) == 2


@on_asyncio
async def test_wait_idle_waits_for_what_is_under_way(database: sqlite3.Connection) -> None:
    """A send whose caller has left is still waited for before the database is closed."""
    table, may_go = Effects(database), asyncio.Event()
    table.count_call(CALL)

    async def send() -> str:
        await may_go.wait()
        return "sent"

    caller = asyncio.create_task(table.once_outside(CALL, send))
    await asyncio.sleep(0)
    caller.cancel()
    idle = asyncio.create_task(table.wait_idle())
    await asyncio.sleep(0)
    assert not idle.done()
    may_go.set()
    await idle
    assert table.listing()[0]["state"] == "done"


@pytest.mark.parametrize(
    ("header", "key"),
    [('"a"', "a"), ("bare", "bare"), (r'"say \"x\\y\""', r'say "x\y"'), ('""', "")],
)
def test_keys_are_unquoted(header: str, key: str) -> None:
    """Idempotency-Key is a structured-field string with its two escapes, or bare."""
    assert unquote_key(header) == key
