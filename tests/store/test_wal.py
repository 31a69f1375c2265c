"""The write-ahead log stays bounded, or it is said who keeps it from being so."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.store.sqlite.file import wal as wals
from engine.store.sqlite.file.wal import LONG_BYTES
from tests.store.support import new_run, store_at

READER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN")
db.execute("SELECT count(*) FROM journal").fetchone()
print("reads", flush=True)
sys.stdin.read()
"""
Logged = list[tuple[str, dict[str, Any]]]


@contextmanager
def reader(path: Path) -> Iterator[int]:
    """Another program that has begun to read; gives its process id."""
    with subprocess.Popen(
        (sys.executable, "-c", READER, str(path)),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "reads\n"
        yield process.pid
        process.kill()


@pytest.mark.slow
async def test_who_holds_the_log_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once when it is long, again when it is twice as long, and when it is free."""
    logged = Logged()
    monkeypatch.setattr(wals, "LONG_BYTES", 100_000)
    async with store_at(path, log=lambda event, **values: logged.append((event, values))) as store:
        store.wal._say_at = 100_000

        async def write(count: int) -> None:
            for _ in range(count):
                await store.write(new_run(str(store.writer.durable_sequence))[1]).wait()
                store.wal.put_into_file()

        await write(5)
        assert logged == []
        with reader(path) as pid:
            await write(90)
        assert {event for event, _ in logged} == {"store-log-held"}
        (_, first), (_, second), *more = logged
        assert len(more) <= 1
        assert first["log_bytes"] >= 100_000
        assert second["log_bytes"] >= 2 * first["log_bytes"]
        assert first["held_by"].startswith(f"process {pid} (")
        assert store.wal.bytes >= second["log_bytes"]
        await write(2)
        assert [event for event, _ in logged[len(more) + 2 :]] == ["store-log-free"]


async def test_the_log_begins_anew_and_its_file_is_cut(path: Path) -> None:
    """What a reader has let it grow to is given back."""
    async with store_at(path) as store:
        limit = store._connection.execute("PRAGMA journal_size_limit").fetchone()[0]
        assert limit == LONG_BYTES
        store._connection.execute("PRAGMA journal_size_limit = 50000").fetchone()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM journal").fetchone()
            for number in range(30):
                await store.write(new_run(str(number))[1]).wait()
            store.wal.put_into_file()
            other.execute("ROLLBACK")
        assert store.wal.bytes > 100_000
        store.wal.put_into_file()
        await store.write(new_run("after")[1]).wait()
        assert store.wal.bytes < 60_000
