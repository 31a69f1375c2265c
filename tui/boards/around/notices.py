"""What stands in place of a board that has no rows: why, and what can be done."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from engine.client.errors import without_user
from engine.shown import times
from tui.boards.cells import (
    NONE,
    Cell,
    Seen,
    age_cell,
    reason_cell,
    run_next_cell,
    run_state_cell,
    text_of,
    tries_cell,
)
from tui.data.inputs import LinkState
from tui.data.model import State, short_id
from tui.data.reach import bound_to
from tui.data.store import NOT_READ, Store
from tui.keys import LISTS
from tui.text import fmt
from tui.text.sanitize import safe, wrap

LINES_OF_AN_ERROR_MAX = 3
GONE_SHOWN = 3
"""Of the runs of a key that retention removed."""
IN_WORDS = (
    ("All connection attempts failed", "nothing answers there: the connection was refused"),
    ("Name or service not known", "there is no host of that name"),
    ("name resolution", "the host's name cannot be looked up now"),
)
CANNOT_BE_REACHED = "The engine cannot be reached."
OF_NO_ENGINE = ("answered without an event stream", "not as the engine does")
"""What the client says of an answer that is none of an engine's."""
CERTIFICATE = re.compile(r"certificate verify failed: (.*?)( \(_ssl|$)")


NOT_OF_THE_PAST = {
    "causes": ("Causes are not told of a past hour.",
               "1, then / is:stuck: the runs that needed a person"),
    "hosts": ("How hosts did is not told of a past hour.",
              "5, then / code:503 or error:refused: the attempts that failed"),
    "jobs": ("Bulk jobs are not told of a past hour.",
             "5 has what they did: acts, by whoever began them"),
}  # fmt: skip
"""By board: that it is not there, and where what it would have said is to be found."""


class Viewed(Struct, frozen=True):
    """What is looked at."""

    view: str
    url: str
    q: str = ""
    """The filter of the board."""
    every_event: bool = False
    run_id: str | None = None
    is_recording: bool = False
    is_past: bool = False
    """A past hour of an engine is: made of its events, which do not tell everything."""
    token_file: str = ""
    """Of the token that is sent; empty: none is."""


def notice(store: Store, asked: Viewed, cells: int) -> list[Cell]:
    """The lines, each of at most so many cells."""
    match store.link.state:
        case LinkState.LIVE:
            return [(line, style) for text, style in _live(store, asked)
                    for line in wrap(text, cells)]  # fmt: skip
        case LinkState.CONNECTING:
            return [("Connecting …", "strong"), *_facts(cells, address=_address(asked))]
        case LinkState.LOST:
            return [*_row_of(store, asked, cells), *_lost(store, asked, cells)]
        case LinkState.REJECTED:
            return list(_rejected(store, asked, cells))
        case LinkState.UNAUTHORIZED:
            return list(_unauthorized(store, asked, cells))
        case LinkState.FORBIDDEN:
            return list(_forbidden(store, asked, cells))
        case LinkState.UNTRUSTED:
            return list(_untrusted(store, asked, cells))


def dismissed_text(dismissed: tuple[int, int]) -> str:
    """`2 causes of 5 runs are dismissed`; empty: none is."""
    causes, runs = dismissed
    if not causes:
        return ""
    of = f"{fmt.count(runs)} run{'' if runs == 1 else 's'}"
    are = "is" if causes == 1 else "are"
    return f"{fmt.count(causes)} cause{'' if causes == 1 else 's'} of {of} {are} dismissed"


def _address(asked: Viewed) -> str:
    return safe(without_user(asked.url))


def _facts(cells: int, **facts: str) -> Iterator[Cell]:
    """Lines of a name and what is known by it."""
    for name, text in facts.items():
        for at, line in enumerate(wrap(text, cells - 9, LINES_OF_AN_ERROR_MAX)):
            yield ((f"{'' if at else name:<9}", "dim"), (line, "plain"))


