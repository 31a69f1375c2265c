"""The processes of `atomic demo`: started, looked after and stopped, each by its own process id.

Every part runs in a session of its own, so that Ctrl-C reaches the demonstration alone and the
parts are stopped in order: the application and the mail server first, the engine last. Whatever
happens in between, `Parts.stop` leaves none of them behind; and when it cannot (`kill -9`), their
leash (`process/leash.py`) ends them.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from engine.core.errors import EngineError

if TYPE_CHECKING:
    import httpx  # only for its name: a quarter of a second before the first process starts

PORTS = range(20_000, 32_000)
"""Ours lie below those that systems give out by themselves (Linux from 32,768, macOS from 49,152):
nobody gets one of these between our choice and the start of the part that listens there."""
START_S_MAX = 20.0
"""Far above what a start takes: a part that says nothing for so long will not come."""
LOOK_EVERY_S = 0.02
STOP_S_MAX = 15.0
"""How long a part may take to stop by itself; the engine's own deadline is below this."""
TAIL_LINES_MAX = 15
TAIL_BYTES_MAX = 16_384
CRASHED = 1
"""The exit code of an application that dies on purpose (its fault `crash`)."""
ROOT = Path(__file__).resolve().parents[3]
_ADDRESS = re.compile(r"(?:http://)?127\.0\.0\.1:(\d+)")


class DemoError(EngineError):
    """The demonstration cannot go on. The text is for people; `tail` is the end of a log."""

    def __init__(self, text: str, tail: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.tail = tail


def free_ports(count: int) -> list[int]:
    """So many ports of loopback at which nobody listens."""
    found: set[int] = set()
    while len(found) < count:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.add(port)
    return list(found)


class Part:
    """One process. `command` gives its arguments for a port; 0 takes any free one."""

    def __init__(
        self,
        name: str,
        command: Callable[[int], list[str]],
        directory: Path,
        log_name: str,
        leash: tuple[str, ...] = (),
        *,
        port: int = 0,
        may_crash: bool = False,
    ) -> None:
        self.name = name
        self.log = directory / log_name
        self.address = ""
        """Where it listens, as it says itself: a URL, or host:port."""
        self.may_crash = may_crash
        self.killed = False
        """It was killed on purpose, since its last start."""
        self.restarts = 0
        self.process: trio.Process | None = None
        self.is_process = trio.Event()
        """It was started, at least once; it may not listen yet."""
        self._command, self._leash = command, leash
        self._directory = directory
        self._port = port
        self._log_start = 0
        self._started = False

    async def start(self) -> None:
        """Start it, and return when it listens: on the same port as before, if there was a before.

        Raises DemoError when it ends, or says nothing for START_S_MAX.
        """
        self._started = False
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self.process = await trio.lowlevel.open_process(
                [sys.executable, "-m", *self._leash, *self._command(self._port)],
                stdin=subprocess.DEVNULL,
                pass_fds=[int(fd) for fd in self._leash[1:2]],
                stdout=log.fileno(),
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=_environment(),
                start_new_session=True,
            )
        self.killed = False
        self.is_process.set()
        with trio.move_on_after(START_S_MAX):
            while not self._listens():
                if self.process.poll() is not None:
                    raise self.error(f"could not start (exit code {self.process.returncode})")
                await trio.sleep(LOOK_EVERY_S)
            self._started = True
            return
        raise self.error(f"has not started within {START_S_MAX:g} s")

    def _listens(self) -> bool:
        for line in self._text().splitlines(keepends=True):
            found = _ADDRESS.search(line)
            if "listening" in line and line.endswith("\n") and found:
                self.address, self._port = found[0], int(found[1])
                return True
        return False

    def _text(self) -> str:
        """What it has logged since its last start, the end of it if that is long."""
        with self.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - TAIL_BYTES_MAX))
            return log.read().decode(errors="replace")

    def error(self, text: str) -> DemoError:
        """What went wrong with it, with the end of its log."""
        tail = tuple(self._text().splitlines()[-TAIL_LINES_MAX:])
        return DemoError(f"the {self.name} {text}", tail)

    async def wait_ended(self) -> int:
        """Its exit code, once it has ended; a negative one is the signal that killed it."""
        assert self.process is not None, "only a part that was started is waited for"
        return await self.process.wait()

    @property
    def listens(self) -> bool:
        """It has started, and nobody has seen it end since."""
        return self._started

    def kill(self) -> None:
        """kill -9. It may have ended already; while it is being started again it is left alone."""
        if self._started and self.process is not None and self.process.poll() is None:
            self.killed = True
            self.process.kill()

    async def stop(self) -> None:
        """Ask it to stop; kill it when it does not. Returns when it is gone."""
        if self.process is None:
            return
        self.process.terminate()
        with trio.move_on_after(STOP_S_MAX):
            await self.process.wait()
            return
        self.process.kill()
        await self.process.wait()


