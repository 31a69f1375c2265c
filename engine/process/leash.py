"""`python -m engine.process.leash FD MODULE …`: a module, for as long as the process that started
it lives.

FD is the reading end of a pipe; only the one who started us holds the other end, and the system
closes it however that one ends, `kill -9` too. Then this process ends itself: by SIGTERM, a second
later for certain. With `--remove DIRECTORY` before the module it takes that directory along.

A thread of this very process watches the pipe: no process between, nothing that has to run between
fork and exec, and nothing of one system only.
"""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import sys
import threading

GRACE_S = 1.0
"""Between being asked to end and being ended."""
REMOVALS = 10
"""The others who write into the directory end at the same time: it is tried again."""


class Leash:
    """Watches whether the process that started us is still there."""

    def __init__(self, fd: int, directory: str | None) -> None:
        self._fd, self._directory = fd, directory
        self.broken = False
        self._pause = threading.Event().wait

    def watch(self) -> None:
        """Return never, unless by the end of the process."""
        while os.read(self._fd, 1):
            pass  # nobody writes
        self.broken = True
        os.kill(os.getpid(), signal.SIGTERM)
        self._pause(GRACE_S)
        self.remove()
        os.kill(os.getpid(), signal.SIGKILL)

    def remove(self) -> None:
        """Take the directory along, if there is nobody left to."""
        for _ in range(REMOVALS):
            if self._directory is None or not os.path.exists(self._directory):
                return
            shutil.rmtree(self._directory, ignore_errors=True)
            self._pause(GRACE_S / REMOVALS)


def main(arguments: list[str]) -> None:
    """Run the module with what follows its name, as `python -m` would."""
    fd, module, *rest = arguments
    directory = None
    if module == "--remove":
        directory, module, *rest = rest
    leash = Leash(int(fd), directory)
    # A thread of which the module knows nothing must not be given the module's signals.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Thread(target=leash.watch, daemon=True).start()  # noqa: TID251 - no loop is here yet
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    sys.argv = [module, *rest]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        if leash.broken:
            leash.remove()


if __name__ == "__main__":
    main(sys.argv[1:])
