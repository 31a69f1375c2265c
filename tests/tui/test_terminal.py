"""The dashboard on a real terminal: hostile text, an engine that is killed, ways to leave."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from engine.wire import RunCounts, RunPage, RunTree, Status
from tests.e2e import harness
from tests.tui.on_screen import at, run_row, step_row
from tests.tui.support import event_read
from tests.tui.terminal import (
    ALT_SCREEN,
    HOSTILE,
    Endpoint,
    Terminal,
    dashboard,
    endpoint,
    fail,
    recording,
)
from tui.data.inputs import LinkMoved, LinkState, RunsRead, StatusRead, TreeRead
from tui.data.listing import Edge

FORBIDDEN = (
    b"\x1b]52",
    b"\x1b]0;pwned",
    b"\xc2\x9b",
    b"\x1bc",
    "\u202e".encode(),
    b"\x00",
    b"\xc2\x9d",
)


def assert_harmless(written: bytes) -> None:
    """Nothing of HOSTILE reached the terminal as what it is."""
    found = [each for each in FORBIDDEN if each in written]
    assert found == []


@contextmanager
def of_nothing(directory: Path) -> Iterator[Terminal]:
    """The dashboard of a recording of an engine that does nothing."""
    path = recording(directory / "empty.ndjson", LinkMoved(LinkState.LIVE))
    with dashboard("--replay", str(path)) as terminal:
        terminal.until_shown("Quit")
        yield terminal


def test_two_texts_that_come_together_are_both_seen() -> None:
    """By this file's own terminal; and after a key only what comes after it."""
    said = "print('Runs Quit', flush=True); input(); print('again')"
    with Terminal(program=("-c", said)) as terminal:
        terminal.until_shown("Runs")
        terminal.until_shown("Quit")
        terminal.type("\r")
        terminal.until_shown("again")
        assert terminal.ended() == 0
        assert b"Quit" not in terminal.written.partition(b"\r\n")[2]


@pytest.mark.slow
def test_hostile_bodies_reach_no_terminal(tmp_path: Path) -> None:
    """Payload and answer full of control sequences are shown with pictures in their place."""
    with endpoint() as app, harness.running(tmp_path) as engine:
        fail(engine.url, app)
        with dashboard(engine.url, "--filter", "is:failed") as terminal:
            terminal.until_shown("order")
            terminal.type("\r")
            terminal.until_shown("try   started")
            terminal.type("b")
            terminal.until_shown("␛]52")
            terminal.type("q")
            terminal.until_shown("try   started")
            terminal.type("p")
            terminal.until_shown("payload")
            terminal.type("q")
            terminal.until_shown("try   started")
            terminal.type("q")
            terminal.type("q")
            assert terminal.ended() == 0
            assert_harmless(terminal.written)
            assert terminal.is_sane


@pytest.mark.slow
def test_an_editor_gets_the_terminal_and_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is slow to end has the terminal, as it was before, and a file that is its
    owner's and gone afterwards; secrets are not in it. Then the dashboard is there again."""
    script, kept = tmp_path / "edit it.py", tmp_path / "kept"
    script.write_text(
        "import os, sys\n"
        f"open({str(kept)!r}, 'w').write(sys.argv[1] + open(sys.argv[1]).read())\n"
        "print('EDITS', oct(os.stat(sys.argv[1]).st_mode)[-3:], sys.stdin.readline())\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} '{script}'")
    monkeypatch.setattr(Endpoint, "body", b'{"token": "hunter2"}')
    with endpoint() as app, harness.running(tmp_path) as engine:
        fail(engine.url, app)
        with dashboard(engine.url, "--filter", "is:failed") as terminal:
            terminal.until_shown("order")
            terminal.type("\r")
            terminal.until_shown("try   started")
            terminal.type("e")
            terminal.until(kept.exists, "edited")
            terminal.type("typed\r")
            terminal.until_shown("EDITS 600 typed")
            terminal.until_shown("try   started")
            terminal.type("qq")
            assert terminal.ended() == 0
            assert terminal.is_sane
    name, _, body = kept.read_text().partition(".txt")
    assert Path(name).name.startswith("atomic-")
    assert body == '{"token": "••••"}'
    assert not Path(f"{name}.txt").exists()


