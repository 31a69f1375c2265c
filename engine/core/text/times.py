"""Times as the interface writes them: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = "0001-01-01T00:00:00", "9999-12-31T23:59:59"
"""What stands for times that have no such form."""
_REST = tuple(f".{ms:03d}Z" for ms in range(1000))


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:  # a damaged row: its run is shown like the others
        return _LAST if seconds > 0 else _FIRST


def rfc3339(ms: int) -> str:
    """Milliseconds since the epoch as `2026-11-23T12:00:00.000Z`."""
    return _second(ms // 1000) + _REST[ms % 1000]


def maybe_rfc3339(ms: int | None) -> str | None:
    """The same for a time that may not be."""
    return None if ms is None else rfc3339(ms)