def _row_of(store: Store, asked: Viewed, cells: int) -> Iterator[Cell]:
    """What is known of a run without its steps: what its row in the lists told."""
    run = store.runs.get(asked.run_id or "") if asked.view == "run" else None
    if run is None:
        return
    seen = Seen(store.time.now_ms(), store.stale, holds=store.holds)
    at = run.at
    yield ((f"{run.workflow} {short_id(run.id)}  ", "strong"), run_state_cell(run))
    facts = {"client": run.client, "key": run.key, "age": text_of(age_cell(run.submitted_at, seen))}
    if at is not None:
        facts["step"] = at.name
        facts["host"] = at.host
        facts["tries"] = text_of(tries_cell(at))
        facts["next"] = text_of(run_next_cell(run, seen))
        facts["last"] = text_of(reason_cell(run, seen))
    told = {name: text for name, text in facts.items() if text != NONE[0]}
    yield from _facts(cells, **told)
    yield ("Its steps are read when the engine is there again.", "dim")
    yield ("", "plain")


def _lost(store: Store, asked: Viewed, cells: int) -> Iterator[Cell]:
    link = store.link
    left = 0.0 if link.retry_at is None else max(0.0, link.retry_at - store.clock.monotonic())
    is_other = any(sign in link.reason for sign in OF_NO_ENGINE)
    told = "Something answers there, but it is no engine." if is_other else CANNOT_BE_REACHED
    yield (told, "alarm")
    yield from _facts(
        cells,
        address=_address(asked),
        error=in_words(link.reason),
        next=f"try {link.tries} in {times.span(left * 1000 + 500)}",
    )
    yield ("", "plain")
    yield (("Is the engine running?   ", "plain"), ("atomic serve", "strong"))
    yield (("Is the address right?    ", "plain"), ("atomic tui URL", "strong"))
    yield from _ways_out("tries again now")


def _rejected(store: Store, asked: Viewed, cells: int) -> Iterator[Cell]:
    yield ("Not let in.", "alarm")
    yield from _facts(cells, address=_address(asked), answer=store.link.reason)
    yield ("", "plain")
    told = (
        "This is no answer of the engine's: a proxy before it asks. A name and a password for it"
        " can stand in the address: http://name:password@host"
    )
    yield from ((line, "plain") for line in wrap(told, cells))
    yield from _ways_out("tries again")


def _unauthorized(store: Store, asked: Viewed, cells: int) -> Iterator[Cell]:
    sent = {"token of": safe(asked.token_file)} if asked.token_file else {}
    yield ("The engine asks for a token that it knows.", "alarm")
    yield from _facts(cells, address=_address(asked), **sent, answer=store.link.reason)
    yield ("", "plain")
    told = (
        "Another token in that file is taken:"
        if sent
        else "Name the file that has it in its first"
        " line: --token-file FILE, ATOMIC_TOKEN_FILE, or token-file in the profile."
    )
    yield from ((line, "plain") for line in wrap(told, cells))
    yield from _ways_out("tries again")


def _forbidden(store: Store, asked: Viewed, cells: int) -> Iterator[Cell]:
    yield ("This token does not let you look.", "alarm")
    sent = {"token of": safe(asked.token_file)} if asked.token_file else {}
    yield from _facts(cells, address=_address(asked), **sent, answer=store.link.reason)
    yield ("", "plain")
    told = "A dashboard needs a token of the role read; keys that act need operate."
    yield from ((line, "plain") for line in wrap(told, cells))
    yield from _ways_out("tries again")


def _untrusted(store: Store, asked: Viewed, cells: int) -> Iterator[Cell]:
    yield ("The certificate of this address is not trusted.", "alarm")
    yield from _facts(cells, address=_address(asked), error=in_words(store.link.reason))
    yield ("", "plain")
    told = "If it is yours, name a file with the authority that signed it:"
    yield from ((line, "plain") for line in wrap(told, cells))
    yield ("SSL_CERT_FILE=authority.pem atomic tui URL", "strong")
    yield from _ways_out("tries again")


def _ways_out(again: str) -> Iterator[Cell]:
    yield (("r ", "strong"), (f"{again} · ", "plain"), ("q ", "strong"), ("quits", "plain"))


def in_words(reason: str) -> str:
    """What kept us from connecting, in words that do not ask for a manual."""
    if found := CERTIFICATE.search(reason):
        return found[1]
    return next((words for sign, words in IN_WORDS if sign in reason), reason)


