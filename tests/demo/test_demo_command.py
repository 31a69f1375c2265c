"""`atomic demo` as a user runs it: a process with three processes below it, on real sockets."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import demo_app.promised
from engine.cli.demo.processes import DemoError, Part
from engine.cli.demo.run import run as demo
from engine.cli.demo.stage import DemoOptions

ROOT = Path(__file__).parents[2]
EXIT_TIMEOUT_S = 60
COLUMNS = 80
LEFT_S_MAX = 10.0


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`atomic demo` with its output as a pipe."""
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environment},
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=EXIT_TIMEOUT_S)


def read_until(process: subprocess.Popen[str], *patterns: str) -> str:
    """Its output up to the line after which each pattern has been seen."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if all(re.search(pattern, text) for pattern in patterns):
            return text
    raise AssertionError(text)


def children(pid: int) -> dict[str, int]:
    """The processes that a process has started: what each runs, and its id."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    found = {}
    for child in " ".join(task.read_text() for task in tasks).split():
        command = Path(f"/proc/{child}/cmdline").read_text()
        if command in ("", Path(f"/proc/{pid}/cmdline").read_text()):
            continue  # it has just ended, or only begins: the application crashes now and then
        leashed = re.search(
            r"\0engine\.process\.leash\0\d+\0(?:--remove\0[^\0]+\0)?([\w.]+)\0", command
        )
        assert leashed is not None, command
        found[leashed[1]] = int(child)
    return found


def parts_of(pid: int) -> dict[str, int]:
    """Its parts, as soon as all are there: each may have been killed, or have crashed, just now."""
    deadline = time.monotonic() + LEFT_S_MAX
    while set(pids := children(pid)) != {"engine.cli", "demo_app", "demo_app.smtp"}:
        assert time.monotonic() < deadline, pids
    return pids


def alive(pids: dict[str, int]) -> list[str]:
    """Which of them are there."""
    return [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
def test_once_shows_every_run_and_that_all_is_well(tmp_path: Path) -> None:
    """Exit code 0, a tree for each run, the table, the verdict last; it fits a terminal."""
    with started("--once", "--data", str(tmp_path / "data")) as process:
        output, errors = process.communicate(timeout=EXIT_TIMEOUT_S)
    assert (process.returncode, errors) == (0, "")
    lines = output.splitlines()
    trees = [line for line in lines if re.match(r"✓ completed  \w+  01[0-9A-Z]{24}$", line)]
    assert len(trees) == 4
    assert "└─ ✓ completed  sendAnalytics  4 tries, HTTP 200, took " in output
    assert re.search(r"try 3  [0-9:.]+Z  failure: HTTP 404 fault, waited \d+ ms \(policy\)", output)
    assert "the application crashed, back after" in output
    assert "├─ ✗ failed  chargeCard " in output
    assert "               bookCarrier             3        3" in lines
    assert lines[-1] == "no effect lost, none doubled"
    # The temporary directory's name may be long; what we write ourselves is not.
    assert [it for it in lines if len(it) > COLUMNS and str(tmp_path) not in it] == []
    assert "\x1b" not in output
    kept = {"app.db", "application.log", "atomic.db", "engine.log", "mail", "mail.log"}
    assert kept <= {it.name for it in (tmp_path / "data").iterdir()}


@pytest.mark.slow
def test_the_steady_mix_survives_kills_and_ends_on_ctrl_c() -> None:
    """The engine is killed under it; after SIGINT the table agrees and no process is left."""
    with started("--rate", "5", "--kill-engine", "2s", "--seed", "5") as process:
        backed_off = r"try \d → \w+( \w+)?, next in \d+ ms \(policy\)"
        killed = r"\(engine\) +was killed"
        seen = read_until(process, killed, backed_off, "run completed", "-- runs: ")
        pids = parts_of(process.pid)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=EXIT_TIMEOUT_S)
    assert (process.returncode, errors) == (0, "")
    assert alive(pids) == []
    assert "0 lost, 0 doubled" in seen
    assert re.search(r"^createUser +createUser +(\d+) +\1$", output, re.MULTILINE)
    assert output.splitlines()[-1] == "no effect lost, none doubled"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_no_process_behind(number: signal.Signals) -> None:
    """Asked to stop in the midst of `--once`, it stops what it has started."""
    with started("--once") as process:
        read_until(process, "1. createUser")
        pids = children(process.pid)
        assert len(pids) == 3
        process.send_signal(number)
        _, errors = process.communicate(timeout=EXIT_TIMEOUT_S)
    assert (process.returncode, errors) == (130, "")
    assert alive(pids) == []


