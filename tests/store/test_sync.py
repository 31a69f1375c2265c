"""Durable means synced: counted at the system's own interface."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

COMMITS = 10
SCRIPT = """
import sys, trio
from pathlib import Path
from tests.store.support import new_run, store_at

async def commit(path, count, synchronous):
    async with store_at(Path(path), synchronous=synchronous) as store:
        for number in range(count):
            await store.write(new_run(str(number))[1]).wait()
        assert store.writer.commits == count

trio.run(commit, sys.argv[1], int(sys.argv[2]), sys.argv[3])
"""


def syncs(directory: Path, count: int, synchronous: str) -> int:
    """How often a process that commits so many times asks the disk to sync."""
    trace = directory / f"trace-{count}-{synchronous}"
    database = directory / f"{count}-{synchronous}.db"
    subprocess.run(
        (
            *("strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace)),
            *(sys.executable, "-c", SCRIPT, str(database), str(count), synchronous),
        ),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    return len(re.findall(r"f(?:data)?sync\(\d+\) += 0", trace.read_text()))


@pytest.mark.slow
@pytest.mark.system
def test_each_group_commit_is_synced(tmp_path: Path) -> None:
    """Under FULL ten commits cost at least ten syncs more than none; under OFF they cost none."""
    assert syncs(tmp_path, COMMITS, "FULL") - syncs(tmp_path, 0, "FULL") >= COMMITS
    assert syncs(tmp_path, COMMITS, "OFF") - syncs(tmp_path, 0, "OFF") == 0
