"""Ids of runs as ULIDs: 48 bits of time in milliseconds, 80 of chance, in Crockford's base 32."""

from __future__ import annotations

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHANCE_BITS = 80


def ulid(value: int) -> str:
    """The 26 characters of a number; they sort as the numbers do."""
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def first_run_id(ms: int) -> str:
    """The id behind which all runs of this time, in milliseconds since the epoch, and later lie."""
    return ulid(max(0, ms) << CHANCE_BITS)


def ms_of(id: str) -> int:
    """The time in an id, in milliseconds since the epoch; 0: it is none of these."""
    time = id[:10]
    if len(id) != 26 or any(each not in _CROCKFORD for each in time):
        return 0
    value = 0
    for each in time:
        value = value << 5 | _CROCKFORD.index(each)
    return value
