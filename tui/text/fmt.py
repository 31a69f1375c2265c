"""Durations, countdowns, counts and sizes as an operator reads them. Plain functions of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

DUE_MS = 1_000
"""From its time on an attempt is due; after so long it is late: the engine is behind."""
FINE_MS_MAX = 120_000
"""Up to here a time is told to the second."""
COARSE_STEP_S = 5
"""Beyond, and up to an hour, it moves only so often: what changes is drawn and has to be sent."""
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


def span(ms: float) -> str:
    """A duration, whole units: `0s`, `47s`, `1m02`, `28m28`, `1h23`, `2d04`."""
    seconds = max(0, int(ms // 1000))
    if seconds < MINUTE_S:
        return f"{seconds}s"
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S}m{seconds % MINUTE_S:02}"
    if seconds < DAY_S:
        return f"{seconds // HOUR_S}h{seconds % HOUR_S // MINUTE_S:02}"
    return f"{seconds // DAY_S}d{seconds % DAY_S // HOUR_S:02}"


def coarse_span(ms: float, step_s: int = COARSE_STEP_S) -> str:
    """The same for what nobody watches: it moves every `step_s` seconds."""
    return span(ms // (step_s * 1000) * (step_s * 1000))


def whole_span(ms: float) -> str:
    """A round duration in its largest unit: `10s`, `1m`, `2h`."""
    for size, unit in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "m")):
        if ms >= size * 1000:
            return f"{ms // (size * 1000):.0f}{unit}"
    return f"{ms // 1000:.0f}s"


def took(ms: float) -> str:
    """A measured duration: `4ms`, `0.9s`, `3.4s`, `12s`, `1m02`."""
    if ms < 100:
        return f"{max(0.0, ms):.0f}ms"
    if ms < 9_950:
        return f"{ms / 1000:.1f}s"
    return span(ms + 500)


def countdown(left_ms: float, *, estimated: bool = False) -> str:
    """Time until an attempt: `in 7s`, `due now`, `late 3s`.

    `estimated`: the engine is not heard of, so what is due may have happened: `≈7s`, `≈due`, and
    never a time behind zero.
    """
    if left_ms > 0:
        whole = -int(-left_ms // 1000) * 1000  # rounded up: it is not due before its time
        shown = span(whole) if whole <= FINE_MS_MAX else coarse_span(whole)
        return f"≈{shown}" if estimated else f"in {shown}"
    if estimated:
        return "≈due"
    return "due now" if -left_ms < DUE_MS else f"late {span(-left_ms)}"


def count(number: int) -> str:
    """A number whole, with separators: `2,214`."""
    return f"{number:,}"


def short(number: float) -> str:
    """A number in at most four characters: `903`, `1.4k`, `10k`, `1.2M`."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size * 0.9995:
            scaled = number / size
            return f"{scaled:.1f}{unit}" if scaled < 9.95 else f"{scaled:.0f}{unit}"
    return f"{number:.0f}"


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


def rate(per_s: float) -> str:
    """Something each second: `84/s`, `0.4/s`."""
    return f"{per_s:.1f}/s" if 0 < per_s < 9.95 else f"{short(per_s)}/s"


def tries(attempts: int, left: int | None = None) -> str:
    """Attempts started, of how many there may be: `3/11`; `10/11!` with one left, `—` before the
    first. Without `left` (it has ended) only how many there were.
    """
    if not attempts:
        return "—"
    if left is None:
        return f"{attempts}"
    return f"{attempts}/{attempts + left}{'!' if left == 1 else ''}"


def time_of_day(ms: float, zone: tzinfo | None = None, *, millis: bool = False) -> str:
    """`12:04:11`, in the local zone unless another is given."""
    at = datetime.fromtimestamp(ms / 1000, zone or UTC)
    at = at if zone else at.astimezone()
    return f"{at:%H:%M:%S}" + (f".{at.microsecond // 1000:03}" if millis else "")


BARS = " ▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], *, top: float = 0.0) -> str:
    """A cell for each value, from 0 to `top` or the largest; a blank one where there is none."""
    top = max([top, *(value for value in values if value is not None)]) or 1.0
    highest = len(BARS) - 1
    return "".join(
        BARS[0] if value is None else BARS[min(max(1, round(value / top * highest)), highest)]
        for value in values
    )
