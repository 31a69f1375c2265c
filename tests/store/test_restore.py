"""A file out of a copy: another name, everything else as it was, and what its caller registers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio

from engine import offline
from engine.core.rules.hold import Hold, HoldKind, own_hold
from engine.ports.registry import Registered
from engine.ports.store import StoreError
from engine.store.sqlite.backup.restore import last_recorded, restore
from engine.store.sqlite.verify.verify import verify
from tests.store.support import ACT, HOLD, change_file, history, rows, store_at


@pytest.fixture
async def copy(tmp_path: Path) -> Path:
    """What was copied, with a client of a command in it."""
    async with store_at(tmp_path / "a.db") as store:
        history(store)
        await store.register(Registered("client", "shop", b"{}", 1, "ada")).wait()
    return tmp_path / "a.db"


async def test_a_restored_file_has_another_name_and_all_that_was_in_the_copy(
    copy: Path, tmp_path: Path
) -> None:
    """Runs, what people set, and the secret; with the hold and the act beside; the copy stays as it
    was, and nothing lies beside the file."""
    before, target = copy.read_bytes(), tmp_path / "b.db"
    progress: list[tuple[int, int]] = []
    done = restore(copy, target, [HOLD], ACT, lambda *step: progress.append(step))
    assert progress
    assert copy.read_bytes() == before
    ((old, old_secret),) = rows(copy, "SELECT file_id, secret FROM engine")
    ((new, secret),) = rows(target, "SELECT file_id, secret FROM engine")
    assert (done.file_id, done.size, secret) == (new, target.stat().st_size, old_secret)
    assert new != old
    assert rows(target, "SELECT kind, name FROM registry ORDER BY 1") == [
        ("client", "shop"), ("hold", "all/*")
    ]  # fmt: skip
    assert rows(target, "SELECT actor, act, what FROM audit") == [("ada", "restore", "b.db")]
    for table in ("journal", "run", "step", "attempt", "outcome"):
        assert rows(target, f"SELECT * FROM {table}") == rows(copy, f"SELECT * FROM {table}")
    assert verify(target).faults == []
    assert {it.name for it in tmp_path.iterdir() if it.name.startswith("b.db")} == {"b.db"}
    assert last_recorded(target) == 4


async def test_what_cannot_be_read_is_not_restored(copy: Path, tmp_path: Path) -> None:
    """A copy of a later version, say; nothing is left of the try."""
    change_file(copy, "UPDATE _sqlite_migrations SET name = 'm999_later' WHERE name LIKE 'm001%'")
    with pytest.raises(StoreError, match="was written by a newer Atomic"):
        restore(copy, tmp_path / "b.db", [HOLD], ACT, lambda *step: None)
    assert not [it for it in tmp_path.iterdir() if it.name.startswith("b.db")]
    (tmp_path / "text").write_text("nothing of the kind, and as long as a header must be. " * 9)
    with pytest.raises(StoreError, match="is not an SQLite database"):
        last_recorded(tmp_path / "text")


@pytest.mark.parametrize(("now", "since"), [(3, 4), (5, 5)])
async def test_the_hold_is_as_young_as_all_that_is_in_the_copy(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: int, since: int
) -> None:
    """By a clock that is behind it, too: alerts are held by it that are not younger."""

    async def moment() -> tuple[int, str]:
        return now, "01"

    monkeypatch.setattr(offline, "_moment", moment)
    target = tmp_path / "b.db"
    await trio.to_thread.run_sync(offline.restore_file, copy, target, "ada", lambda *progress: None)
    ((value,),) = rows(target, "SELECT value FROM registry WHERE kind = 'hold'")
    hold = msgspec.json.decode(value, type=Hold)
    assert (hold.kind, hold.since) == (HoldKind.ALL, since)
    assert own_hold([hold], last_recorded(copy)) is hold
