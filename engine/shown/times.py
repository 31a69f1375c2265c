"""Durations and countdowns, on the command line and the dashboard. Plain functions of numbers."""

from __future__ import annotations

DUE_MS = 1_000
"""From its time on an attempt is due; after so long it is late: the engine is behind."""
FINE_MS_MAX = 120_000
"""Up to here a time is shown to the second."""
COARSE_STEP_S = 5
"""Beyond, and up to an hour, it moves only so often: what changes is drawn and has to be sent."""
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
UNITS = (
    (DAY_S, "d", HOUR_S, "h"),
    (HOUR_S, "h", MINUTE_S, "m"),
    (MINUTE_S, "m", 1, "s"),
)
"""From how many seconds on, and what is shown beside it."""


def span(ms: float, *, wide: bool = False) -> str:
    """A duration, whole units: `0s`, `47s`, `1m02`, `28m28`, `1h23`, `2d04`; `wide`, as where lines
    have room: `47 s`, `1 m 2 s`, `2 d 4 h`."""
    seconds = max(0, int(ms // 1000))
    for size, unit, rest_size, rest in UNITS:
        if seconds >= size:
            whole, left = seconds // size, seconds % size // rest_size
            return f"{whole} {unit} {left} {rest}" if wide else f"{whole}{unit}{left:02}"
    return f"{seconds} s" if wide else f"{seconds}s"


def coarse_span(ms: float, step_s: int = COARSE_STEP_S) -> str:
    """The same for what nobody watches: it moves every `step_s` seconds."""
    return span(ms // (step_s * 1000) * (step_s * 1000))


def whole_span(ms: float) -> str:
    """A round duration in its largest unit: `10s`, `1m`, `2h`."""
    for size, unit, *_ in UNITS:
        if ms >= size * 1000:
            return f"{ms // (size * 1000):.0f}{unit}"
    return f"{ms // 1000:.0f}s"


def took(ms: float, *, wide: bool = False) -> str:
    """A measured duration: `4ms`, `0.9s`, `3.4s`, `12s`, `1m02`; `wide`: `4 ms`, `880 ms`,
    `3.4 s`, `12 s`, `1 m 2 s`."""
    if wide and 0 < ms < 999.5:
        return f"{ms:.0f} ms"
    if wide and ms < 10_000:
        return f"{ms / 1000:.3g} s"
    if ms < 100:
        return f"{max(0.0, ms):.0f}ms"
    if ms < 9_950:
        return f"{ms / 1000:.1f}s"
    return span(ms + 500, wide=wide)


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
