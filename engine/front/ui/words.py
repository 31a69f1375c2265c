"""How things are told on the pages: the words and signs of the dashboard and the command.

All are filters of the templates, or fill them. Times are told in UTC, as the pages say.
"""

from __future__ import annotations

import re
from datetime import datetime
from html import escape
from urllib.parse import urlsplit

from engine.core.model import ENDED, PauseReason, StepState
from engine.shown import said, times
from engine.shown.holds import held_text, hold_name, release_command, released_text
from engine.shown.numbers import tries
from engine.shown.states import SIGNS, UNKNOWN_SIGN
from engine.shown.text import safe
from engine.wire import (
    CauseRow,
    DismissalRow,
    Failure,
    FailureKind,
    HoldRow,
    Reason,
    RunRow,
    StepAt,
    StepRow,
    why_text,
)

TEXT_CHARACTERS_MAX = 4_096
"""Of one value; longer ones are cut, with `…` for the rest."""
FEW = 20
"""Of what a page says beside its rows (holds, moves, repairs): of more the number is told."""
NOTHING = "—"
SHORT_ID_CHARACTERS = 8
_NEED_A_PERSON = (StepState.FAILED, StepState.PAUSED)


def disarmed(value: object) -> object:
    """What a template puts onto a page, before it is escaped: a text that does nothing, wherever
    it is copied to."""
    if value is None:
        return ""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    if len(value) > TEXT_CHARACTERS_MAX:
        value = value[: TEXT_CHARACTERS_MAX - 1] + "…"
    return safe(value, exact=False)


_JOINT = re.compile(r"(?<=[\w)])(?=[A-Z][a-z])|(?<=[._/:-])(?=\w)")
"""Where a name may be broken: `order.|fulfil`, `reserve_|stock`, `send|Mail`."""


class Html(str):
    """HTML, which is not escaped again."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def jointed(name: str) -> Html:
    """A name that is broken where its parts meet, if it has to be, and not within a word."""
    return Html("<wbr>".join(map(escape, _JOINT.split(str(disarmed(name))))))


def ms(time: str | None) -> float | None:
    """A time of the interface in milliseconds since the epoch."""
    return None if time is None else datetime.fromisoformat(time).timestamp() * 1000


def sign(state: str) -> str:
    """The sign of a state."""
    return SIGNS.get(state, UNKNOWN_SIGN)[0]


def look(state: str) -> str:
    """The class of a state."""
    return state if state in SIGNS else "unknown"


def count(number: int | None) -> str:
    """A number whole, with separators."""
    return NOTHING if number is None else f"{number:,}"


def clock(time: str | None) -> str:
    """`12:04:11`."""
    return NOTHING if time is None else time[11:19]


def moment(time: str | None, now: str) -> str:
    """The time of the day; of another day than now with its date."""
    if time is None:
        return NOTHING
    return clock(time) if time[:10] == now[:10] else f"{time[:10]} {clock(time)}"


def ago(time: str | None, now: str) -> str:
    """How long it is ago: `3m12`."""
    at, until = ms(time), ms(now)
    return NOTHING if at is None or until is None else times.span(until - at)


def short_id(id: str) -> str:
    """The end of a run's id, as the dashboard has it."""
    return id.rpartition("-")[2][-SHORT_ID_CHARACTERS:]


def host(url: str) -> str:
    """Host and port of a URL."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return url


def why(of: StepAt | Reason | StepRow | None) -> str:
    """What the last attempt came to, and why."""
    return NOTHING if of is None else why_text(of.http_status, of.error, of.excerpt)


def tries_left(of: StepAt | StepRow) -> int | None:
    """How many attempts may still start; None: the step has ended."""
    if of.status in ENDED:
        return None
    return max(0, of.retries_max + 1 - of.failures - (of.status == StepState.RUNNING))


def tried(of: StepAt | StepRow | None) -> str:
    """Attempts started, of how many there may be: `3/11`."""
    return NOTHING if of is None else tries(of.attempts, tries_left(of))


def held_by(run: RunRow, holds: tuple[HoldRow, ...]) -> list[HoldRow]:
    """What keeps an open run from starting anything, as far as its row tells."""
    if run.ended_at is not None:
        return []
    its = {
        ("client", run.client), ("workflow", run.workflow_name), ("all", "*"),
        ("host", "" if run.at is None else host(run.at.url)),
    }  # fmt: skip
    return [it for it in holds if it.released_at is None and (it.kind, it.name) in its]


def reason(run: RunRow, holds: tuple[HoldRow, ...] = ()) -> str:
    """Why it failed or is paused; of others by what it is held, else what the last attempt came to
    of the step at which it is."""
    if (held := held_by(run, holds)) and run.status != StepState.PAUSED:
        why_held = f": {held[0].reason}" if held[0].reason else ""
        more = f" and {len(held) - 1} more" if len(held) > 1 else ""
        return f"held by {held[0].actor}{more}{why_held}"
    if run.pause_reason == PauseReason.ENGINE_ERROR and run.error:
        return run.error
    unhandled = Failure.parse(run.at.error if run.at else None).kind is FailureKind.UNHANDLED
    if run.reason is not None and (run.status in _NEED_A_PERSON or unhandled):
        return why(run.reason)
    return why(run.at)


def cause(row: CauseRow) -> str:
    """What happened, in the words of the latest run's last attempt."""
    last = why(row.reason or row.at)
    if row.status == StepState.FAILED:
        return last if last != NOTHING else "failed"
    return "paused" if last == NOTHING else f"paused after {last}"


def upcoming(of: StepAt | None, state: str, now: str) -> str:
    """When what happens next: a countdown, or how long the attempt has been in flight."""
    if of is None or state in ENDED:
        return NOTHING
    if StepState.PAUSED in (state, of.status):
        return "paused"
    due_ms, now_ms = ms(of.due_at), ms(now)
    if of.status == StepState.BACKING_OFF and due_ms is not None and now_ms is not None:
        return times.countdown(due_ms - now_ms)
    if of.status == StepState.RUNNING and of.started_at is not None:
        return f"{sign(of.status)} {ago(of.started_at, now)}"
    return NOTHING


def hold(row: HoldRow, now: str) -> str:
    """A hold in one line: what, since when, by whom, why, and how much waits."""
    what = hold_name(row.kind, row.name)
    waits = (
        "" if row.waiting is None else f"; {row.waiting:,} {plural(row.waiting, 'step')} waiting"
    )
    if row.released_at is not None:
        return released_text(what, moment(row.released_at, now), row.rate_per_s) + waits
    return held_text(what, moment(row.since, now), row.actor, row.reason) + waits


def dismissal(row: DismissalRow, now: str) -> str:
    """That a cause was dismissed, in one line."""
    when = f"{ago(row.at, now)} ago"
    return said.dismissal_text(when, row.actor, row.reason, came_again=row.came_again)


def release(row: HoldRow) -> str:
    """The command that ends a hold; empty: it is released already."""
    return "" if row.released_at is not None else release_command(row.kind, row.name)


def plural(number: int, noun: str) -> str:
    """`step`, `steps`; `try`, `tries`."""
    if number == 1:
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


FILTERS = (
    ago, cause, clock, count, dismissal, hold, host, jointed, look, moment, plural, reason, release,
    short_id, sign, tried, upcoming, said.who_text, why,
)  # fmt: skip
