"""What an operator does, by keyboard alone, in tmux: a terminal of somebody else's make.

An engine, an application whose endpoints fail until they are mended, and a dashboard. Nothing here
knows the dashboard's code: keys go in, and what stands on the screen is read.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.client import Client
from tests.e2e import harness
from tests.tui.endpoint import Handler, serving

BACK_OFF_MS = 600_000
"""None of these waits is over by itself while the test runs."""


class Tmux:
    """A dashboard in a window of tmux, on a server of its own."""

    def __init__(self, socket: Path, url: str, size: tuple[int, int]) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        command = shlex.join([sys.executable, "-m", "engine.cli", "tui", url])
        where = f"cd {shlex.quote(str(harness.ROOT_DIRECTORY))}"
        self._run(
            "new-session", "-d", "-x", f"{size[0]}", "-y", f"{size[1]}", "-s", "tour",
            f"{where}; {command}; echo left with $?; stty -a; cat",
        )  # fmt: skip

    def _run(self, *arguments: str) -> str:
        environment = {**os.environ, "LANG": "C.UTF-8", "XDG_CONFIG_HOME": "/none"}
        done = subprocess.run(
            [*self._tmux, *arguments], capture_output=True, text=True, env=environment, check=True
        )
        return done.stdout

    def keys(self, *keys: str) -> None:
        """Press keys, as tmux calls them."""
        self._run("send-keys", "-t", "tour", *keys)

    def screen(self) -> str:
        """What stands on the screen."""
        return self._run("capture-pane", "-p", "-t", "tour")

    def until(self, *patterns: str) -> str:
        """Look until all of these are on the screen; returns the screen."""
        deadline = time.monotonic() + harness.PATIENCE_S
        while True:
            screen = self.screen()
            missing = [each for each in patterns if not re.search(each, screen)]
            if not missing:
                return screen
            assert time.monotonic() < deadline, f"never seen: {missing}\n{screen}"
            time.sleep(0.02)

    def end(self) -> None:
        """End the server and what runs in it."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


class Application(Handler):
    """Fails what is posted to /fail/… until it is mended."""

    mended = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        fails = self.path.startswith("/fail") and not Application.mended
        body = b'{"error": "the shelf is empty"}' if fails else b'{"done": true}'
        self.answer(503 if fails else 200, body, "application/json")


@contextmanager
def application() -> Iterator[str]:
    """Its address. It begins unmended."""
    Application.mended = False
    with serving(Application) as port:
        yield f"http://127.0.0.1:{port}"


def submit(client: Client, app: str, name: str, runs: int, **retry: int) -> None:
    """So many runs of a workflow whose endpoint fails."""
    for number in range(runs):
        client.submit(
            name, client="shop", url=f"{app}/fail/{name}", key=f"{name}-{number}",
            payload={"order": number},
            prefer="respond-async",
            retry={"backOff": BACK_OFF_MS, "maxBackOff": BACK_OFF_MS, "jitter": 0, **retry},
        )  # fmt: skip


@contextmanager
def dashboard(tmp_path: Path, url: str, size: tuple[int, int]) -> Iterator[Tmux]:
    """The dashboard in tmux, for the length of a block."""
    tmux = Tmux(tmp_path / "tmux", url, size)
    try:
        yield tmux
    finally:
        tmux.end()


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("size", [(80, 24), (140, 40)], ids=str)
def test_an_operator_does_it_all_by_keyboard(tmp_path: Path, size: tuple[int, int]) -> None:
    """Home and every board, open, read why, retry before the countdown ends, cancel, mark, a bulk
    job of a cause, the brake, an engine that is killed and comes back, and out."""
    with application() as app, harness.running(tmp_path) as engine:
        with Client(engine.url) as client:
            submit(client, app, "pay", 1)
            submit(client, app, "ship", 2)
            submit(client, app, "book", 3, count=0)
        with dashboard(tmp_path, engine.url, size) as tmux:
            home(tmux)
            tmux.until("● live", "pay .*in 9m", "ship .*in 9m")
            boards(tmux)
            why_and_retry(tmux)
            cancel_one(tmux)
            retry_a_cause(tmux)
            with Client(engine.url) as client:
                hold_and_release(tmux, lambda: submit(client, app, "late", 1))
            engine.kill()
            tmux.until("reconnecting")
            port = int(engine.url.rpartition(":")[2])
            with harness.running(tmp_path, port=port):
                tmux.keys("r")
                tmux.until("● live", "engine restarted")
                tmux.keys("q")
                left = tmux.until("left with 0", r"\bicanon\b", r"(?<!-)\becho\b")
                assert "Traceback" not in left


