"""Sizes and counts as an operator reads them. Plain functions of numbers."""

from __future__ import annotations


def size(number: int) -> str:
    """Bytes: `812 B`, `4.2 KiB`, `5.0 MiB`."""
    if number < 1024:
        return f"{number} B"
    scaled = number / 1024
    for unit in ("KiB", "MiB"):
        if scaled < 1023.95:
            return f"{scaled:.1f} {unit}"
        scaled /= 1024
    return f"{scaled:.1f} GiB"


def tries(attempts: int, left: int | None = None) -> str:
    """Attempts started, of how many there may be: `3/11`; `10/11!` with one left, `—` before the
    first. Without `left` (it has ended) only how many there were.
    """
    if not attempts:
        return "—"
    if left is None:
        return f"{attempts}"
    return f"{attempts}/{attempts + left}{'!' if left == 1 else ''}"
