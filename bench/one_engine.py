"""An engine of its own on one file, for what measures it: started, asked, killed, started again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import machine
from http1 import Connection

ROOT = Path(__file__).resolve().parents[1]
ENDED = ("completed", "failed", "cancelled")


class Engine:
    """On one port and file, with such settings, through as many lives as it is started."""

    def __init__(self, file: Path, **settings: object) -> None:
        self.port = machine.free_port()
        said = {"port": self.port, "log_level": "error", "db": str(file), "drain_grace_ms": 100}
        written = file.with_name(f"{file.stem}-{self.port}.toml")
        lines = (f"{name} = {json.dumps(it)}\n" for name, it in (said | settings).items())
        written.write_text("".join(lines))
        self._command = [sys.executable, "-m", "engine.cli", "serve", "--config", str(written)]

    async def start(self) -> float:
        """Seconds until `/readyz` says so."""
        began = time.monotonic()
        self.process = subprocess.Popen(self._command, cwd=ROOT)  # noqa: ASYNC220 - takes no time
        while True:
            try:
                if (await self.request("GET", "/readyz"))[0] == 200:
                    return time.monotonic() - began
            except (OSError, EOFError):
                assert self.process.poll() is None, "the engine has ended"
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """In its own time."""
        self.process.terminate()
        self.process.wait()

    async def request(
        self, method: str, path: str, body: str | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One, on a connection of its own. Raises OSError and EOFError."""
        return await Connection(self.port).request(method, path, body)

    async def status(self) -> Any:
        """As it says itself."""
        return await Connection(self.port).get("/api/v1/status")

    async def open_runs(self) -> int:
        """How many there are."""
        counts = (await self.status())["counts"]
        return sum(n for state, n in counts.items() if state not in ENDED)

    async def prune(self) -> None:
        """Begin at once."""
        answer = await self.request("POST", "/api/v1/prune", "{}")
        assert answer[0] == 202, answer

    @property
    def mib(self) -> float:
        """Of memory."""
        return machine.pss_mib(self.process.pid)


@asynccontextmanager
async def engine_on(file: Path, **settings: object) -> AsyncIterator[tuple[Engine, float]]:
    """One life of an engine, for the length of a block, and how many seconds it took to be ready."""
    engine = Engine(file, **settings)
    try:
        yield engine, await engine.start()
    finally:
        engine.stop()
