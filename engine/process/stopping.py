"""How the engine is asked to stop, and the watchdog that ends it if it does not. Needs no loop.

SIGTERM, SIGINT and SIGHUP are blocked in every thread and taken by one that does nothing else. A
handler of Python's would run in the main thread, between two of its instructions: a loop that is
stuck in one (a commit that waits for a disk) would never hear of the stop.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress

import trio

from engine.process.exits import EXIT_OK
from engine.telemetry.log_output import LogOutput

ECHO_S = 0.1
LAST_WORDS_S = 0.2
"""Before the process is ended: how long its last lines of the log may take."""


class Watchdog:
    """Ends the process at a deadline, from a thread that nothing in Trio can block."""

    def __init__(self, output: LogOutput, log: Callable[..., None]) -> None:
        self._output, self._log = output, log
        self._timer: threading.Timer | None = None
        self._main = threading.get_ident()

    def start(self, seconds: float, code: int) -> None:
        """From now on `seconds` are left. Starting it again changes nothing."""
        if self._timer is None:
            self._timer = threading.Timer(seconds, self._strike, (code,))
            self._timer.daemon = True
            self._timer.start()

    def end(self, code: int) -> None:
        """End the process now: what was acknowledged is durable."""
        self._output.flush(LAST_WORDS_S)
        os._exit(code)

    def _strike(self, code: int) -> None:
        try:
            frame = sys._current_frames().get(self._main)  # noqa: SLF001 - documented
            stack = traceback.format_stack(frame)[-3:]
            self._log("stopped-at-deadline", main_thread=[it.strip() for it in stack])
        finally:
            self.end(code)


class Stop:
    """A stop: the first signal asks for it, a second one ends the process at once.

    Before there is a loop to stop, the first one ends the process too. Nothing is lost either way.
    """

    def __init__(self, watchdog: Watchdog, deadline_s: float, log: Callable[..., None]) -> None:
        self._watchdog, self._deadline_s, self._log = watchdog, deadline_s, log
        self._asked: trio.Event | None = None
        self._loop: trio.lowlevel.TrioToken | None = None
        self._heard = False

    def attach(self) -> trio.Event:
        """From the loop: the event that is set once a stop is asked for."""
        self._asked = trio.Event()
        self._loop = trio.lowlevel.current_trio_token()
        return self._asked

    def hear(self, number: int) -> None:
        """A signal came. From any thread; waits for nothing that the loop holds."""
        name = signal.Signals(number).name
        loop, asked = self._loop, self._asked
        if self._heard or loop is None or asked is None:
            self._log("stopping-at-once", signal=name)
            self._watchdog.end(EXIT_OK)
            return
        self._heard = True
        self._watchdog.start(self._deadline_s, EXIT_OK)
        self._log("stopping", signal=name)
        with suppress(trio.RunFinishedError):
            loop.run_sync_soon(asked.set)


def block_signals() -> set[signal.Signals]:
    """Block SIGTERM, SIGINT and SIGHUP in this thread and in those that it will start.

    To be called by the main thread before there are others. SIGHUP is left alone where it was
    ignored at the start (`nohup`). There is no way back: a signal that comes while the process
    ends must not end it in another way.
    """
    wanted = {signal.SIGTERM, signal.SIGINT}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted.add(signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    return wanted


def listen(blocked: set[signal.Signals], hear: Callable[[int], None]) -> None:
    """Call `hear`, in a thread of its own, for each of the blocked signals that comes.

    One that comes within ECHO_S of one that was heard is not heard: `timeout` and others send a
    signal to a process and then to its group, and mean one stop, not an impatient second one.
    """
    now = time.monotonic  # noqa: TID251 - of this thread alone: it waits for no clock of the loop's

    def run() -> None:
        heard_at = -math.inf
        while True:
            number = signal.sigwait(blocked)
            if now() - heard_at >= ECHO_S:
                hear(number)
                heard_at = now()

    # Not one of Trio's: it is there when the loop is stuck.
    threading.Thread(target=run, name="signals", daemon=True).start()  # noqa: TID251
