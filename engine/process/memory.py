"""What the machine, or the container, gives: how much memory there is, and room on its disks."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

UNKNOWN_BYTES = 1 << 30
"""What is taken where the system does not say."""
SHARE_OF_MEMORY = 4
"""Of so many parts the bytes of bodies may take one. The others are for what the budget does not
count: runs and their steps, connections, Python itself, SQLite, and whoever else lives here."""


def memory_bytes(root: Path = Path("/")) -> int:
    """The memory that this process may use: the machine's, or its control group's if that is less.

    `root` is where `proc` and `sys` are. Groups of version 2 (`memory.max`) and 1
    (`memory.limit_in_bytes`), and those above them, as each of them binds (kernel documentation,
    `admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst`).
    """
    limits = [_installed(root), *_group_limits(root)]
    return min((limit for limit in limits if limit), default=UNKNOWN_BYTES)


def default_budget(root: Path = Path("/")) -> int:
    """What `memory_bytes_max` is when it is not set."""
    return memory_bytes(root) // SHARE_OF_MEMORY


def trim() -> None:
    """Give the system back what the allocator keeps of freed memory, where that is glibc's
    (`malloc_trim`(3)); any thread may do it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _installed(root: Path) -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0


def _group_limits(root: Path) -> Iterator[int]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            for mount in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
                yield from _limits(root / mount, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes")


def _limits(mount: Path, path: str, name: str) -> Iterator[int]:
    """Of the group and all above it. In a container the path may be one of the host's, and the
    container's own group stands at the mount."""
    group = PurePosixPath(path.lstrip("/"))
    for each in (group, *group.parents):
        with suppress(OSError, ValueError):  # "max" is no number
            yield int((mount / each / name).read_text())


# -- disks ---------------------------------------------------------------------------------------

LOW_BYTES, LOW_SHARE = 1 << 30, 0.05


def is_low(free: int, size: int) -> bool:
    """Whether somebody should make room, of so many bytes that are free of so many."""
    return free < LOW_BYTES or free < size * LOW_SHARE


def room_of(directory: Path) -> tuple[int, int]:
    """Bytes that are free for this process, and of how many. Raises OSError."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
