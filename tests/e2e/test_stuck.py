"""What is stuck keeps nobody: neither a log that takes no lines nor a loop that stands still."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e import harness
from tests.e2e.harness import EXIT_TIMEOUT_S, ROOT_DIRECTORY
from tests.loopback import free_port

DEADLINE_S = 0.3
_STUCK = f"""
import sys, time, trio
from engine.telemetry.log_output import standard_error
from engine.process.stopping import Stop, Watchdog, block_signals, listen

async def main(stop):
    stop.attach()
    log("stuck")
    time.sleep(60)

blocked = block_signals()
with standard_error(until_the_end=True) as output:
    def log(event, **values):
        output.write(f"{{event}} {{values}}")
    stop = Stop(Watchdog(output, log), {DEADLINE_S}, log)
    listen(blocked, stop.hear)
    trio.run(main, stop)
"""
_BLOCKED = """
import signal
from engine.process.stopping import block_signals
print(*sorted(number.name for number in block_signals()))
signal.signal(signal.SIGHUP, signal.SIG_IGN)
print(*sorted(number.name for number in block_signals()))
"""


def python(code: str) -> subprocess.Popen[bytes]:
    """A process of ours that runs this."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT_DIRECTORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_deadline_holds_while_the_loop_stands_still(number: signal.Signals) -> None:
    """A stop is heard, and ends in time, by what needs no loop; the log says where it stood."""
    with python(_STUCK) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"stuck")
        began = time.monotonic()
        process.send_signal(number)
        process.send_signal(number)  # as `timeout` does: to the process, and to its group
        try:
            assert process.wait(EXIT_TIMEOUT_S) == 0
        finally:
            process.kill()
        assert time.monotonic() - began >= DEADLINE_S
        heard, struck = process.stderr.read().decode().splitlines()
        assert heard == f"stopping {{'signal': '{number.name}'}}"
        assert struck.startswith("stopped-at-deadline")
        assert "in main" in struck


@pytest.mark.slow
def test_pythons_last_words_wait_for_nobody() -> None:
    """A traceback while the process ends, and a log that nobody reads: it ends all the same."""
    code = (
        "import os; from engine.telemetry.log_output import standard_error\n"
        "with standard_error(until_the_end=True): pass\n"
        "class Last:\n"
        "    def __del__(self): raise ValueError('x' * 100_000)\n"
        "last = Last(); print('more'); raise SystemExit(3)"
    )
    with python(code) as process:
        try:
            assert process.wait(EXIT_TIMEOUT_S) == 3
        finally:
            process.kill()


@pytest.mark.slow
def test_nohup_is_obeyed() -> None:
    """SIGHUP stops the engine, unless it was ignored when it started."""
    with python(_BLOCKED) as process:
        out, _ = process.communicate(timeout=EXIT_TIMEOUT_S)
    assert out.decode().splitlines() == ["SIGHUP SIGINT SIGTERM", "SIGINT SIGTERM"]


@pytest.mark.slow
async def test_sighup_drains(tmp_path: Path) -> None:
    """A terminal that is closed, a session that ends: a graceful stop like any other."""
    with harness.running(tmp_path) as engine:
        engine.signal(signal.SIGHUP)
        assert await engine.ended() == 0
        assert engine.events("engine-stopped-well")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unread", "gone", "full"])
async def test_a_log_that_takes_no_lines_changes_nothing(tmp_path: Path, kind: str) -> None:
    """From the first line on: it starts, serves, drains, stops, and its metrics say it."""
    reader, writer = os.pipe()
    if kind == "unread":
        os.set_blocking(writer, False)
        try:
            while os.write(writer, b"x" * 4096):
                pass
        except BlockingIOError:
            os.set_blocking(writer, True)
    elif kind == "gone":
        os.close(reader)
    else:
        os.close(writer)
        writer = os.open("/dev/full", os.O_WRONLY)
    port = free_port()
    engine = harness.launch(tmp_path, stderr=writer, port=port)
    os.close(writer)
    try:
        async with (
            harness.client(f"http://127.0.0.1:{port}") as shop,
            harness.application(step=harness.fine) as app,
        ):

            async def ready() -> bool:
                try:
                    return (await shop.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await harness.eventually_async(ready)
            assert (await shop.post(app.at("step"))).status_code == 200
            assert "atomic_log_lines_dropped_total 0.0" in (await shop.get("/metrics")).text
        engine.signal(signal.SIGTERM)
        assert await engine.ended() == 0
    finally:
        engine.kill()
        if kind != "gone":
            os.close(reader)
