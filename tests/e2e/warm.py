"""Engines that have their modules already: a process that imported them once, and forks.

An engine takes most of a second to import what it needs, a hundred times in these tests. So each
asks for its engines one process that did, and does nothing else. What it forks is a process of its
own, as an engine that is started by a person is: a directory, an environment, descriptors, signals.
Between the two stands a process that waits for the engine's end and tells its code through a pipe.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT_DIRECTORY = Path(__file__).parents[2]
REQUEST_BYTES_MAX = 1 << 18
HIGH = 4_096
"""No descriptor of such a process has a higher number."""


class Engine:
    """An engine that was forked, with the members of `subprocess.Popen` that its tests use."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid = pid
        self._ended = ended
        """Can be read when the engine has ended: its code."""
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._code if self._has_ended(0) else None

    def _has_ended(self, within_s: float) -> bool:
        if self._code is None and select.select([self._ended], [], [], within_s)[0]:
            self._code = int(os.read(self._ended, 16))
            os.close(self._ended)
        return self._code is not None

    def wait(self, timeout_s: float) -> int:
        """Its exit code, once it has ended."""
        if not self._has_ended(timeout_s):
            raise subprocess.TimeoutExpired("an engine", timeout_s)
        assert self._code is not None
        return self._code

    def send_signal(self, number: int) -> None:
        """To the engine, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)


@cache
def _forker() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Where engines are asked for, and who forks them, until this process ends."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.warm", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT_DIRECTORY)},
    )
    theirs.close()
    return mine, process


def engine(
    settings: dict[str, Any], directory: Path, out: int, err: int, descriptors: int | None
) -> Engine:
    """An engine that logs to these descriptors, and may open so many."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT_DIRECTORY)}
    request = json.dumps((settings, str(directory), environment, descriptors)).encode()
    ended, tells = os.pipe()
    forker, _ = _forker()
    socket.send_fds(forker, [request], [out, err, tells])
    os.close(tells)
    return Engine(int(forker.recv(16)), ended)


def _fork(request: bytes, out: int, err: int, tells: int) -> int:
    """The id of an engine; in the engine's own process this does not return."""
    told, tells_id = os.pipe()
    if os.fork():
        os.close(tells_id)
        pid = int(os.read(told, 16))
        os.close(told)
        return pid
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (pid := os.fork()) == 0:
        settings, directory, environment, descriptors = json.loads(request)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.closerange(3, HIGH)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        if descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        _serve(settings)
    os.write(tells_id, b"%d" % pid)
    for descriptor in (told, tells_id, out, err):
        os.close(descriptor)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(tells, b"%d" % code)
    os._exit(0)


def _serve(settings: dict[str, Any]) -> None:
    from engine.main import serve
    from engine.process.config import load, settings_file

    sys.exit(serve(load(settings, {}, None), settings_file(None)))


def main() -> None:
    """Fork an engine for each request, until nobody can ask any more."""
    import engine.main
    import engine.process.config  # noqa: F401 - had before the first is asked for

    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who waits for engines is waited for by nobody
    asked = socket.socket(fileno=int(sys.argv[1]))
    while True:
        request, descriptors, _, _ = socket.recv_fds(asked, REQUEST_BYTES_MAX, 3)
        if not request:
            return
        pid = _fork(request, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        asked.send(b"%d" % pid)


if __name__ == "__main__":
    main()
