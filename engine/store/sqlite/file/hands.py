"""Who else has a hand on a file, as far as Linux tells: for words to people, never for a decision.

`/proc/locks` lists every lock with its process and inode, `/proc/<pid>/fd` what a process has open.
Processes of other users, and of containers beside this one, cannot be seen. Nothing here opens the
file: closing any descriptor of it would drop SQLite's own POSIX locks (fcntl(2)).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from engine.process.platform import IS_LINUX

PROC = Path("/proc" if IS_LINUX else "/nonexistent")
COMMAND_CHARACTERS_MAX = 80
_LOCK = re.compile(
    r"\d+: (?P<kind>\S+) +\S+ +(?P<mode>READ|WRITE) +(?P<pid>\d+)"
    r" [0-9a-f]+:[0-9a-f]+:(?P<inode>\d+) (?P<first>\d+) (?P<last>\d+|EOF)"
)
"""proc_locks(5). Lines of those who wait (`->`) and of processes that cannot be seen are none."""


class Hand(Struct, frozen=True):
    """A process, and how it was started."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})" if self.command else f"process {self.pid}"


def lockers(path: Path, first: int, last: int, *, mode: str) -> list[Hand]:
    """Other processes with a POSIX lock (`mode` READ or WRITE) on bytes `first` to `last`."""

    def counts(it: re.Match[str]) -> bool:
        end = last if it["last"] == "EOF" else int(it["last"])
        return it["mode"] == mode and int(it["first"]) <= last and end >= first

    return _lockers(path, "POSIX", counts)


def flockers(path: Path) -> list[Hand]:
    """Other processes that hold the whole file by flock(2)."""
    return _lockers(path, "FLOCK", lambda it: True)


def _lockers(path: Path, kind: str, counts: Callable[[re.Match[str]], bool]) -> list[Hand]:
    try:
        wanted = os.stat(path)
        lines = (PROC / "locks").read_text().splitlines()
    except OSError:
        return []
    found: dict[int, None] = {}
    for it in filter(None, map(_LOCK.match, lines)):
        if it["kind"] == kind and int(it["inode"]) == wanted.st_ino and counts(it):
            found[int(it["pid"])] = None
    # inode numbers are unique within a file system only, and what /proc/locks calls the device is
    # not always what stat does
    return [hand(pid) for pid in found if pid != os.getpid() and _has_open(pid, wanted)]


def openers(path: Path) -> list[Hand]:
    """Other processes that have the file open."""
    try:
        wanted = os.stat(path)
        pids = [int(each.name) for each in PROC.iterdir() if each.name.isdigit()]
    except OSError:
        return []
    return [hand(pid) for pid in sorted(pids) if pid != os.getpid() and _has_open(pid, wanted)]


def in_words(hands: list[Hand]) -> str:
    """Some of them in words; empty when there are none."""
    more = f" and {len(hands) - 3} more" if len(hands) > 3 else ""
    return ", ".join(map(str, hands[:3])) + more


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    return any(os.path.samestat(each, wanted) for each in _open_files_of(pid))


def _open_files_of(pid: int) -> Iterator[os.stat_result]:
    with suppress(OSError):
        for each in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                yield each.stat()


def hand(pid: int) -> Hand:
    """What is known of a process."""
    words = b""
    with suppress(OSError):
        words = (PROC / str(pid) / "cmdline").read_bytes()
    text = " ".join(words.replace(b"\0", b" ").decode(errors="replace").split())
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if len(shown) > COMMAND_CHARACTERS_MAX:
        shown = shown[: COMMAND_CHARACTERS_MAX - 1] + "…"
    return Hand(pid, shown)