class Parts:
    """The engine, the mail server and the application, in one directory on free loopback ports.

    None outlives this process, however that ends. The directory neither, if it `is_temporary`.
    """

    def __init__(
        self,
        directory: Path,
        application_options: tuple[str, ...] = (),
        *,
        is_temporary: bool = False,
    ) -> None:
        self.directory = directory
        self.maildir = directory / "mail"
        self.database = directory / "atomic.db"
        self.life, self._our_end = os.pipe()
        """What a leash watches: its other end is ours alone."""
        leash = self.leash()
        last = (*leash, "--remove", str(directory)) if is_temporary else leash
        # Chosen here: the application is told of the others, and all can start at the same time.
        engine, mail, application = free_ports(3)
        self.engine_url, self._mail_address = f"http://127.0.0.1:{engine}", f"127.0.0.1:{mail}"
        self.engine = Part("engine", self._engine, directory, "engine.log", last, port=engine)
        self.mail = Part("mail server", self._mail, directory, "mail.log", leash, port=mail)
        self.application = Part(
            "application", self._application, directory, "application.log", leash,
            port=application, may_crash=True,
        )  # fmt: skip
        self._application_options = application_options

    def leash(self) -> tuple[str, ...]:
        """What to put before a module so that it does not outlive us; pass `life` on to it."""
        return ("engine.process.leash", str(self.life))

    def _engine(self, port: int) -> list[str]:
        command = ["engine.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
        return [*command, "--db", str(self.database), "--log-format", "json"]

    def _mail(self, port: int) -> list[str]:
        return ["demo_app.smtp", "--port", str(port), "--maildir", str(self.maildir)]

    def _application(self, port: int) -> list[str]:
        command = ["demo_app", "--port", str(port), "--data", str(self.directory)]
        command += ["--engine", self.engine_url, "--smtp", self._mail_address]
        return [*command, *self._application_options]

    def __iter__(self) -> Iterator[Part]:
        """In the order of their stopping."""
        return iter((self.application, self.mail, self.engine))

    async def start(self) -> None:
        """Start them all at once, and return when all listen. Raises DemoError, in a group."""
        async with trio.open_nursery() as nursery:
            for part in (self.engine, self.application, self.mail):
                nursery.start_soon(part.start)

    async def are_processes(self) -> None:
        """Until each was started; they may not listen yet."""
        for part in self:
            await part.is_process.wait()

    async def wait_ready(self, http: httpx.AsyncClient) -> None:
        """Until the engine is ready. Raises DemoError when it does not become so."""
        with trio.move_on_after(START_S_MAX):
            while not await self._is_ready(http):  # noqa: ASYNC110 - another process
                await trio.sleep(LOOK_EVERY_S)
            return
        raise self.engine.error(f"is not ready after {START_S_MAX:g} s")

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        from httpx import TransportError

        try:
            return (await http.get(f"{self.engine.address}/readyz")).is_success
        except TransportError:
            return False  # should it have died, who looks after it will say so

    async def stop(self) -> None:
        """Stop them all, the engine last: it still answers what the others ask of it."""
        with trio.CancelScope(shield=True):
            for part in self:
                await part.stop()
        os.close(self.life)
        os.close(self._our_end)


async def look_after(part: Part, say: Callable[[str], None]) -> None:
    """Start it again when it has crashed or was killed on purpose.

    Raises DemoError for any other end.
    """
    while True:
        code = await part.wait_ended()
        crashed = part.may_crash and code == CRASHED
        if not (part.killed or crashed):
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise part.error(f"has died unexpectedly ({how})")
        began = trio.current_time()
        how = "crashed" if crashed else "was killed (kill -9)"
        await part.start()
        part.restarts += 1
        say(f"{how}, back after {trio.current_time() - began:.1f} s")


def _environment() -> dict[str, str]:
    """Ours, without the user's own settings of an engine: the demonstration's is another one."""
    kept = {name: it for name, it in os.environ.items() if not name.startswith("ATOMIC_")}
    path = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}
