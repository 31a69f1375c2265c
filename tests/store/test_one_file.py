"""One file, one owner: whatever name the file goes by."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from engine.ports.store import StoreError
from engine.store.sqlite.file.owner import Owner, check_unowned
from engine.store.sqlite.readers import connect_read_only
from engine.store.sqlite.store import open_store
from tests.world import inline

OWNER = Owner(pid=1, instance="test", started_at="now", url="http://127.0.0.1:1")


async def test_a_link_to_the_file_is_the_file(autojump_clock, tmp_path: Path) -> None:
    """A second engine that reaches the file by a symbolic link is refused, with the owner named."""
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    async with open_store(tmp_path / "a.db", OWNER, started_at=0, write_offload=inline):
        with pytest.raises(StoreError, match="process id 1 at http"):
            async with open_store(tmp_path / "link.db", OWNER, started_at=0):
                pass


@pytest.mark.parametrize("name", ["a?mode=rw.db", "a#b.db", "100%25.db", "ä b.db"])
def test_a_path_is_no_query(tmp_path: Path, name: str) -> None:
    """Readers open the file that was named, whatever characters its name has, and only read it."""
    path = tmp_path / name
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    reader = connect_read_only(path)
    try:
        assert reader.execute("SELECT name FROM sqlite_schema").fetchone()[0] == "t"
        with pytest.raises(sqlite3.OperationalError):
            reader.execute("CREATE TABLE u (x)")
    finally:
        reader.close()
    assert os.listdir(tmp_path) == [name]


async def test_who_has_the_file_is_told_before_anything_else(
    autojump_clock, tmp_path: Path
) -> None:
    """`check_unowned` names the owner, and leaves nothing behind when there is none."""
    check_unowned(tmp_path / "a.db")
    assert os.listdir(tmp_path) == []
    async with open_store(tmp_path / "a.db", OWNER, started_at=0, write_offload=inline):
        with pytest.raises(StoreError, match="process id 1 at http"):
            check_unowned(tmp_path / "a.db")
    check_unowned(tmp_path / "a.db")
