"""The slow disk of the kill trials is slow, or says why it cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kill.slow_sync import NoCompiler, slow_sync

SYNC = """
import os, sys, time
handle = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
began = time.monotonic()
os.fsync(handle); os.fdatasync(handle)
print(time.monotonic() - began)
"""


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for, it fails in words; not asked for, nothing is needed."""
    monkeypatch.setattr(shutil, "which", lambda name: None)

    with pytest.raises(NoCompiler, match="Install gcc"):
        slow_sync(tmp_path, 100)
    assert slow_sync(tmp_path, 0) == {}


@pytest.mark.system
def test_each_sync_takes_so_much_longer(tmp_path: Path) -> None:
    """Two syncs of a process with the library take twice what was asked for."""
    environment = {**os.environ, **slow_sync(tmp_path, 100)}

    said = subprocess.run(
        (sys.executable, "-c", SYNC, tmp_path / "file"),
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert float(said.stdout) >= 0.2