@pytest.mark.slow
def test_kill_9_leaves_neither_processes_nor_files(tmp_path: Path) -> None:
    """Nobody is there to stop the parts: their leash does, and takes the temporary files along."""
    with started("--rate", "5", TMPDIR=str(tmp_path)) as process:
        read_until(process, "run completed")
        pids = parts_of(process.pid)
        (directory,) = tmp_path.iterdir()
        assert (directory / "atomic.db").exists()
        process.kill()
        deadline = time.monotonic() + LEFT_S_MAX
        while alive(pids) or directory.exists():
            assert time.monotonic() < deadline, (alive(pids), directory.exists())
            time.sleep(0.02)


@pytest.mark.slow
def test_a_part_that_dies_ends_it_with_the_tail_of_its_log() -> None:
    """No traceback: what has died, the end of its log, exit code 1, and nothing left behind."""
    with started() as process:
        read_until(process, "submitted")
        pids = children(process.pid)
        os.kill(pids["demo_app.smtp"], signal.SIGKILL)
        _, errors = process.communicate(timeout=EXIT_TIMEOUT_S)
    assert process.returncode == 1
    lines = errors.splitlines()
    assert lines[0] == "atomic demo: the mail server has died unexpectedly (signal 9)"
    assert lines[1] == "The end of its log:"
    assert lines[2].startswith("  demo_app.smtp listening on 127.0.0.1:")
    assert alive(pids) == []


@pytest.mark.slow
def test_the_reader_of_the_output_may_leave() -> None:
    """`atomic demo | head` ends it like any other command, with nothing left behind."""
    with started() as process:
        assert process.stdout is not None
        read_until(process, "submitted")
        pids = children(process.pid)
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
        assert (process.wait(EXIT_TIMEOUT_S), errors) == (1, "")
        process.stdout = None
    assert alive(pids) == []


@pytest.mark.slow
def test_effects_that_differ_are_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lost and doubled effects are marked in the table, counted in the last line."""
    rows = [
        demo_app.promised.Row("createUser", "once-user", "createUser", 1, 3),
        demo_app.promised.Row("createUser", "once-user", "sendEmail", 1, 0),
    ]
    monkeypatch.setattr("demo_app.promised.compare", lambda *_: rows)
    assert demo(DemoOptions(once=True)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "once-user  createUser         1        3  2 DOUBLED" in lines
    assert "           sendEmail          1        0  1 LOST" in lines
    assert lines[-1] == "1 effect lost, 2 doubled"


@pytest.mark.slow
def test_an_answer_that_differs_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs that end otherwise than expected are named, though every effect is there."""
    monkeypatch.setattr("demo_app.scenario.Submission.met_by", lambda one, _: "user" in one.key)
    assert demo(DemoOptions(once=True)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == ('placeOrder, key once-declined: not declined but {"status":"declined"}')
    assert lines[-1] == "no effect lost, none doubled; 3 runs not as expected"


@pytest.mark.slow
def test_it_says_at_once_that_it_starts() -> None:
    """Before anything large is imported: the line is there when little of the time has gone that
    the first step takes to come, and all parts start side by side."""
    began = time.monotonic()
    with started() as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        said_after = time.monotonic() - began
        read_until(process, "submitted")
        alive_after = time.monotonic() - began
    assert first == "Starting an engine, an application and a mail server ...\n"
    assert said_after < alive_after / 2


@pytest.mark.slow
async def test_a_part_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The error carries the part's own words."""
    command = ["engine.cli", "serve", "--db", str(tmp_path / "none" / "atomic.db")]
    part = Part("engine", lambda port: [*command, "--port", str(port)], tmp_path, "engine.log")
    with pytest.raises(DemoError, match=r"the engine could not start \(exit code 2\)") as caught:
        await part.start()
    assert any("atomic: cannot start" in line for line in caught.value.tail)
