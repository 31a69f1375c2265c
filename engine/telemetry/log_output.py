"""Where log lines go: a queue, and a thread that writes them. Logging decides over nobody's life.

A log's disk can be full, its reader gone, its pipe unread, its terminal stopped. So who logs never
writes: it puts a line into a bounded queue, which neither blocks nor raises. One daemon thread
writes the lines in their order, and tries again for as long as it cannot. What finds no room in
the queue is counted; where the lines are missing a line says how many. A non-blocking descriptor
would do without the thread, but the flag belongs to the open file, which the shell and whoever
else has it would find changed.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUEUE_BYTES_MAX = 1_048_576
"""Lines that wait to be written: some thousand, and no more memory than that."""
AGAIN_S = 1.0
"""After a write that failed: how long until the next. Room on a disk comes slowly."""
FLUSH_S_MAX = 2.0
"""At the end of the process: how long lines may take that are still to be written. Only a log that
takes none needs it, or a machine that gives the thread no turn."""
PIECE_BYTES_MAX = 65_536
"""Written at once: what a pipe holds."""


class LogOutput:
    """Lines to one descriptor. `write` is for any thread; it never blocks and never raises."""

    def __init__(
        self,
        fd: int,
        *,
        dropped_line: Callable[[int], str] = "{} log lines were dropped".format,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
        again_s: float = AGAIN_S,
    ) -> None:
        self.dropped = 0
        """Lines that found no room, or could not be made."""
        self.dropped_line = dropped_line
        self._fd, self._bytes_max, self._again_s = fd, queue_bytes_max, again_s
        self._queue: deque[bytes | int] = deque()  # lines, and how many are missing between them
        self._bytes = 0
        self._full = False
        """Nothing is taken until there is room for half: one gap is logged, not a hundred."""
        self._stirred = threading.Condition()
        self._closing = False
        # Not one of Trio's: it outlives the loop, and may be stuck in a write for ever.
        threading.Thread(target=self._run, name="log", daemon=True).start()  # noqa: TID251

    def write(self, line: str) -> None:
        """Queue a line, without its line feed; or count it, when the queue is full."""
        data = line.encode(errors="backslashreplace") + b"\n"
        with self._stirred:
            self._full = self._full or 0 < self._bytes > self._bytes_max - len(data)
            if self._full:
                self._drop()
                return
            self._bytes += len(data)
            self._queue.append(data)
            self._stirred.notify_all()

    def drop(self) -> None:
        """Count a line that could not be made."""
        with self._stirred:
            self._drop()

    def _drop(self) -> None:
        self.dropped += 1
        last = self._queue[-1] if self._queue else None
        if isinstance(last, int):
            self._queue[-1] = last + 1
        else:
            self._queue.append(1)
            self._stirred.notify_all()

    def flush(self, seconds: float = FLUSH_S_MAX) -> bool:
        """Wait until everything is written, at most so long. Whether it is."""
        with self._stirred:
            return self._stirred.wait_for(lambda: not self._queue, seconds)

    def close(self, seconds: float = FLUSH_S_MAX) -> None:
        """Flush, and end the thread if it is not stuck in a write. The descriptor stays open."""
        self.flush(seconds)
        with self._stirred:
            self._closing = True
            self._stirred.notify_all()

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._stirred:
                while not self._queue and not self._closing:
                    self._stirred.wait()
                if self._closing:
                    return
                head = self._queue[0]
                if isinstance(head, int):  # from here on the next that is dropped counts anew
                    line = self.dropped_line(head).encode(errors="backslashreplace") + b"\n"
                    self._queue[0] = line
                    self._bytes += len(line)
                    head = line
            if not self._write(head):
                return
            with self._stirred:
                self._queue.popleft()
                self._bytes -= len(head)
                self._full = self._full and self._bytes > self._bytes_max // 2
                self._stirred.notify_all()

    def _write(self, line: bytes) -> bool:
        """Write all of it, however long that takes. False: it was closed before."""
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest[:PIECE_BYTES_MAX]) :]
            except BlockingIOError:  # somebody made it non-blocking
                room = select.poll()
                room.register(self._fd, select.POLLOUT)
                room.poll(self._again_s * 1000)
            except OSError:
                with self._stirred:
                    self._stirred.wait_for(lambda: self._closing, self._again_s)
            if self._closing:
                return False
        return True


class _Printed(io.TextIOBase):
    """What libraries print and warn of, as lines of the log."""

    def __init__(self, output: LogOutput) -> None:
        self._output = output
        self._begun = ""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Queue the lines that are whole."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._output.write(line)
        return len(text)

    def flush(self) -> None:
        """What waits here is the beginning of a line, until the rest of it comes."""


@contextmanager
def standard_error(*, until_the_end: bool = False) -> Iterator[LogOutput]:
    """The process's standard error as the log's output; whatever is printed meanwhile goes there.

    `until_the_end`: the process ends soon after, and what is printed then goes nowhere. (Python
    itself has a last word now and then, and would wait for ever for somebody to read it.)

    `sys.stderr` and `sys.stdout` are what tracebacks, warnings and `print` write to, from any
    library and any thread: none of them may block or raise either.
    """
    _occupy_standard_descriptors()
    kept = sys.stdout, sys.stderr
    # None: it was closed before we began, and its number may be a file of ours by now.
    output = LogOutput(os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else os.dup(2))
    sys.stdout = sys.stderr = _Printed(output)
    try:
        yield output
    finally:
        output.close()
        if until_the_end:
            for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
                setattr(sys, name, None)  # a state that Python knows; it puts the last two back
        else:
            sys.stdout, sys.stderr = kept


def _occupy_standard_descriptors() -> None:
    """Give 0, 1 and 2 to nobody else: what is written to them must never land in our file."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
