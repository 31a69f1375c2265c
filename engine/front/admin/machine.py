"""What the machine and the file of an engine are to be like: each a finding.

The files' modes are looked at for the database alone: mounts of secrets belong to groups in
containers. `docs/how-to/operate.md`.
"""

from __future__ import annotations

import os
import resource
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.process.memory import is_low
from engine.wire.doctor import Finding, Verdict

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
WANTED = {"journal_mode": "wal", "synchronous": 2}
"""What a commit that was acknowledged rests on; 2 is FULL."""
RESET_BUG = ((3, 7, 0), (3, 51, 2))
"""Versions in which two connections that write or checkpoint may damage a file
(sqlite.org/wal.html#walresetbug)."""
MENDED = {(3, 44): 6, (3, 50): 7}
"""Of these lines from this one on it is mended too."""
DISK_FAIL_BYTES = 64 << 20
CLOCK_APART_MS = 1_000
DESCRIPTORS_SHARE = 0.8


def sqlite_finding(version: str) -> Finding:
    """Whether SQLite is one with a known fault."""
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    number = (major, minor, patch)
    first, last = RESET_BUG
    mended = MENDED.get((major, minor))
    if not first <= number <= last or (mended is not None and patch >= mended):
        return Finding("sqlite", OK, f"SQLite {version}")
    return Finding(
        "sqlite",
        WARN,
        f"SQLite {version} has the WAL-reset bug, which takes two connections that write. The"
        " engine writes and checkpoints by one",
        "Let no other program write to the file, nor checkpoint it. Take a Python with SQLite"
        " 3.51.3 or later (or 3.50.7, 3.44.6) when you can.",
    )


def durability_finding(settings: Mapping[str, str | int]) -> Finding:
    """Whether a commit that was acknowledged survives a power cut, as the connection reports."""
    found = {name: settings.get(name) for name in WANTED}
    said = ", ".join(f"{name} {value}" for name, value in found.items())
    if found == WANTED:
        return Finding(
            "durability",
            OK,
            f"{said}: every commit is synced before it is acknowledged. A power cut loses nothing"
            " that was answered, if the disk keeps what it says that it has",
        )
    return Finding(
        "durability",
        FAIL,
        f"{said}: a power cut may lose what was acknowledged",
        "Report this: an engine never opens a file so.",
    )


def server_finding(settings: Mapping[str, str | int]) -> Finding:
    """The same of a PostgreSQL server, as it said when the store was opened."""
    names = settings["synchronous_standby_names"]
    commit = settings["synchronous_commit"]  # where it is off, the engine's own have it on
    if not names or commit == "local":
        standby = "No standby is waited for: one that takes over may lack the last commits"
    elif commit == "remote_write":
        standby = (
            f"A standby has it by then (synchronous_standby_names {names}), but need not have"
            " synced it (synchronous_commit remote_write)"
        )
    else:
        standby = f"So is every one by a standby (synchronous_standby_names {names})"
    return Finding(
        "durability",
        OK,
        f"PostgreSQL {settings['postgresql']}: every commit is synced before it is acknowledged."
        f" {standby}",
    )


def server_backup() -> Finding:
    """Copies of a database on a server."""
    return Finding("backup", OK, "of a database on a server copies are made by its own tools")


def disk_finding(directory: Path, name: str) -> Finding:
    """Room where a file lies."""
    try:
        room = os.statvfs(directory)
    except OSError as error:
        return Finding(
            name, FAIL, f"{directory}: {error.strerror}", "Make it, or name another directory."
        )
    free, size = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    what = f"{directory} has {free >> 20:,} MiB left of {size >> 20:,}"
    if room.f_flag & os.ST_RDONLY:
        return Finding(name, FAIL, f"{directory} can only be read", "Mount it to be written.")
    if free < DISK_FAIL_BYTES:
        return Finding(name, FAIL, what, "Make room: a full disk takes no new runs.")
    if is_low(free, size):
        return Finding(name, WARN, what, "Make room before it is full.")
    return Finding(name, OK, what)


def file_findings(db: Path) -> Iterator[Finding]:
    """Who may read and write the database, its companions and their directory."""
    bad: list[str] = []
    open_to_others: list[Path] = []
    for path in (db, *(db.with_name(db.name + each) for each in ("-wal", "-shm", ".lock"))):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue
        if mode & 0o077:
            bad.append(f"{path.name} {mode:04o}")
            open_to_others.append(path)
    if bad:
        yield Finding(
            "file modes",
            WARN,
            f"others of this machine may read or write {', '.join(bad)}: they hold payloads,"
            " answers and the secret of parent tokens",
            "chmod 600 " + " ".join(shlex.quote(str(path)) for path in open_to_others),
        )
    else:
        yield Finding("file modes", OK, "the database is its user's alone (0600)")
    mode = stat.S_IMODE(db.parent.stat().st_mode)
    if mode & 0o022 and not mode & stat.S_ISVTX:
        yield Finding(
            "directory",
            FAIL,
            f"others may replace files in {db.parent} ({mode:04o})",
            f"chmod 700 {db.parent}",
        )
    elif mode & 0o077:
        yield Finding(
            "directory",
            OK,
            f"others may see the names in {db.parent} ({mode:04o}); 0700 keeps them out",
        )
    else:
        yield Finding("directory", OK, f"{db.parent} is its user's alone ({mode:04o})")


def clock_finding(apart_ms: int | None, now_ms: int, last_at_ms: int) -> Finding:
    """Whether the wall clock was set under the engine (`apart_ms`: from its steady one; None: none
    runs), or is behind what was recorded."""
    if now_ms < last_at_ms - CLOCK_APART_MS:
        return Finding(
            "clock",
            FAIL,
            f"it is {(last_at_ms - now_ms) / 1000:,.0f} s behind the last event that was recorded",
            "Set the clock: new runs are listed behind older ones, and back-off is told wrongly.",
        )
    if apart_ms is None:
        return Finding("clock", OK, "the wall clock is behind nothing that was recorded")
    if abs(apart_ms) >= CLOCK_APART_MS:
        return Finding(
            "clock",
            WARN,
            f"it was set by {apart_ms / 1000:,.1f} s since the engine started, which goes on by the"
            " time of its start",
            "Nothing, if it was meant: times that are told are by the start's clock. Let NTP slew.",
        )
    return Finding("clock", OK, "the wall clock goes as the engine's own does")


def descriptors_finding() -> Finding:
    """Files that this process has open, and may."""
    may = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        has = len(os.listdir("/proc/self/fd"))
    except OSError:
        return Finding("descriptors", OK, f"{may:,} files may be open")
    what = f"{has:,} files are open of {may:,}"
    if has > may * DESCRIPTORS_SHARE:
        return Finding("descriptors", WARN, what, "Raise the limit (LimitNOFILE=, ulimit -n).")
    return Finding("descriptors", OK, what)
