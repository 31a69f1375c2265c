"""A copy that comes back: nothing is called until a person says so, and then all goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import trio
from click.testing import CliRunner

from engine.cli.main import main
from engine.process.exits import EXIT_DAMAGED, EXIT_REFUSED
from engine.store.sqlite.verify.verify import verify
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Call,
    EngineProcess,
    application,
    client,
    eventually,
    fine,
    running,
)
from tests.e2e.sse import event_stream
from tests.store.support import change_file, rows


def atomic(*arguments: str) -> Any:
    """The command, as it is typed."""
    return CliRunner().invoke(main, list(arguments), prog_name="atomic")


def _status(engine: EngineProcess) -> Any:
    return httpx.get(f"{engine.url}/api/v1/status").json()


async def test_a_restored_copy_calls_nothing_until_a_person_says_so(tmp_path: Path) -> None:
    """Runs in flight and backing off at the copy, and what is posted now: all wait, through a
    restart too. Log, status, holds say why. Released, all are called."""
    copy, restored = tmp_path / "copy.db", tmp_path / "restored.db"
    never = trio.Event()

    async def hangs(call: Call) -> Answer:
        await never.wait()
        return Answer()

    async def fails(call: Call) -> Answer:
        return Answer(500)

    async with application(done=fine, hangs=hangs, fails=fails) as app:
        with running(tmp_path, **SETTINGS) as engine:
            async with client(engine.url, "shop") as shop:
                done = await shop.post(app.at("done"), key="done")
                assert done.status_code == 200
                for name in ("hangs", "fails"):
                    await shop.post(app.at(name), key=name, prefer="respond-async")
                await eventually(lambda: bool(app.called("hangs") and app.called("fails")))
            made = await trio.to_thread.run_sync(
                atomic, "backup", str(copy), "--engine", engine.url
            )
            assert made.exit_code == 0, made.output
            old = _status(engine)["sequence"]
            engine.kill()
        result = await trio.to_thread.run_sync(
            atomic, "restore", str(copy), "--to", str(restored), "--as", "ada"
        )
        assert result.exit_code == 0, result.output
        assert "Everything is held in it." in result.stdout
        assert verify(restored).faults == []
        assert rows(restored, "SELECT actor, act, what FROM audit ORDER BY id DESC LIMIT 1") == [
            ("ada", "restore", str(restored))
        ]
        app.handlers["hangs"] = app.handlers["fails"] = fine
        app.calls.clear()
        settings = {**SETTINGS, "db": str(restored)}
        for _ in range(2):
            with running(tmp_path, **settings) as engine:
                await _look(engine, old, app.at("new"))
                (found,) = httpx.get(f"{engine.url}/api/v1/runs?key=hangs").json()["runs"]
                assert found["error"] == "interrupted: in flight in the copy that was restored"
                assert engine.stop() == 0
            assert app.calls == []
        with running(tmp_path, **settings) as engine:
            app.handlers["new"] = fine
            released = await trio.to_thread.run_sync(
                atomic, "release", "--all", "--engine", engine.url
            )
            assert released.exit_code == 0, released.output
            await eventually(lambda: {call.name for call in app.calls} == {"hangs", "fails", "new"})
            await eventually(lambda: "holds" not in _status(engine) or not _status(engine)["holds"])
            async with client(engine.url, "shop") as shop:
                again = await shop.post(app.at("done"), key="done")
                assert again.content == done.content
            assert not app.called("done")


async def _look(engine: EngineProcess, old: str, new: str) -> None:
    """What says that everything is held; who read the old file's events is to start anew."""
    async with client(engine.url, "shop") as shop:
        posted = await shop.post(new, key="new", prefer="respond-async")
        assert posted.status_code == 202
        # each has come to where it would have been called
        await eventually(lambda: _status(engine)["holds"][0]["waiting"] == 3)
        status = _status(engine)
        (hold,) = status["holds"]
        assert (hold["kind"], hold["name"], hold["actor"]) == ("all", "*", "ada")
        assert "restored from copy.db, as it was at 20" in hold["reason"]
        (line,) = engine.events("everything-held")
        assert line["release"] == "atomic release --all"
        assert status["sequence"].partition("-")[0] != old.partition("-")[0]
        async with event_stream(engine, old) as stream:
            assert (await stream.next()).name == "reset"
    shown = await trio.to_thread.run_sync(atomic, "holds", "--engine", engine.url)
    assert shown.stdout.startswith("held: everything since ")


async def test_a_copy_that_is_not_whole_is_not_restored(tmp_path: Path) -> None:
    """Nor is anything written over; a word of before is still understood."""
    with running(tmp_path, **SETTINGS) as engine:
        assert engine.stop() == 0
    db, target = tmp_path / "a.db", tmp_path / "b.db"
    change_file(db, "UPDATE tally SET runs = 3")
    change_file(db, "INSERT OR IGNORE INTO tally VALUES ('failed', 3)")
    result = atomic("restore", str(db), "--to", str(target))
    assert result.exit_code == EXIT_DAMAGED
    assert "is not whole, and nothing was restored" in result.stderr
    assert not target.exists()
    target.write_bytes(b"mine")
    result = atomic("restore", str(db), "--to", str(target))
    assert result.exit_code == EXIT_REFUSED
    assert target.read_bytes() == b"mine"
    result = atomic("restore", str(db))
    assert "Missing option '--to'" in result.stderr
    result = atomic("restore", "01A", "--engine", "http://127.0.0.1:1")
    assert result.stderr.startswith("note: this is `atomic undismiss` now")
