"""Opening the file: what it must be, who may have it, and what people are told otherwise."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from pathlib import Path

import pytest
import trio
from sqlite_utils import Database

from engine.process.platform.files import sync
from engine.store.sqlite.file.owner import Owner, why_not_trusted
from engine.store.sqlite.schema import (
    AUDIT,
    CARRIED,
    EXCERPTS,
    EXPIRED,
    HELD,
    JOBS,
    MAY_POST,
    MOVES,
    NOTES,
    OF_CLIENT,
    PAUSES,
    REGISTRY,
    REPAIRS,
    STOPPED,
    STUCK,
    TABLES,
    TOLD,
    TRACES,
    migrations,
    split_statements,
)
from engine.store.sqlite.store import PRAGMAS, read_pragmas
from tests.store.holder import holder, refusal
from tests.store.support import new_run, rows, store_at


async def test_durable_settings_are_read_back(path: Path) -> None:
    """The writing connection has WAL and FULL, and the store says so with SQLite's version."""
    async with store_at(path) as store:
        assert read_pragmas(store._connection) == PRAGMAS
        assert store.durability() == {
            "sqlite": sqlite3.sqlite_version,
            "journal_mode": "wal",
            "synchronous": 2,
            "trusted_schema": 0,
        }


async def test_a_sync_is_a_full_one(tmp_path: Path) -> None:
    """Commits and checkpoints ask for F_FULLFSYNC where there is such a thing (macOS); what else
    syncs knows it as well."""
    async with store_at(tmp_path / "a.db") as store:
        for name in ("fullfsync", "checkpoint_fullfsync"):
            assert store._connection.execute(f"PRAGMA {name}").fetchone()[0] == 1
    with (tmp_path / "b").open("wb") as file:
        sync(file.fileno())


async def test_an_undurable_store_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that does not hold stops the opening: no store acknowledges what may be lost."""
    monkeypatch.setitem(PRAGMAS, "synchronous", 3)
    assert "cannot be used durably" in await refusal(path)


async def test_every_table_is_strict(path: Path) -> None:
    """SQLite checks the types of all columns; what is looked up by id is clustered by it."""
    async with store_at(path) as store:
        tables = {
            row["name"]: row
            for row in store._connection.execute("PRAGMA table_list")
            if row["type"] == "table" and not row["name"].startswith(("sqlite_", "_sqlite"))
        }
    texts = TABLES + REGISTRY + AUDIT + EXPIRED + CARRIED + JOBS + REPAIRS
    named = re.findall(r"CREATE TABLE (\w+)", texts)
    assert sorted(tables) == sorted(named)
    assert all(row["strict"] for row in tables.values())
    assert {n for n, row in tables.items() if not row["wr"]} == {"engine", "journal", "carried"}


async def test_fresh_schema_equals_the_migrated_one(path: Path) -> None:
    """What the migrations lead to is what the schema's text says; opening again changes nothing."""
    schema = (
        "SELECT type, name, tbl_name, sql FROM sqlite_schema"
        " WHERE substr(tbl_name, 1, 7) != '_sqlite' ORDER BY name"
    )
    fresh = sqlite3.connect(":memory:")
    for statement in split_statements(
        f"{TABLES}{STUCK}{MAY_POST};{STOPPED}{MOVES}{EXCERPTS}{REGISTRY}{HELD};{OF_CLIENT}{AUDIT}"
        f"{EXPIRED}{TRACES};\n{PAUSES};\n{CARRIED}{JOBS}{REPAIRS}{NOTES};{TOLD}"
    ):
        fresh.execute(statement)
    wanted = fresh.execute(schema).fetchall()
    fresh.close()
    for _ in range(2):
        async with store_at(path):
            assert rows(path, schema) == wanted


async def test_migrations_are_recorded_once(path: Path) -> None:
    """sqlite-utils knows which migrations the file has had; none is applied a second time."""
    for _ in range(2):
        async with store_at(path) as store:
            done = migrations.applied(Database(store._connection))
            assert [each.name for each in done] == [
                "m001_journal_and_tables",
                "m002_stuck_runs",
                "m003_functions_at_work",
                "m004_engine_error",
                "m005_moved_runs",
                "m006_excerpts",
                "m007_registry",
                "m008_held_steps",
                "m009_runs_of_client",
                "m010_audit",
                "m011_expired_runs",
                "m012_traces",
                "m013_pauses_counted_once",
                "m014_floor_of_the_journal",
                "m015_jobs",
                "m016_repairs",
                "m017_causes_by_pattern",
                "m018_notes",
                "m019_told_of_acts_and_what_went",
            ]
            assert migrations.pending(Database(store._connection)) == []


