"""Another process that owns a file, and what a second owner is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.ports.store import StoreError
from tests.store.support import store_at

HOLDER = """
import sys, trio
from pathlib import Path
from engine.store.sqlite.file.owner import Owner
from engine.store.sqlite.store import open_store

async def hold():
    owner = Owner(4711, "first", "2026-01-01T00:00:00.000Z", "http://127.0.0.1:8420")
    async with open_store(Path(sys.argv[1]), owner, started_at=0):
        print("held", flush=True)
        await trio.sleep_forever()

trio.run(hold)
"""


async def refusal(path: Path, **options: Any) -> str:
    """What a person is told when this cannot be opened."""
    with pytest.raises(StoreError) as caught:
        async with store_at(path, **options):
            pass
    return str(caught.value)


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the file."""
    process = subprocess.Popen(
        (sys.executable, "-c", HOLDER, str(path)),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
