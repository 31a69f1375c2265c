"""Clients and tokens of files, with a real engine and a real disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import eventually, launch, running
from tests.registry.files import secret, write

TAKEN_S = 10.0
"""What the page promises."""


@pytest.mark.slow
async def test_files_are_taken_while_the_engine_runs(tmp_path: Path) -> None:
    """From the start, and within 10 s of a change; a bad one is told in the log, with its line, and
    no secret is in any line."""
    write(tmp_path / "atomic.toml", '[clients.shop]\ntargets = ["http://127.0.0.1:9/"]\n')
    write(tmp_path / "admin.token", secret(1))
    with running(tmp_path, admin_token_file="admin.token") as engine:
        write(tmp_path / "admin.token", f"{secret(1)}\n{secret(2)}")
        await eventually(lambda: engine.events("files-read"), TAKEN_S)
        (read,) = engine.events("files-read")
        assert (read["changed"], read["clients"], read["tokens"]) == (["admin.token"], 1, 2)
        write(tmp_path / "atomic.toml", "[clients.shop]\ntarget = []")
        await eventually(lambda: engine.events("bad-file"), TAKEN_S)
        (bad,) = engine.events("bad-file")
        assert bad["file"] == "atomic.toml [clients.shop]"
        assert bad["why"].startswith("atomic.toml: line 2: `clients.shop.target`: unknown member")
        assert "atomic_0" not in engine.text
        assert engine.stop() == 0


def test_a_bad_file_stops_the_start(tmp_path: Path) -> None:
    """With its place, and before anything is opened or listened to."""
    write(tmp_path / "atomic.toml", '\n[clients.shop]\ntoken_file = "none"')
    engine = launch(tmp_path)
    assert engine.wait() == 2
    assert engine.text == (
        "atomic: cannot start: atomic.toml: line 3: `clients.shop.token_file`: none: cannot be"
        " read: No such file or directory\n"
    )
    assert not (tmp_path / "a.db").exists()
