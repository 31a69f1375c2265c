"""Locks and records that lie on a file's inode, and syncs that reach the disk.

Where a system has none of the first two, the caller has another lock, and knows less to say.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from contextlib import suppress

from engine.process.platform import IS_LINUX

_FLOCK = struct.Struct("hhqqi4x")
"""Linux's `struct flock`: type, whence, start, length, process id. Other systems order it in other
ways, so nothing of it is tried there."""


def take_byte(handle: int, at: int) -> None:
    """Take the open file description lock (fcntl(2)) on one byte, which lies on the inode and is
    held until the descriptor is closed.

    Raises OSError: EAGAIN or EACCES where somebody has it, others where the file system knows no
    such locks. Does nothing on systems that have none.
    """
    if sys.platform == "linux" and IS_LINUX:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0))


def who_has_byte(handle: int, at: int) -> int | None:
    """Who would keep `take_byte` from it: None nobody, or as far as it can be told; else a process
    id, -1 where it is a lock of that kind, which tells none. Raises OSError."""
    if sys.platform == "linux" and IS_LINUX:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0)
        kind, *_, pid = _FLOCK.unpack(fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else pid
    return None


def write_attribute(handle: int, name: str, value: bytes) -> None:
    """Keep an extended attribute with the inode (xattr(7)), where that can be done."""
    if sys.platform == "linux" and IS_LINUX:
        with suppress(OSError):
            os.setxattr(handle, name, value)


def read_attribute(handle: int, name: str) -> bytes | None:
    """The attribute's value, if it is there."""
    if sys.platform == "linux" and IS_LINUX:
        with suppress(OSError):
            return os.getxattr(handle, name)
    return None


def sync(handle: int) -> None:
    """Return when the disk has it. On macOS fsync(2) is content with the disk's own cache."""
    if sys.platform == "darwin":
        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
    else:
        os.fsync(handle)
