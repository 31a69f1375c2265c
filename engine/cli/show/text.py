"""How the command line writes: safe text, states, times, JSON.

Everything that comes from the engine was written by others and goes through `safe`: a control
character in a key or an error must not move the cursor, change the terminal's title or turn the
reading direction.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic  # noqa: TID251 - a command has no other clock
from typing import Any, Self, TypeVar

import click

from engine.shown.numbers import size as size
from engine.shown.states import SIGNS, UNKNOWN_SIGN
from engine.shown.text import ascii_only, printable
from engine.shown.text import safe as one_line
from engine.shown.times import took

Row = TypeVar("Row")

COLOURS = {
    "pending": None,
    "running": "cyan",
    "backing-off": "yellow",
    "waiting": "blue",
    "completed": "green",
    "failed": "red",
    "cancelled": "bright_black",
    "paused": "magenta",
}


def safe(text: object) -> str:
    """What was written by others, as one line that the terminal can only print."""
    return one_line(str(text), exact=True)


def json_text(document: bytes, *, indent: int = 2) -> str:
    """JSON for a terminal or a pipe: the same values, unprintable characters as JSON escapes."""
    import msgspec

    from engine.wire import StandIns

    try:
        text = msgspec.json.format(document, indent=indent).decode()
    except msgspec.DecodeError:  # halves of characters: they are shown as they are written
        stand_ins = StandIns(document)
        text = stand_ins.spelled(msgspec.json.format(stand_ins.text, indent=indent).decode())
    # A raw line break stands between tokens only, so what is left to escape is inside strings.
    lines = "\n".join(map(printable, text.split("\n")))
    return lines if unicode_terminal() else ascii_only(lines)


def echo_json(value: Any) -> None:
    """Print a wire struct or plain value as JSON."""
    import msgspec

    click.echo(json_text(msgspec.json.encode(value)))


def echo_list(
    rows: Sequence[Row], lines: Callable[[Sequence[Row]], list[str]], what: str, *, as_json: bool
) -> None:
    """Print a list that is whole: as JSON, or as lines, with how many there are beside them."""
    if as_json:
        echo_json({f"{what}s": rows})
        return
    if rows:
        click.echo("\n".join(lines(rows)))
    click.echo(count_text(len(rows), what), err=True)


def unicode_terminal() -> bool:
    """Whether the output can show what the tree is drawn with."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        ("├─" + "".join(sign for sign, _ in SIGNS.values())).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return os.environ.get("TERM") != "dumb"


def state_text(state: str, *, width: int = 0) -> str:
    """Glyph and word of a state: never the colour alone."""
    sign, plain = SIGNS.get(state, UNKNOWN_SIGN)
    shown = sign if unicode_terminal() else plain
    return click.style(f"{shown} {safe(state):<{width}}", fg=COLOURS.get(state))


def time_of(time: str) -> datetime:
    """A time of the wire. Raises ValueError."""
    return datetime.fromisoformat(time)


def clock_text(time: str) -> str:
    """A time of the wire for people: `2026-11-23 12:00:00Z`."""
    try:
        return f"{time_of(time):%Y-%m-%d %H:%M:%S}Z"
    except ValueError:
        return safe(time)


def span_text(seconds: float) -> str:
    """A duration for people: `120 ms`, `1.2 s`, `14 s`, `2 m 5 s`, `3 h 20 m`, `2 d 4 h`."""
    return took(seconds * 1000, wide=True)


def until_text(due_at: str, now: str) -> str:
    """`in 14 s`, or `now` when the time has come."""
    left = (time_of(due_at) - time_of(now)).total_seconds()
    return f"in {span_text(left)}" if left > 0 else "now"


def count_text(number: int, what: str) -> str:
    """`1 step`, `2 steps`, `1,000 steps`; `1 try`, `2 tries`; `2 keys`."""
    many = f"{what[:-1]}ies" if what.endswith("y") and what[-2] not in "aeiou" else f"{what}s"
    return f"{number:,} {what if number == 1 else many}"


def on_terminal() -> bool:
    """Whether there are keys to read and a screen to draw on."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def to_terminal() -> bool:
    """Whether a person reads what is printed, and no program."""
    return sys.stdout.isatty()


QUIET_S = 2.0
"""Nobody asks how far something is that takes no longer."""
REDRAW_S = 0.1


class ProgressLine:
    """One line on a terminal that tells how far something is, and is gone when it has ended."""

    def __init__(self) -> None:
        self._width = 0
        self._on = sys.stderr.isatty()
        self._next = monotonic() + QUIET_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._width:
            click.echo(f"\r{'':<{self._width}}\r", nl=False, err=True)

    def show(self, name: str, done: int, of: int) -> None:
        """Tell it, where there is a terminal and some seconds are over; `of` 0: how much there is
        to do is not known."""
        if not self._on or (now := monotonic()) < self._next:
            return
        self._next = now + REDRAW_S
        text = f"{name}: {done:,} of {of:,}" if of else f"{name} …"
        self._width = max(self._width, len(text))
        click.echo(f"\r{text:<{self._width}}", nl=False, err=True)