async def test_epochs_rise_and_the_file_keeps_its_secret(path: Path) -> None:
    """Each start is a new epoch; parent tokens of earlier ones can still be read."""
    seen = []
    for _ in range(3):
        async with store_at(path) as store:
            seen.append((store.epoch, store.secret, store.file_id))
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3]
    assert len({(secret, file_id) for _, secret, file_id in seen}) == 1
    assert len(seen[0][1]) == 32


async def test_only_its_user_can_read_the_files(tmp_path: Path, path: Path) -> None:
    """Payloads and the secret are in there: database, log, index and lock have mode 0600."""
    old = os.umask(0)
    try:
        async with store_at(path) as store:
            await store.write(new_run("k")[1]).wait()
            found = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert found == dict.fromkeys(("a.db", "a.db-wal", "a.db-shm", "a.db.lock"), 0o600)


async def test_second_owner_is_refused_and_told_the_first(path: Path) -> None:
    """Of two engines on one file the second does not start, and says who has it."""
    first = Owner(4711, "first", "2026-01-01T00:00:00.000Z", "http://127.0.0.1:8420")
    async with store_at(path, owner=first):
        said = await refusal(path)
    assert "process id 4711 at http://127.0.0.1:8420" in said
    assert "started 2026-01-01T00:00:00.000Z" in said
    async with store_at(path):
        """The first has left: the file is free."""


@pytest.mark.slow
async def test_a_killed_owner_leaves_the_file_free(path: Path) -> None:
    """The system takes the lock from a dead process; while it lives, refusal comes at once."""
    with holder(path) as process:
        took_s = []
        for _ in range(3):  # of which the machine may be busy with one; a wait would be in each
            began = time.monotonic()
            assert "process id 4711" in await refusal(path)
            took_s.append(time.monotonic() - began)
        assert min(took_s) < 1
        process.send_signal(signal.SIGKILL)
        process.wait()
        async with store_at(path) as store:
            assert store.epoch == 2


async def test_not_a_database(tmp_path: Path) -> None:
    """A file of something else is named, and left as it is."""
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear Ada, " * 1_000)
    assert f"{path} is not an SQLite database: it is another program's file" in await refusal(path)
    assert path.read_bytes() == b"Dear Ada, " * 1_000


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """No table is added to a database of something else, nor is its journal mode changed."""
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE photo (id INTEGER PRIMARY KEY)")
    other.close()
    before = path.read_bytes()
    assert f"{path} is another program's database" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_database_that_anybody_may_have_prepared_is_refused(path: Path) -> None:
    """It says what to do, and then it is opened: nothing of it was changed. What its group may do
    is the mount's matter."""
    async with store_at(path):
        pass
    before = path.read_bytes()
    path.chmod(0o602)
    assert f"`chmod o-w {path}`" in await refusal(path)
    assert path.read_bytes() == before
    path.chmod(0o660)
    async with store_at(path):
        pass


@pytest.mark.parametrize(
    ("uid", "mode", "euid", "refused"),
    [
        (7, 0o100600, 7, ""),
        (7, 0o100664, 7, ""),
        (0, 0o100644, 7, ""),
        (0, 0o100600, 0, ""),
        (8, 0o100600, 7, "another user of this machine (8)"),
        (8, 0o100600, 7, "`chown 7 '/a b.db'`"),
        (8, 0o100600, 0, "Run it as that user: `sudo -u '#8' …`."),
        (7, 0o100666, 7, "`chmod o-w '/a b.db'`"),
    ],
)
def test_whose_database_is_trusted(uid: int, mode: int, euid: int, refused: str) -> None:
    """One's own and root's, if not everybody may write it; root trusts no other user's either."""
    why = why_not_trusted(uid, mode, euid, Path("/a b.db"))
    assert (why is None) == (not refused)
    assert refused in (why or "")


async def test_an_empty_file_becomes_a_database(path: Path) -> None:
    """An engine that died between making the file and its schema does no harm."""
    path.touch()
    async with store_at(path) as store:
        assert store.epoch == 1


async def test_a_first_start_that_died_early(path: Path) -> None:
    """A file that has only the table of migrations, still empty, is gone on with."""
    started = sqlite3.connect(path)
    migrations.ensure_migrations_table(Database(started))
    started.commit()
    started.close()
    assert rows(path, "SELECT name FROM sqlite_schema") != []
    async with store_at(path) as store:
        assert store.epoch == 1


def test_statements_are_split_where_sqlite_ends_them() -> None:
    """A trigger's inner semicolons end no statement."""
    script = "CREATE TABLE a (b);\nCREATE TRIGGER c BEFORE UPDATE ON a\nBEGIN SELECT 1; END;\n"
    assert len(split_statements(script)) == 2


async def test_a_failed_opening_gives_the_lock_back(path: Path) -> None:
    """After a refusal the next try is judged by itself, not by what the first one left."""
    path.write_bytes(b"x" * 8_192)
    assert "not an SQLite database" in await refusal(path)
    path.unlink()
    with trio.fail_after(5):
        async with store_at(path):
            pass
