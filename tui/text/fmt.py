"""Counts, sizes and times of day as an operator reads them. Plain functions of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo

from engine.shown.numbers import size as size
from engine.shown.numbers import tries as tries


def count(number: int) -> str:
    """A number whole, with separators: `2,214`."""
    return f"{number:,}"


def short(number: float) -> str:
    """A number in at most four characters: `903`, `1.4k`, `10k`, `1.2M`."""
    for whole, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= whole * 0.9995:
            scaled = number / whole
            return f"{scaled:.1f}{unit}" if scaled < 9.95 else f"{scaled:.0f}{unit}"
    return f"{number:.0f}"


def without_machine(name: str) -> str:
    """Who somebody is: `ana` of `ana@laptop`, `desk (ana)` of `desk (ana@laptop)`."""
    return re.sub(r"(?<=\w)@[^\s)]+", "", name)


def rate(per_s: float) -> str:
    """Something each second: `84/s`, `0.4/s`."""
    return f"{per_s:.1f}/s" if 0 < per_s < 9.95 else f"{short(per_s)}/s"


def time_of_day(ms: float, zone: tzinfo | None = None, *, millis: bool = False) -> str:
    """`12:04:11`, in the local zone unless another is given."""
    at = datetime.fromtimestamp(ms / 1000, zone or UTC)
    at = at if zone else at.astimezone()
    return f"{at:%H:%M:%S}" + (f".{at.microsecond // 1000:03}" if millis else "")


def moment(ms: float, now_ms: float, zone: tzinfo | None = None) -> str:
    """The time of the day; of another day than now with its date: `2026-11-23 12:04:11`."""
    days = [datetime.fromtimestamp(each / 1000, zone or UTC) for each in (ms, now_ms)]
    at, now = days if zone else [each.astimezone() for each in days]
    told = time_of_day(ms, zone)
    return told if at.date() == now.date() else f"{at:%Y-%m-%d} {told}"


def time_typed(text: str, latest_ms: float, zone: tzinfo | None = None) -> float | None:
    """The latest time up to `latest_ms` at which it is so late in the day: `03:12`, `03:12:07.250`;
    or a whole time (RFC 3339, without an offset in that zone). None: it is none."""
    try:
        if "T" in text.upper() or "-" in text:
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000
        wanted = time.fromisoformat(text)
    except (ValueError, OverflowError):  # the first years have no local time
        return None
    if wanted.tzinfo is not None or ":" not in text:
        return None
    today = datetime.fromtimestamp(latest_ms / 1000, zone).date()
    # where clocks are set back an hour comes twice, and of a day before another offset may hold
    found = (
        datetime.combine(day, wanted.replace(fold=fold), zone).timestamp() * 1000
        for day in (today, today - timedelta(days=1))
        for fold in (0, 1)
    )
    return max((at_ms for at_ms in found if at_ms <= latest_ms), default=None)


BARS = " ▁▂▃▄▅▆▇"
"""None fills its cell: those of the rows above and below would be one block with it."""


def sparkline(values: Sequence[float | None], *, top: float = 0.0) -> str:
    """A cell for each value, from 0 to `top` or the largest; a blank one where there is none."""
    top = max([top, *(value for value in values if value is not None)]) or 1.0
    highest = len(BARS) - 1
    return "".join(
        BARS[0] if value is None else BARS[min(max(1, round(value / top * highest)), highest)]
        for value in values
    )
