"""Room where files lie."""

from __future__ import annotations

import os
from pathlib import Path

LOW_BYTES, LOW_SHARE = 1 << 30, 0.05


def is_low(free: int, size: int) -> bool:
    """Whether somebody should make room, of so many bytes that are free of so many."""
    return free < LOW_BYTES or free < size * LOW_SHARE


def room_of(directory: Path) -> tuple[int, int]:
    """Bytes that are free for this process, and of how many. Raises OSError."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
