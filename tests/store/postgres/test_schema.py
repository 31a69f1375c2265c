"""engine/store/postgres/schema.py: a database is made, brought up to date, or refused in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import trio

from engine.ports.store import StoreError
from engine.store.postgres import schema
from engine.store.postgres.schema import Migration, known_migrations, migrate
from engine.store.postgres.wire import Blocking, Said, connect, place_of
from engine.store.sqlite.tables import ENGINE_COLUMNS
from engine.store.tables.writing import COLUMNS
from tests.postgres import Postgres

PLACE = "postgresql://db/atomic"


@pytest.fixture
def url(postgres: Postgres) -> str:
    """Of a database with nothing in it."""
    return postgres.database()


@pytest.fixture
async def db(url: str) -> AsyncIterator[Blocking]:
    """A connection to it."""
    connection = (await connect(place_of(url))).into_thread()
    yield connection
    connection.close()


def rows(db: Blocking, sql: str) -> list[tuple[Any, ...]]:
    """What it finds."""
    return [tuple(row) for row in db.execute(sql)]


async def test_a_new_database_has_all_tables(db: Blocking) -> None:
    """Those that are written, with their columns; a name and a secret that stay."""
    migrate(db, PLACE)
    before = rows(db, "SELECT file_id, secret FROM cluster")
    for table, columns in {**COLUMNS, "engine": ENGINE_COLUMNS}.items():
        db.execute(f"SELECT {','.join(columns)} FROM {table}")
    assert rows(db, "SELECT epoch, owner, caught_up, floor FROM engine") == [(0, "", 0, 0)]
    migrate(db, PLACE)
    assert rows(db, "SELECT file_id, secret FROM cluster") == before
    ((file_id, secret),) = before
    assert (len(file_id), len(secret)) == (8, 32)


async def test_text_is_compared_byte_by_byte(db: Blocking) -> None:
    """So that ids are in the order of their times, whatever language the server speaks."""
    migrate(db, PLACE)
    found = db.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND data_type = 'text'"
        " AND collation_name IS DISTINCT FROM 'C'"
    )
    assert [tuple(it) for it in found] == []


async def test_an_outcome_is_final(db: Blocking) -> None:
    """Whoever would change it."""
    migrate(db, PLACE)
    db.script("INSERT INTO outcome VALUES ('s', 1, 'failed', 1, 1, NULL, NULL, NULL, 7)")
    with pytest.raises(Said, match="an outcome is written once"):
        db.script("UPDATE outcome SET state = 'completed'")


async def test_two_engines_start_at_once(url: str, db: Blocking) -> None:
    """One makes the tables, the other waits and finds them."""
    other = (await connect(place_of(url))).into_thread()
    async with trio.open_nursery() as nursery:
        for each in (db, other):
            nursery.start_soon(trio.to_thread.run_sync, partial(migrate, each, PLACE))
    assert rows(db, "SELECT count(*) FROM cluster") == [(1,)]
    other.close()


async def test_a_later_step_is_made_on_top(db: Blocking, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that fails leaves everything as it was."""
    migrate(db, PLACE)
    names = "SELECT name FROM atomic_migration ORDER BY name"
    before = [it[0] for it in db.execute(names)]
    assert before == [it.name for it in known_migrations()]
    broken = (*known_migrations(), Migration("m900_more", "CREATE TABLE more (a int); SELECT 1/0"))
    monkeypatch.setattr(schema, "known_migrations", lambda: broken)
    with pytest.raises(Said):
        migrate(db, PLACE)
    assert rows(db, "SELECT to_regclass('more')::text") == [(None,)]
    whole = (*known_migrations(), Migration("m900_more", "CREATE TABLE more (a int)"))
    monkeypatch.setattr(schema, "known_migrations", lambda: whole)
    migrate(db, PLACE)
    assert [it[0] for it in db.execute(names)] == [*before, "m900_more"]


async def test_one_of_a_newer_atomic_is_refused(db: Blocking) -> None:
    """By its version, with what to do; nothing is changed."""
    migrate(db, PLACE)
    db.script("INSERT INTO atomic_migration (name, atomic) VALUES ('m900_more', '9.0')")
    with pytest.raises(StoreError) as told:
        migrate(db, PLACE)
    assert str(told.value).startswith(
        f"{PLACE} was written by a newer Atomic: its schema is at version 900 (m900_more), and this"
        " Atomic ("
    )


async def test_one_of_another_program_is_refused(db: Blocking) -> None:
    """Rather than that ours stand among its tables. What an extension brings is nobody's."""
    db.script("CREATE VIEW report AS SELECT 1 AS one; CREATE TABLE customer (id int)")
    with pytest.raises(StoreError) as told:
        migrate(db, PLACE)
    assert str(told.value) == (
        f"{PLACE} has tables of another program (customer, report). Give this engine a database,"
        " or a schema, of its own."
    )
    db.script("DROP VIEW report; DROP TABLE customer; CREATE EXTENSION pg_stat_statements")
    migrate(db, PLACE)


async def test_a_schema_of_its_own(db: Blocking) -> None:
    """Beside the tables of others, where the address names one; none that there is not."""
    db.script("CREATE TABLE customer (id int); SET search_path = atomic")
    with pytest.raises(StoreError, match="has no schema that this user may use"):
        migrate(db, PLACE)
    db.script("CREATE SCHEMA atomic")
    migrate(db, PLACE)
    assert rows(db, "SELECT to_regclass('atomic.journal')::text") == [("journal",)]


async def test_one_that_cannot_keep_every_name_is_refused(postgres: Postgres) -> None:
    """By how it keeps text."""
    postgres.sql("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0")
    db = (await connect(place_of(postgres.url("latin")))).into_thread()
    with pytest.raises(StoreError, match="keeps text as LATIN1"):
        migrate(db, PLACE)
    db.close()


async def test_an_old_server_is_refused(db: Blocking, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its version."""
    monkeypatch.setattr(schema, "VERSION_MIN", 99)
    with pytest.raises(StoreError, match=r"is on PostgreSQL 1\d.*, and Atomic needs 99 or later"):
        migrate(db, PLACE)
