"""`atomic doctor` of a real engine and of a file: what is well, and what was made not to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import trio
from click.testing import CliRunner

from engine.cli.main import main
from engine.offline import add_client_to
from engine.process.exits import EXIT_DAMAGED, EXIT_OK, EXIT_REFUSED
from engine.wire.access import ClientRequest
from tests.e2e.harness import SETTINGS, application, fine, running
from tests.loopback import free_port


def _asked(*arguments: str, **environ: str) -> Any:
    return CliRunner().invoke(main, ["doctor", *arguments], prog_name="atomic", env=environ)


def _verdicts(result: Any) -> dict[str, tuple[str, str]]:
    found = json.loads(result.stdout)["findings"]
    return {it["name"]: (it["verdict"], it["what"]) for it in found}


async def test_an_engine_and_what_is_wrong_around_it(tmp_path: Path) -> None:
    """A target that listens and one that does not; a file that others read; no backup; a directory
    in which others write, which fails. No request reaches the target."""
    directory = tmp_path / "data"
    directory.mkdir(0o700)
    db = directory / "a.db"
    dead = f"http://127.0.0.1:{free_port()}/"
    async with application(work=fine) as app:
        asked = ClientRequest("shop", (f"{app.url}/", dead))
        made = await trio.to_thread.run_sync(add_client_to, db, asked, "setup")
        assert made.admin is not None
        token = tmp_path / "admin.token"
        token.write_text(made.admin.secret)
        with running(tmp_path, **SETTINGS, db=str(db)) as engine:
            options = ("--engine", engine.url, "--token-file", str(token))
            result = await trio.to_thread.run_sync(_asked, *options, "--json")
            assert result.exit_code == EXIT_OK, result.output
            found = _verdicts(result)
            assert {name: it[0] for name, it in found.items() if name != "sqlite"} == {
                "durability": "ok", "disk": "ok", "file modes": "ok", "directory": "ok",
                "descriptors": "ok", "clock": "ok", "backup": "warn", "target of shop": "warn",
                "targets": "ok",
            }  # fmt: skip
            assert found["durability"][1].startswith("journal_mode wal, synchronous 2")
            assert dead in found["target of shop"][1]
            assert found["targets"][1] == "1 of 2 can be connected to"
            db.chmod(0o644)
            directory.chmod(0o777)
            result = await trio.to_thread.run_sync(_asked, *options)
            assert result.exit_code == EXIT_DAMAGED
            assert "WARN  file modes: others of this machine may read" in result.stdout
            assert "FAIL  directory: others may replace files" in result.stdout
            refused = _asked("--db", str(db))
            assert refused.exit_code == EXIT_REFUSED
            assert "is in use by the engine" in refused.stderr
        assert app.calls == []


def test_a_file_that_no_engine_has_open(tmp_path: Path) -> None:
    """What can be told of it; what is none is a line."""
    tmp_path.chmod(0o700)
    with running(tmp_path, **SETTINGS) as engine:
        assert engine.stop() == 0
    result = _asked("--db", str(tmp_path / "a.db"), "--json")
    assert result.exit_code == EXIT_OK, result.output
    assert {name for name in _verdicts(result) if name != "sqlite"} == {
        "disk", "file modes", "directory", "clock", "content"
    }  # fmt: skip
    (tmp_path / "b.db").write_text("nothing of the kind, and long enough to be read\n" * 9)
    result = _asked("--db", str(tmp_path / "b.db"))
    assert result.exit_code == EXIT_DAMAGED
    assert "is not an SQLite database" in result.stderr
