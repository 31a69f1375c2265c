"""`atomic verify` and `backup`: what they print, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from engine.cli.show import text
from engine.process.exits import EXIT_DAMAGED, EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_USAGE
from tests.client.fake_engine import Atomic, FakeEngine, answer
from tests.store.support import answered, change_file, new_run, rows, started, store_at


async def _write_one(path: Path) -> None:
    async with store_at(path) as store:
        run, write = new_run("a")
        for each in (write, started(run, 1), answered(run, 2)):
            await store.write(each).wait()


def test_verify_says_what_it_has_looked_at(atomic: Atomic, path: Path) -> None:
    """Each check with its counts, and that nothing is wrong."""
    trio.run(_write_one, path)
    result = atomic("verify", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{path}: ")
    assert "checked  rows: 1 run, 1 step, 1 attempt, 1 outcome held against their events" in lines
    assert lines[-1].startswith("nothing wrong, ")


def test_verify_names_each_fault_and_has_an_exit_code_for_it(atomic: Atomic, path: Path) -> None:
    """As text and as JSON."""
    trio.run(_write_one, path)
    change_file(path, "UPDATE step SET failures = 4")
    result = atomic("verify", str(path))
    assert result.exit_code == EXIT_DAMAGED
    assert "FAULT    step Ra: failures is 4, and its events say 0. Restore a copy" in result.stdout
    words = "1 run, 1 step, 1 attempt, 1 outcome held against their events: 1 fault, below"
    assert f"faulty   rows: {words}\n" in result.stdout
    assert "checked  rows" not in result.stdout
    assert "checked  pages: " in result.stdout
    assert result.stdout.splitlines()[-1].startswith("1 fault, ")
    result = atomic("verify", str(path), "--json")
    assert result.exit_code == EXIT_DAMAGED
    report = json.loads(result.stdout)
    assert [fault["place"] for fault in report["faults"]] == ["step Ra"]
    assert report["tookMs"] >= 0


def test_how_far_it_is_is_told_on_a_terminal_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After two seconds, ten times a second at most; and the line is gone in the end."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    now = [100.0]
    monkeypatch.setattr(text, "monotonic", lambda: now[0])
    with text.ProgressLine() as line:
        for at, done in ((101.9, 1), (102.0, 2_000), (102.05, 3_000), (102.2, 4_000)):
            now[0] = at
            line.show("events", done, 5_000)
    blank = " " * len("events: 2,000 of 5,000")
    told = "\revents: 2,000 of 5,000\revents: 4,000 of 5,000"
    assert capsys.readouterr().err == f"{told}\r{blank}\r"


def test_a_page_that_cannot_be_read_was_not_checked_well(atomic: Atomic, path: Path) -> None:
    """What is said of the pages is not that they were found good, and then bad."""
    trio.run(_write_one, path)
    ((page,),) = rows(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'attempt'")
    kept, at = path.read_bytes(), (page - 1) * 4_096
    path.write_bytes(kept[:at] + b"\xff" * 4_096 + kept[at + 4_096 :])
    told = atomic("verify", str(path)).stdout
    assert "FAULT    pages: " in told
    (line,) = [line for line in told.splitlines() if line.startswith("faulty   pages: ")]
    assert "fault" in line.removeprefix("faulty")
    assert "checked  pages" not in told


def test_what_verify_cannot_look_at_is_a_line(atomic: Atomic, path: Path) -> None:
    """Nothing there, a directory, a file that an engine has open."""
    for wrong, said in ((path, "does not exist"), (path.parent, "is a directory")):
        result = atomic("verify", str(wrong))
        assert result.exit_code == EXIT_USAGE
        assert said in result.stderr

    async def beside_an_engine() -> None:
        async with store_at(path):
            result = atomic("verify", str(path))
            assert result.exit_code == EXIT_REFUSED
            assert "is in use by the engine with process id" in result.stderr
            assert "or check a copy: `atomic backup FILE`" in result.stderr
            assert "--db" not in result.stderr

    trio.run(beside_an_engine)


ROW = {"file": "/there/a.db", "endedAt": "2026-11-23T12:00:00.000Z", "tookMs": 9, "actor": "ada"}
NOW = {"file": "/there/a.db", "since": "s", "actor": "ada", "pagesDone": 1, "pages": 2}


def test_backup_follows_what_the_engine_makes(
    atomic: Atomic, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path as it is on this machine, whole; then how it ended."""
    monkeypatch.setattr("engine.cli.upkeep.backup.sleep", lambda seconds: None)
    made = [
        answer(NOW, 202),
        answer({"backup": {"underWay": NOW}}),
        answer({"backup": {"last": {**ROW, "bytes": 4_096}}}),
    ]
    result = atomic("backup", "/there/a.db", answers=made)
    assert (result.exit_code, result.stdout) == (0, "/there/a.db: 4,096 bytes\n")
    failed = [answer(NOW, 202), answer({"backup": {"last": {**ROW, "error": "no room."}}})]
    result = atomic("backup", "/there/a.db", answers=failed)
    assert (result.exit_code, result.stderr) == (EXIT_REFUSED, "atomic: no room.\n")
    lost = [answer(NOW, 202), answer({})]
    result = atomic("backup", "/there/a.db", answers=lost)
    assert result.exit_code == EXIT_UNREACHABLE
    assert "does not know how it ended" in result.stderr


def test_backup_of_a_file_that_no_engine_has_open(atomic: Atomic, path: Path) -> None:
    """The same copy, without an engine."""
    trio.run(_write_one, path)
    copy = path.with_name("copy.db")
    result = atomic("backup", str(copy), "--db", str(path))
    assert (result.exit_code, result.stdout) == (0, f"{copy}: {copy.stat().st_size:,} bytes\n")
    assert atomic("verify", str(copy)).exit_code == 0
    result = atomic("backup", str(copy), "--db", str(path), "--json")
    assert result.exit_code == EXIT_REFUSED
    assert "is there already" in result.stderr
    result = atomic("backup", str(copy), "--db", str(path), "--engine", "http://127.0.0.1:1")
    assert result.exit_code == EXIT_USAGE