@pytest.mark.slow
def test_redact_and_no_redact_say_the_opposite() -> None:
    """Which is told at once."""
    with Terminal("--redact", "iban", "--no-redact") as terminal:
        assert terminal.ended() == 2
        assert b"say the opposite" in terminal.written


@pytest.mark.slow
def test_no_field_carries_control_sequences(tmp_path: Path) -> None:
    """Every text of runs, steps, attempts, events and status goes through the same edge."""
    row = run_row(
        1, "failed", workflow_name=HOSTILE, client=HOSTILE, idempotency_key=HOSTILE, error=HOSTILE,
        at={"name": HOSTILE, "url": f"http://{HOSTILE}/", "error": HOSTILE, "http_status": None},
    )  # fmt: skip
    steps = (
        step_row(row.id, None, "failed", error=HOSTILE, url=HOSTILE),
        step_row(row.id, "child", "failed", error=HOSTILE, url=HOSTILE, idempotency_key=HOSTILE,
                 pause_reason=HOSTILE, delay_by=HOSTILE, cause_id=HOSTILE),
    )  # fmt: skip
    event = {
        "kind": HOSTILE, "runId": HOSTILE, "stepId": HOSTILE, "status": HOSTILE, "error": HOSTILE,
        "actor": HOSTILE, "spec": {"name": HOSTILE},
    }  # fmt: skip
    path = recording(
        tmp_path / "hostile.ndjson",
        LinkMoved(LinkState.LIVE),
        StatusRead(Status(instance=HOSTILE, server_time=at(0), counts=RunCounts()), 0.0, 0.0),
        RunsRead("runs", Edge.HEAD, RunPage((row,), 1, False)),
        TreeRead(RunTree(row, steps, at(0))),
        event_read("f-1", "attempt", event),
        event_read("f-2", "step", event | {"kind": "acted", "action": HOSTILE, "reason": HOSTILE}),
    )
    with dashboard("--replay", str(path), size=(170, 40)) as terminal:
        terminal.until_shown("failed")
        terminal.type("\r")
        terminal.until_shown("try   started")
        terminal.type("j5")
        terminal.until_shown("TIME")
        terminal.type("q")
        assert terminal.ended() == 0
        assert_harmless(terminal.written)


@pytest.mark.slow
def test_the_engine_is_killed_and_comes_back(tmp_path: Path) -> None:
    """The dashboard says that it reconnects, connects by itself, and tells of the restart."""
    with harness.running(tmp_path) as engine:
        with dashboard(engine.url) as terminal:
            terminal.until_shown("● live")
            engine.kill()
            terminal.until_shown("reconnecting")
            port = int(engine.url.rpartition(":")[2])
            with harness.running(tmp_path, port=port):
                terminal.type("r")
                terminal.until_shown("engine restarted")
                assert b"Traceback" not in terminal.written
                terminal.type("q")
                assert terminal.ended() == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_sane_terminal(tmp_path: Path, number: signal.Signals) -> None:
    """Asked to end, it leaves the terminal as it was."""
    with of_nothing(tmp_path) as terminal:
        terminal.signal(number)
        assert terminal.ended() == 128 + number
        assert terminal.is_sane


BROKEN = """
from engine.cli.main import main
from tui.boards.selection import Selection

def move(self, by):
    body = "hun" + "ter2"
    raise RuntimeError("this widget is broken")

Selection.move = move
main()
"""


@pytest.mark.slow
def test_an_error_in_a_widget_leaves_a_sane_terminal(tmp_path: Path) -> None:
    """And is told, with the code of a failure, but not what the variables held."""
    path = recording(tmp_path / "empty.ndjson", LinkMoved(LinkState.LIVE))
    with Terminal("--replay", str(path), program=("-c", BROKEN)) as terminal:
        terminal.until_shown("Quit")
        terminal.type("j")
        assert terminal.ended() == 1
        assert terminal.is_sane
        assert b"this widget is broken" in terminal.written
        assert b"hunter2" not in terminal.written


@pytest.mark.slow
def test_a_closed_terminal_leaves_no_process_behind(tmp_path: Path) -> None:
    """When its terminal goes, the dashboard goes too, though there is nobody to say goodbye to."""
    with of_nothing(tmp_path) as terminal:
        terminal.close()
        assert terminal.process.wait(harness.EXIT_TIMEOUT_S) == 128 + signal.SIGHUP


