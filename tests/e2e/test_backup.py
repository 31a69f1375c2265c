"""Copies by a real engine: asked for, by itself, and refused; whole whatever it does meanwhile."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio
from click.testing import CliRunner

from engine.cli.main import main
from engine.process.exits import EXIT_REFUSED
from engine.store.sqlite.verify.verify import verify
from tests.e2e.harness import (
    SETTINGS,
    Application,
    EngineProcess,
    application,
    client,
    eventually,
    fine,
    running,
)
from tests.registry.files import secret


def atomic(engine: EngineProcess, *arguments: str) -> Any:
    """The command, as it is typed."""
    return CliRunner().invoke(main, [*arguments, "--engine", engine.url], prog_name="atomic")


async def _posted(engine: EngineProcess, app: Application, count: int) -> None:
    async with client(engine.url, "shop") as shop:
        for number in range(count):
            answer = await shop.post(app.at("work"), key=f"k{number}")
            assert answer.status_code == 200


async def test_a_copy_of_an_engine_that_works(tmp_path: Path) -> None:
    """Made by command, checked, 0600, told by status, metrics, audit and log; the second of the
    same name fails and says why."""
    copy = tmp_path / "copy.db"
    async with application(work=fine) as app:
        with running(tmp_path, **SETTINGS) as engine:
            await _posted(engine, app, 20)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_posted, engine, app, 60)
                made = await trio.to_thread.run_sync(atomic, engine, "backup", str(copy))
            assert made.exit_code == 0, made.output
            assert made.stdout == f"{copy}: {copy.stat().st_size:,} bytes\n"
            assert stat.S_IMODE(copy.stat().st_mode) == 0o600
            assert verify(copy).faults == []
            again = await trio.to_thread.run_sync(atomic, engine, "backup", str(copy))
            assert again.exit_code == EXIT_REFUSED
            assert "is there already, and nothing is written over" in again.stderr
            well = await trio.to_thread.run_sync(atomic, engine, "doctor")
            (told,) = [it for it in well.stdout.splitlines() if " backup: " in it]
            assert told.startswith("WARN  backup: the last one failed: ")
            assert f": {copy}. Mend that, or" in told
            status = httpx.get(f"{engine.url}/api/v1/status").json()["backup"]
            assert status["lastGood"]["bytes"] == copy.stat().st_size
            assert "is there already" in status["last"]["error"]
            shown = await trio.to_thread.run_sync(atomic, engine, "status")
            assert f"bytes: {copy}" in shown.stdout
            assert "the backup of" in shown.stdout
            metrics = httpx.get(f"{engine.url}/metrics").text
            assert f"atomic_backup_bytes {copy.stat().st_size}.0" in metrics
            assert "atomic_backups_failed_total 1.0" in metrics
            assert "atomic_backup_interval_seconds +Inf" in metrics
            entries = httpx.get(f"{engine.url}/api/v1/audit").json()["entries"]
            assert [(it["act"], it["what"], it["status"]) for it in entries] == [
                ("backup failed", str(copy), 500),
                ("backup", str(copy), 202),
                ("backup made", str(copy), 200),
                ("backup", str(copy), 202),
            ]
            assert len({(it["actor"], it["address"]) for it in entries}) == 1
            assert "is there already" in entries[0]["detail"]
            assert msgspec.json.decode(entries[2]["detail"])["bytes"] == copy.stat().st_size
            (line,) = engine.events("backup-failed")
            assert "is there already" in line["error"]
            assert engine.events("backup-made")[0]["bytes"] == copy.stat().st_size
            relative = httpx.post(f"{engine.url}/api/v1/backups", json={"file": "a.db"})
            assert (relative.status_code, relative.json()["type"]) == (
                400, "/problems/invalid-request"
            )  # fmt: skip
            assert engine.stop() == 0


async def test_copies_by_themselves(tmp_path: Path) -> None:
    """One at the start; an engine that starts soon after makes none; as many as are to be kept."""
    to = tmp_path / "backups"
    settings = {**SETTINGS, "backup_dir": str(to), "backup_keep": 1}
    with running(tmp_path, **settings) as engine:
        await eventually(lambda: bool(engine.events("backup-made")))
        status = httpx.get(f"{engine.url}/api/v1/status").json()["backup"]
        assert status["lastGood"]["actor"] == "engine"
        assert status["nextAt"] > status["lastGood"]["endedAt"]
        assert engine.stop() == 0
    (copy,) = to.iterdir()
    assert stat.S_IMODE(to.stat().st_mode) == 0o700
    assert verify(copy).faults == []
    with running(tmp_path, **settings) as engine:
        status = httpx.get(f"{engine.url}/api/v1/status").json()["backup"]
        assert status["lastGood"]["file"] == str(copy)
        assert engine.stop() == 0
    assert list(to.iterdir()) == [copy]


async def test_who_may_not_administer_makes_no_copy(tmp_path: Path) -> None:
    """A copy holds all payloads, and the secret that signs parent tokens."""
    for number, role in enumerate(("admin", "operate")):
        (tmp_path / role).write_text(secret(number))
        (tmp_path / role).chmod(0o600)
    settings = {f"{role}_token_file": str(tmp_path / role) for role in ("admin", "operate")}
    with running(tmp_path, **SETTINGS, **settings) as engine:
        asked = {"file": str(tmp_path / "copy.db")}
        codes = [
            httpx.post(
                f"{engine.url}/api/v1/backups",
                json=asked,
                headers={"Authorization": f"Bearer {(tmp_path / role).read_text()}"},
            ).status_code
            for role in ("operate", "admin")
        ]
        assert codes == [403, 202]
