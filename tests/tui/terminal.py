"""The dashboard on a real pseudo-terminal: what crosses it, byte for byte."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self

import pytest

from engine.client import Client, StepFailed
from tests.e2e.harness import PATIENCE_S, ROOT_DIRECTORY
from tests.tui.endpoint import Handler, serving
from tui.data.inputs import Input
from tui.data.record import Recorder

ALT_SCREEN, MAIN_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
CURSOR_ON, CURSOR_OFF = b"\x1b[?25h", b"\x1b[?25l"


class Terminal:
    """A program with a terminal of its own. Reads what it writes, sends what is typed."""

    def __init__(
        self,
        *arguments: str,
        size: tuple[int, int] = (80, 24),
        command: str = "tui",
        program: Sequence[str] = ("-m", "engine.cli"),
    ) -> None:
        """`program`: what Python runs in place of the command line."""
        self.written = b""
        self._asked = 0
        """What was written before the last key, size or signal is not an answer to it."""
        self._mine, theirs = pty.openpty()
        self.resize(*size)
        self.cooked = termios.tcgetattr(theirs)
        self._theirs = theirs
        """Kept open, to look at the terminal after the program has gone."""
        self._open = [self._mine, theirs]
        environment = {
            **os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "COLORTERM": "truecolor",
            "PYTHONPATH": str(ROOT_DIRECTORY), "XDG_CONFIG_HOME": str(ROOT_DIRECTORY / "none"),
        }  # fmt: skip
        for name in ("NO_COLOR", "COLUMNS", "LINES"):  # these last go before the terminal's size
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, *program, command, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # its controlling terminal
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # with all that `atomic demo` has started
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Take the terminal away."""
        while self._open:
            os.close(self._open.pop())

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        self._asked = len(self.written)
        fcntl.ioctl(self._mine, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Send what is typed."""
        self._asked = len(self.written)
        os.write(self._mine, keys.encode())

    def read(self, seconds: float = 0.05) -> bytes:
        """What was written since the last time, waiting so long for the first of it."""
        found = b""
        while select.select([self._mine], [], [], 0 if found else seconds)[0]:
            try:
                part = os.read(self._mine, 65_536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            found += part
        self.written += found
        return found

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Read until it holds; fails with what was written last if it never does."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            self.read()
            assert time.monotonic() < deadline, f"never {what}: {self.written[-3000:]!r}"

    def until_shown(self, text: str) -> None:
        """Read until this text was written since the last key, size or signal, or the start. (Not
        from now on: what was read with a text that was waited for before may hold this one too.)"""
        self.until(lambda: text.encode() in self.written[self._asked :], f"shown: {text}")

    def ended(self) -> int:
        """Read on until the program has ended; its exit code."""
        self.until(lambda: self.process.poll() is not None, "ended")
        self.read()
        return self.process.wait()

    def is_stopped(self) -> bool:
        """Whether the program has gone to the background since this was last asked."""
        pid, status = os.waitpid(self.process.pid, os.WNOHANG | os.WUNTRACED)
        self.read()
        return pid != 0 and os.WIFSTOPPED(status)

    @property
    def is_sane(self) -> bool:
        """The terminal is as it was: cooked, on its main screen, with its cursor."""
        after = termios.tcgetattr(self._theirs)
        left_screen = self.written.rfind(MAIN_SCREEN) > self.written.rfind(ALT_SCREEN)
        has_cursor = self.written.rfind(CURSOR_ON) > self.written.rfind(CURSOR_OFF)
        return after == self.cooked and left_screen and has_cursor

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self._asked = len(self.written)
        self.process.send_signal(number)


@contextmanager
def dashboard(*arguments: str, size: tuple[int, int] = (80, 24)) -> Iterator[Terminal]:
    """The dashboard on a terminal, for the length of a block."""
    with Terminal(*arguments, size=size) as terminal:
        terminal.until_shown("Runs")
        yield terminal


HOSTILE = "\x1b]52;c;cHduZWQ=\x07\x1b]0;pwned\x07\x9b31m\x1bc\u202egnp\x00\x07\u009d0;x\u009c"


class Endpoint(Handler):
    """Answers every post with the body, and fails those to /fail."""

    body: ClassVar[bytes] = HOSTILE.encode()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(500 if self.path.startswith("/fail") else 200, self.body, "text/plain")


@contextmanager
def endpoint() -> Iterator[str]:
    """An application that answers hostile text."""
    with serving(Endpoint) as port:
        yield f"http://127.0.0.1:{port}"


def fail(url: str, app: str, key: str = "one") -> None:
    """A run that fails at once."""
    with Client(url) as client, pytest.raises(StepFailed):
        client.submit(
            "order", client="shop", url=f"{app}/fail", key=key, payload=HOSTILE, retry={"count": 0}
        )


def recording(path: Path, *inputs: Input) -> Path:
    """A recording of these inputs."""
    with path.open("wb") as file:
        recorder = Recorder(file, 0.0, 0)
        for each in inputs:
            recorder.record(each, 0.0)
    return path
