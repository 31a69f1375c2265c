"""Whether the write-ahead log still holds what its index says that it does.

SQLite never makes the log shorter than the frames that are in use: it sets their number in the
index (`-shm`) to 0 first, then cuts the file (a checkpoint of the kind TRUNCATE, by whomever). So a
log that lacks some was cut or written over by somebody else (`: > atomic.db-wal`). The next commit
makes the file as long as it was, with a hole, so its length alone does not tell: the frames that
were there at the last look are looked at, too.

The formats are those of sqlite.org/walformat.html.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from msgspec import Struct

_INDEX = struct.Struct("=14xHI12x8s8x")
"""Size of a page, frames in use, salts. It stands there twice, in this machine's byte order."""
_HEADER_BYTES, _FRAME_BYTES = 32, 24
_SALTS_AT_HEADER, _SALTS_AT_FRAME, _SALTS_BYTES = 16, 8, 8


class _InUse(Struct, frozen=True):
    """What of the log is in use, as its index has it."""

    page_bytes: int
    frames: int
    salts: bytes
    """Others each time that the log begins anew."""

    def begin_of(self, frame: int) -> int:
        """Where a frame begins in the file; the first is 1."""
        return _HEADER_BYTES + (frame - 1) * (_FRAME_BYTES + self.page_bytes)


class LogFile:
    """The log of one database that is open, and its index.

    To be closed after SQLite has closed the database: closing any descriptor of the index drops the
    POSIX locks that this process has on it, and those are SQLite's.
    """

    def __init__(self, log: Path, index: Path) -> None:
        self._log = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._index = os.open(index, os.O_RDONLY | os.O_CLOEXEC)
        except BaseException:
            os.close(self._log)
            raise
        self._known: _InUse | None = None
        """What was in use, and whole, at the last look."""

    def close(self) -> None:
        """Let go of both files."""
        os.close(self._log)
        os.close(self._index)

    def is_whole(self) -> bool:
        """False: frames in use are gone, and nobody may have taken them but by force."""
        found = self._in_use()
        if found is None or not found.frames or self._has(found):
            self._known = found
            return True
        return found != self._in_use()  # it was begun anew meanwhile: the next look tells

    def _in_use(self) -> _InUse | None:
        """None: it is being written just now."""
        both = os.pread(self._index, 2 * _INDEX.size, 0)
        if len(both) != 2 * _INDEX.size or both[: _INDEX.size] != both[_INDEX.size :]:
            return None
        size, frames, salts = _INDEX.unpack_from(both)
        return _InUse(1 << 16 if size == 1 else size, frames, salts)

    def _has(self, it: _InUse) -> bool:
        if os.fstat(self._log).st_size < it.begin_of(it.frames + 1):
            return False
        known = self._known
        frame = known.frames if known is not None and known.salts == it.salts else 0
        places = (_SALTS_AT_HEADER, it.begin_of(frame or 1) + _SALTS_AT_FRAME)
        return all(os.pread(self._log, _SALTS_BYTES, at) == it.salts for at in places)
