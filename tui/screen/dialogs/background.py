"""Going to the background, and coming back."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from textual.app import App, SuspendNotSupported

from tui.act.stage import NoTerminal, Stage

LOOK_AGAIN_S = 0.005


def suspend(app: App[Any]) -> bool:
    """Stop all that belongs to the job, as the terminal's own key does: also `atomic demo` around
    the dashboard, but only when the terminal has been given back. Goes on at `fg`.

    False: there is no terminal that could be given back.
    """
    try:
        with given_back(app) as continued:
            os.killpg(0, signal.SIGSTOP)
            # With several threads the call above comes back before the process is stopped: the
            # terminal would be taken again, and at the signal a second time, with a second thread
            # that reads it and that nobody ends.
            while not continued:
                select.select([], [], [], LOOK_AGAIN_S)
    except SuspendNotSupported:
        return False
    return True


def suspend_or_say(app: App[Any], stage: Stage) -> None:
    """The same; that there is none is said."""
    if not suspend(app):
        stage.tell("there is no shell to go back to", "alarm")


def call(words: Sequence[str]) -> None:
    """Run a program on this terminal, and wait for it. Raises OSError if there is none such."""
    subprocess.run(words, check=False)


def run_program(app: App[Any], words: Sequence[str]) -> None:
    """The same while the terminal is given back. Raises NoTerminal, OSError."""
    try:
        with given_back(app):
            call(words)
    except SuspendNotSupported as error:
        raise NoTerminal from error
    finally:
        app.refresh()


@contextmanager
def given_back(app: App[Any]) -> Iterator[list[int]]:
    """The terminal is another's for the length of a block. The list: signals to go on that came
    meanwhile. (No event: its lock may be held by what the signal interrupts.)

    Raises:
        SuspendNotSupported: There is no terminal that could be given back.
    """
    continued: list[int] = []
    with app.suspend():
        # `ctrl+z` in the pager stops the pager and this process alike
        stopping = signal.signal(signal.SIGTSTP, lambda *_: os.kill(os.getpid(), signal.SIGSTOP))
        going_on = signal.signal(signal.SIGCONT, lambda number, _: continued.append(number))
        try:
            yield continued
        finally:
            signal.signal(signal.SIGTSTP, stopping)
            signal.signal(signal.SIGCONT, going_on)


def watch(app: App[Any]) -> None:
    """Stop and go on also when another process says so (`kill -TSTP`, `kill -STOP`).

    In place of the handlers of Textual, which take the terminal a second time when the process
    goes on without having given it back, and then never end.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        app.call_later(suspend, app)

    def go_on(number: int, frame: FrameType | None) -> None:
        app.call_later(_take_terminal_anew, app)

    if not (app.is_headless or app.is_web):
        signal.signal(signal.SIGTSTP, stop)
        signal.signal(signal.SIGCONT, go_on)


def _take_terminal_anew(app: App[Any]) -> None:
    """After a stop that asked nobody, the shell has set the terminal as it wants it."""
    with given_back(app):
        pass