def _live(store: Store, asked: Viewed) -> Iterator[tuple[str, str]]:
    """The engine answers: it is read, or there is nothing."""
    view = asked.view
    if asked.is_past and view in NOT_OF_THE_PAST:
        told, elsewhere = NOT_OF_THE_PAST[view]
        yield told, "plain"
        yield elsewhere, "dim"
    elif view == "run":
        run_id = short_id(asked.run_id or "")
        if asked.run_id is not None and asked.run_id == store.gone:
            yield f"The engine knows no run {run_id}.", "alarm"
            yield "It was never there, or is older than what is kept: esc goes back.", "plain"
        elif asked.is_recording:
            yield f"Run {run_id} is not in this recording.", "alarm"
        else:
            yield f"reading run {run_id} …", "dim"
    elif view == "hosts" and (client := bound_to(store.status)):
        yield f"This token tells of the client {client} alone.", "plain"
        yield "How hosts do says something of other clients too: it is not told.", "dim"
    elif view == "home":
        yield ("Not in this recording." if asked.is_recording else "reading the status …"), "dim"
    elif view == "events":
        yield from _no_events(store, asked)
    elif view in LISTS and store.listing(view).total is None:
        yield ("Not in this recording." if asked.is_recording else f"reading {view} …"), "dim"
    else:
        yield from _nothing(store, asked)


def _no_events(store: Store, asked: Viewed) -> Iterator[tuple[str, str]]:
    if not store.events_seen:
        yield "Nothing has happened since the dashboard was opened.", "plain"
        yield "What happens on the engine appears here as it does.", "dim"
        if not asked.is_recording:
            yield "`atomic tui --replay 1h` shows what happened before.", "dim"
        return
    if asked.q:
        kept = len(store.events if asked.every_event else store.notable)
        what = "acts, failures and ends"
        if asked.every_event:
            what = "event" if kept == 1 else "events"
        yield f"Nothing matches {asked.q} among {kept:,} {what}.", "plain"
        yield "esc clears the filter, / changes it", "dim"
        yield "holds, and notes of causes, are no events of runs: `atomic audit` lists them", "dim"
    else:
        among = f"{store.events_seen:,} event{'' if store.events_seen == 1 else 's'}"
        yield f"Nobody acted, nothing failed and no run ended: {among}.", "good"
    if not asked.every_event:
        yield "m shows every event", "dim"


def _nothing(store: Store, asked: Viewed) -> Iterator[tuple[str, str]]:
    number = store.counts.get(State.COMPLETED, 0)
    done, have = fmt.count(number), "has" if number == 1 else "have"
    runs = "run" if number == 1 else "runs"
    match asked.view:
        case "runs" | "retries" if asked.is_past and not store.runs:
            yield "No run is recorded of this time.", "plain"
            yield "( and ) go a minute back and on, :at 03:12 to a time", "dim"
        case "runs" if store.status is not NOT_READ and not any(store.counts.values()):
            yield "There is no run yet.", "plain"
            yield "They appear here by themselves. `atomic demo` shows an engine with some.", "dim"
        case "runs" if asked.q == "is:live":
            yield f"No run is open. {done} {have} completed.", "plain"
            yield "/ lists others: is:completed, wf:order*, age:<1h", "dim"
        case "runs" if gone := store.listing("runs").gone:
            for it in gone[:GONE_SHOWN]:
                removed = f", removed {it.removed_at[:10]}" if it.removed_at else ""
                named = f"{it.client} / {it.workflow_name} / {it.idempotency_key}"
                yield f"Retention removed {named}", "plain"
                yield f"{it.run_status} {it.finished_at[:10]}{removed}; run {it.run_id}", "dim"
            if len(gone) > GONE_SHOWN:
                yield f"and {len(gone) - GONE_SHOWN:,} more of that key", "dim"
        case "runs" | "retries" if asked.q:
            yield f"Nothing matches {asked.q}", "plain"
            yield "esc clears the filter, / changes it", "dim"
        case "runs":
            yield "There is no run.", "plain"
        case "retries":
            yield "Nothing waits to be tried again.", "good"
        case "causes":
            yield f"Nothing needs a person. {done} {runs} {have} completed.", "good"
            if told := dismissed_text(store.dismissed):
                yield f"{told}: m lists {'it' if store.dismissed[0] == 1 else 'them'}", "dim"
        case "hosts":
            yield "No host was called within the last minutes.", "plain"
        case _:
            yield "No bulk job in the last 30 days.", "plain"
            yield "Mark runs with a, then act on all of them: R, P, C", "dim"