def six_runs(tmp_path: Path) -> Path:
    """A recording of a list of so many."""
    return recording(
        tmp_path / "runs.ndjson",
        LinkMoved(LinkState.LIVE),
        RunsRead("runs", Edge.HEAD, RunPage(tuple(map(run_row, range(6))), 6, False)),
    )


@pytest.mark.slow
def test_it_goes_to_the_background_and_comes_back(tmp_path: Path) -> None:
    """`ctrl+z` gives the shell its terminal as it was; `fg` brings the whole screen back."""
    with dashboard("--replay", str(six_runs(tmp_path))) as terminal:
        terminal.until_shown("STATE")
        for _ in range(2):
            terminal.type("\x1a")
            terminal.until(terminal.is_stopped, "stopped")
            assert terminal.is_sane
            terminal.signal(signal.SIGCONT)
            for text in ("STATE", "Quit"):  # in whichever order they are drawn
                terminal.until_shown(text)
            assert not terminal.is_sane
        terminal.type("q")
        assert terminal.ended() == 0
        assert terminal.is_sane


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGTSTP, None])
def test_it_ends_after_it_was_stopped_from_outside(
    tmp_path: Path, how: signal.Signals | None
) -> None:
    """Stopped by another process, or told to go on though it never stopped: `q` still ends it."""
    with dashboard("--replay", str(six_runs(tmp_path))) as terminal:
        terminal.until_shown("STATE")
        for _ in range(3):
            if how is not None:
                terminal.signal(how)
                terminal.until(terminal.is_stopped, "stopped")
            terminal.signal(signal.SIGCONT)
            terminal.until_shown("Quit")
        terminal.type("q")
        assert terminal.ended() == 0
        assert terminal.is_sane


@pytest.mark.slow
def test_two_hundred_resizes(tmp_path: Path) -> None:
    """Whatever size the terminal takes, also none that fits, the dashboard lives."""
    chance = Random(26)
    path = recording(
        tmp_path / "runs.ndjson",
        LinkMoved(LinkState.LIVE),
        RunsRead("runs", Edge.HEAD, RunPage(tuple(map(run_row, range(60))), 60, False)),
    )
    with dashboard("--replay", str(path)) as terminal:
        for _ in range(200):
            terminal.resize(chance.randint(1, 220), chance.randint(1, 70))
            terminal.type(chance.choice("12345jG"))
            terminal.read(0.005)
        terminal.resize(52, 10)
        terminal.until_shown("52×10")
        terminal.resize(80, 24)
        terminal.until_shown("Quit")
        terminal.type("1")
        terminal.until_shown("STATE")
        terminal.type("q")
        assert terminal.ended() == 0
        assert b"Traceback" not in terminal.written


@pytest.mark.slow
def test_the_demonstration_opens_its_dashboard() -> None:
    """`atomic demo` on a terminal shows the dashboard on its own engine; leaving it stops
    everything, gives the terminal back and tells what the runs promised and did."""
    with Terminal("--rate", "5", command="demo") as terminal:
        terminal.until_shown("● live")
        terminal.until_shown("TRIES")
        terminal.type("5")
        terminal.until_shown("acts, failures, ends")
        terminal.type("m")
        terminal.until_shown("try 1 started")
        terminal.type("q")
        terminal.until_shown("Effects that the completed runs promised")
        assert terminal.ended() == 0
        assert terminal.is_sane
        assert b"Traceback" not in terminal.written


@pytest.mark.slow
def test_what_is_typed_ahead_goes_to_the_prompt(tmp_path: Path) -> None:
    """A command and a filter that arrive in one piece are typed into the line at the foot: none of
    their letters is taken for a key of the board."""
    with of_nothing(tmp_path) as terminal:
        terminal.type(":utc\r")
        terminal.until_shown("told in UTC")
        terminal.type("/is:completed\r")
        terminal.until_shown("filter is:completed")
        terminal.type("q")
        assert terminal.ended() == 0


@pytest.mark.slow
def test_a_filter_that_makes_no_sense_is_told_at_once() -> None:
    """Before the screen is taken, in a line and with the code of a wrong option."""
    with Terminal("--filter", "is:nope") as terminal:
        assert terminal.ended() == 2
        assert b"--filter: `is:nope` is none of pending" in terminal.written
        assert ALT_SCREEN not in terminal.written
