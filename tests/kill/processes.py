"""The processes that are killed: started, killed, waited for, always on the same port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import trio

READY_WITHIN_S = 20.0
STOP_WITHIN_S = 15.0
POLL_S = 0.01


class DiedByItself(Exception):
    """A process has ended although nobody killed it. The message is the end of what it printed."""


class Process:
    """A command that is started again and again."""

    def __init__(
        self, arguments: tuple[str, ...], log: Path, environment: dict[str, str] | None = None
    ) -> None:
        self._arguments = arguments
        self._environment = environment or {}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self.kills = 0

    def start(self) -> None:
        """A new process."""
        plain = {k: v for k, v in os.environ.items() if not k.startswith("ATOMIC_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                (sys.executable, *self._arguments),
                stdout=log,
                stderr=log,
                env={**plain, "PYTHONPATH": str(Path(__file__).parents[2]), **self._environment},
                cwd=self._log.parent,  # no atomic.toml of somebody's is read
            )
        self._started_at = trio.current_time()

    def check(self) -> None:
        """Raises DiedByItself unless the process runs."""
        assert self._process is not None
        if self._process.poll() is not None:
            tail = self._log.read_text(errors="replace")[-2_000:]
            raise DiedByItself(f"exit code {self._process.returncode}: {tail}")

    def kill(self) -> None:
        """`kill -9`, and nothing of the process is left when this returns."""
        self.check()
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.kills += 1

    async def stop(self) -> int:
        """SIGTERM; returns the exit code, -9 if the process would not end by itself."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with trio.move_on_after(STOP_WITHIN_S):
                while self._process.poll() is None:
                    await trio.sleep(POLL_S)
            self._process.kill()
        return self._process.wait()

    async def wait_ready(self, http: httpx.AsyncClient, url: str) -> float:
        """Wait until `url` is answered 200; returns the seconds since the start of the process."""
        with trio.move_on_after(READY_WITHIN_S):
            while True:
                self.check()
                try:
                    answer = await http.get(url)
                except httpx.TransportError:
                    pass
                else:
                    if answer.status_code == 200:
                        return trio.current_time() - self._started_at
                await trio.sleep(POLL_S)
        raise DiedByItself(f"{url} was not answered 200 within {READY_WITHIN_S:g} s")