def home(tmux: Tmux) -> None:
    """What opens first says whether all is well; each of its rows leads on, and `esc` back."""
    tmux.until("0 Home", "✗ 3 runs need a person", "STUCK +3 503")
    tmux.until("DUE +0 <10s", "3 (<10m|later) +━")
    tmux.keys("Enter")
    tmux.until("is:stuck cause:", "row 1 of 3")
    tmux.keys("Escape")
    tmux.until("3 runs need a person")
    tmux.keys("1")


def boards(tmux: Tmux) -> None:
    """Each board says what is on it."""
    for key, patterns in {
        "2": ("NEXT", "in 9m"),
        "3": ("CAUSE", "503", "book"),
        "4": ("OK%", "127.0.0.1"),
        "5": ("TIME|Nothing has happened",),
        "6": ("No bulk job",),
        "1": ("STATE", "pay"),
    }.items():
        tmux.keys(key)
        tmux.until(*patterns)
    tmux.keys("?")
    tmux.until("Keys: runs")
    tmux.keys("Escape")  # not at once with what follows: that would be another key
    tmux.until("1 of 3")


def why_and_retry(tmux: Tmux) -> None:
    """Find the failing run, read why, and retry it before its time: it completes."""
    tmux.keys("/")
    tmux.keys("C-u")
    tmux.keys("-l", "wf:pay")
    tmux.keys("Enter")
    tmux.until("wf:pay", "1 of 1")
    tmux.keys("Enter")
    tmux.until("503", r"next .*10m00 back-off", "POST .*/fail/pay")
    tmux.keys("b")
    tmux.until("the shelf is empty", "esc closes")
    tmux.keys("q")
    Application.mended = True
    tmux.until("R Retry now")
    tmux.keys("R")
    tmux.until("✓ completed", "try|tries")
    tmux.keys("5")
    tmux.until("run completed", "retry.*by ")
    tmux.keys("m")
    tmux.until("try 2 succeeded")
    tmux.keys("1")
    tmux.until("wf:pay")
    tmux.keys("Escape")
    tmux.until("is:live", "ship")


def cancel_one(tmux: Tmux) -> None:
    """No keeps it, Yes ends it; two marked rows are told before they are paused."""
    tmux.keys("g")
    tmux.keys("C")
    tmux.until("Cancel\\?")
    answered(tmux, "Cancel\\?", "Escape")
    tmux.until("nothing was done")
    tmux.keys("Space", "Space")
    tmux.until("2 marked")
    tmux.keys("P")
    tmux.until("Pause: 2 marked")
    answered(tmux, "Pause: 2 marked", "y")
    tmux.until("◫ paused.*\n.*◫ paused")
    tmux.keys("z")
    tmux.until("taken back: 2 of 2")
    tmux.keys("C")
    tmux.until("Cancel\\?")
    answered(tmux, "Cancel\\?", "y")
    tmux.until("cancelled: ship")


def retry_a_cause(tmux: Tmux) -> None:
    """All runs that failed for one reason, as a job of the engine's."""
    tmux.keys("3")
    tmux.until("CAUSE", "book")
    tmux.keys("R")
    tmux.until("Retry: 3 runs", "would +retry 3 of 3 runs")
    answered(tmux, "Retry: 3 runs", "y")
    tmux.until("Nothing needs a person")
    tmux.keys("6")
    tmux.until("3 of 3", "q Back")
    tmux.keys("Escape")
    tmux.until("q Quit")


def hold_and_release(tmux: Tmux, submit_one: Callable[[], None]) -> None:
    """A host is held with one key, what is there and what comes: what is posted meanwhile is not
    called before the release."""
    tmux.keys("4")
    tmux.until("OK%", "H Hold")
    tmux.keys("H")
    tmux.until("hold, why")
    tmux.keys("-l", "vendor down")
    tmux.keys("Enter")
    tmux.until("Hold it\\?", "host 127.0.0.1", "vendor down", "and what comes")
    answered(tmux, "Hold it\\?", "y")
    tmux.until("held.* since .* by ", "H Release")
    submit_one()
    tmux.keys("1")
    tmux.until("late .* held ")
    tmux.keys("4")
    tmux.until("H Release")
    tmux.keys("H")
    tmux.until("release, so many a second")
    tmux.keys("Enter")
    tmux.until("Release it\\?", "vendor down", "20 a second")
    answered(tmux, "Release it\\?", "y")
    tmux.until("H Hold")
    tmux.keys("5")
    tmux.until("run completed +late")


def answered(tmux: Tmux, question: str, key: str) -> None:
    """Answer a question, which takes no key in its first quarter of a second."""
    deadline = time.monotonic() + harness.PATIENCE_S
    while re.search(question, tmux.screen()):
        assert time.monotonic() < deadline, tmux.screen()
        tmux.keys(key)
        again = time.monotonic() + 1.0  # a key too many would be one of the board's
        while re.search(question, tmux.screen()) and time.monotonic() < again:
            time.sleep(0.02)
