"""What the bars say: health and boards at the top; the filter, what is told, and keys below."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from engine.shown import times
from engine.wire import HoldRow, Status
from tui.boards.around.notices import in_words
from tui.boards.around.past import past_told
from tui.boards.cells import (
    NONE,
    Part,
    Piece,
    Seen,
    counted,
    reason_cell,
)
from tui.boards.held import NAME_CELLS, hold_text, holds_over, holds_over_row, in_short, way_out
from tui.boards.home import told_of
from tui.boards.hosts import waits_in_short, waits_in_words
from tui.boards.jobs import job_told
from tui.boards.looking import GONE_INTO, Looking
from tui.boards.looks import LOOKS, SHAPES, glyph
from tui.boards.presence import act_on_run, presence
from tui.boards.said import latest_note, said_of
from tui.boards.selection import Selection
from tui.data.hosts import standing_still
from tui.data.inputs import LinkState
from tui.data.model import Run, State, short_id
from tui.data.reach import bound_to
from tui.data.store import Store
from tui.keys import LISTS, Command, of_view, shown_key
from tui.text import fmt
from tui.text.sanitize import clip, width

COUNTED = (State.RUNNING, State.BACKING_OFF, State.WAITING)
RESTART_TOLD_S = 60.0
BETWEEN_CELLS = 2
"""At least, of what stands at the left of a line and at its right."""
HINTS = {"help": "keys", "filter": "filter", "open": "opens"}
"""What somebody is told who has not asked for help yet."""
RELEASE = "release"
"""What held attempts wait for."""
REASON_FROM_COLUMNS = 100
"""A narrower list of runs has no column for it."""
ALL_OF_A_CAUSE = " · i shows all"
COUNTED_ON_TABS = ("causes", "jobs")
COUNTED_AS = {"runs": " runs", "retries": " steps", "hosts": " hosts", "jobs": " jobs"}
"""What a board has as its rows: a tab counts the same."""
CHOICE = "acts, failures, ends"
"""The events that are shown unless somebody asks for all."""
NO_EVENTS = "holds, notes of causes"
"""What people do that is of no run, and so no event of one."""
Line = tuple[list[Piece], list[Piece]]


class Shown(NamedTuple):
    """What bars tell of."""

    looking: Looking
    store: Store
    rows: Selection
    commands: Sequence[Command]
    cells: int
    """So many are there for a line."""
    actor: str = ""
    """The name under which this dashboard acts and listens."""


def top(it: Shown, seen: Seen, badges: Sequence[str]) -> list[Line]:
    """Health, and the boards."""
    left, right = health(it.store, seen, it.cells, is_played=it.looking.is_recording)
    room = it.cells - sum(width(piece.text) for piece in (*left, *right)) - BETWEEN_CELLS
    return [(left, [*presence(it.store, it.actor, room), *right]), tabs(it, badges)]


def health(store: Store, seen: Seen, cells: int = 0, *, is_played: bool = False) -> Line:
    """Whether the engine answers, or did where that `is_played`, and its own counts."""
    pieces = [Piece(" "), *link(store, seen, is_played=is_played)]
    if store.link.state is not LinkState.LIVE and not store.counts:
        return pieces, []
    if why := store_away(store):
        pieces.append(Piece("  store unavailable", "alarm"))
    for state in COUNTED:
        count = store.counts.get(state, 0)
        style = LOOKS[state].style if count else "dim"
        pieces.append(Piece(f"  {glyph(state)} {fmt.count(count)}", style))
    stuck = store.status.stuck_count or 0
    pieces.append(
        Piece(f"  {glyph(State.FAILED)} {fmt.count(stuck)}", "failed" if stuck else "dim")
    )
    if still := store.status.cancelled_in_flight:
        # they are in no count of runs, but in those of the hosts
        told = f"  {glyph(State.CANCELLED)} {fmt.count(still)} still in flight"
        pieces.append(Piece(told, "alarm"))
    if late := store.status.late_count:
        pieces.append(Piece(f"  late {counted(late, fmt.count)}", "alarm"))
    if hosts := list(standing_still(store.status)):
        what = hosts[0] if len(hosts) == 1 else f"{fmt.count(len(hosts))} hosts"
        pieces.append(Piece(f"  {what} stand{'s' if len(hosts) == 1 else ''} still", "alarm"))
    if bound_to(store.status):  # how much ends says something of the others: it is not told
        right = _own_token(store.status, named=cells >= REASON_FROM_COLUMNS)
    else:
        rates = store.status.rates
        per_s = (rates.finished_per_s if rates else None) or 0.0
        right = [Piece(f"ended {fmt.rate(per_s)} ", "plain" if per_s else "dim")]
    taken = sum(width(piece.text) for piece in (*pieces, *right))
    pieces += _kept_back(store, seen, cells - taken - BETWEEN_CELLS)
    if why:
        pieces.append(Piece(f"  store: {why}", "alarm"))
    return pieces, right


def _own_token(status: Status, *, named: bool) -> list[Piece]:
    """Whose token it is that tells of one client alone, and of which (`named`)."""
    assert status.token is not None
    client = f", client {clip(bound_to(status), NAME_CELLS)} alone" if named else ""
    return [Piece(f" token {clip(status.token.name, NAME_CELLS)}{client} ", "plain")]


def _kept_back(store: Store, seen: Seen, cells: int) -> list[Piece]:
    """What is held, and how much waits for a limit; the hold as far as there is room."""
    pieces: list[Piece] = []
    waiting = dict(store.status.waiting_for or {})
    if len(store.holds.all) == len(store.holds.in_force) == 1:
        waiting.pop(RELEASE, None)  # it is said
    if waits := waits_in_short(waiting):
        pieces.append(Piece(f"  {waits}", "backing-off"))
    room = cells - sum(width(piece.text) for piece in pieces) - BETWEEN_CELLS
    if held := in_short(store.holds, seen.now_ms, seen.zone, room):
        pieces.insert(0, Piece(f"  {held}", "paused"))
    return pieces


def store_away(store: Store) -> str:
    """Why the engine's store cannot be written, and who holds it; empty: it can."""
    told = store.status.store
    if told is None or told.available:
        return ""
    why = told.why or "the engine does not say why."
    return f"{why} Held by {told.held_by}." if told.held_by else str(why)


def link(store: Store, seen: Seen, *, is_played: bool = False) -> list[Piece]:
    """How the connection is, in words; or was."""
    state = store.link
    now = store.clock.monotonic()
    match state.state:
        case LinkState.CONNECTING:
            return [Piece(f"{SHAPES.stale} connecting", "dim")]
        case LinkState.REJECTED | LinkState.UNAUTHORIZED | LinkState.FORBIDDEN:
            return [Piece(f"{SHAPES.stale} not let in: {state.reason}", "reverse")]
        case LinkState.UNTRUSTED:
            return [Piece(f"{SHAPES.stale} not trusted: {in_words(state.reason)}", "reverse")]
        case LinkState.LOST:
            left = 0 if state.retry_at is None else max(0, round(state.retry_at - now))
            told = f"{SHAPES.stale} reconnecting, try {state.tries} in {left}s · r now"
            return [Piece(told, "reverse")]
        case LinkState.LIVE:
            if store.stale:
                silent = times.span((now - state.last_heard) * 1000)
                return [Piece(f"{SHAPES.stale} stale {silent}", "reverse")]
    trip = store.time.round_trip_ms
    told = f"{SHAPES.live} live" + ("" if trip is None else f" {trip:.0f}ms")
    pieces = [Piece(f"{SHAPES.live} was live", "dim") if is_played else Piece(told, "good")]
    restarted = state.restarted_at
    if restarted is not None and now - state.since < RESTART_TOLD_S:
        at = fmt.time_of_day(restarted, seen.zone)
        pieces.append(Piece(f"  engine restarted {at}", "alarm"))
    return pieces


def tabs(it: Shown, badges: Sequence[str]) -> Line:
    """The boards, each with its key and how much is on it; where that is too much with the number
    of what is stuck alone, then without names but that of the chosen one. Jobs are there while one
    runs or is looked at."""
    right = [Piece(f" {badge} ", "reverse") for badge in badges if badge]
    room = it.cells - sum(width(piece.text) for piece in right)
    pieces: list[Piece] = []
    for counts, named in ((COUNTED_ON_TABS, True), (("causes",), True), (("causes",), False)):
        pieces = _tabs(it, counts=counts, named=named)
        if sum(width(piece.text) for piece in pieces) <= room:
            break
    return pieces, right


def _tabs(it: Shown, *, counts: Collection[str], named: bool) -> list[Piece]:
    store = it.store
    found = {
        "causes": (store.status.stuck_count or 0, "failed"),
        "jobs": (sum(job.state == "running" for job in store.jobs), "running"),
    }
    pieces: list[Piece] = []
    for command in it.commands:
        view, action = command.id, f"app.cmd({command.id!r})"
        if view not in LISTS:
            continue
        key = shown_key(command.keys)
        count, style = found.get(view, (0, "plain"))
        if view == "jobs" != it.looking.view and not count:
            continue
        told = f" {fmt.short(count)}" if count and view in counts else ""
        if view == it.looking.view or (it.looking.view == "run" and view == "runs"):
            pieces.append(Piece(f" {key} {command.label}{told} ", "reverse", action))
            continue
        label = f" {command.label}" if named else ""
        pieces += [
            Piece(f" {key}", "dim", action),
            Piece(label, "plain", action),
            Piece(f"{told} ", style, action),
        ]
    return pieces


def _timed(it: Shown) -> int:
    """Steps whose next attempt has a time: as their board has them, which is newer than the status,
    where that is looked at and all of it is there."""
    listing = it.store.listing("retries")
    if it.looking.view == "retries" and listing.at_tail and not it.looking.filters["retries"]:
        return len(listing)
    return it.store.status.timed_count or 0


def status(it: Shown, told_now: Part, asking: str) -> Line:
    """What is told for a moment, or what the engine is asked; else the marks, the filter and how
    much it finds."""
    flash, style = told_now
    if flash:
        return [*_marks(it), Piece(f" {flash}", style)], []
    if asking := asking or it.looking.reads_past:
        return [Piece(f" {asking}", "strong")], []
    pieces = _run_status(it) if it.looking.view == "run" else _board_status(it)
    told = sum(width(piece.text) for piece in pieces)
    when = _when_due(it.store) if it.looking.view == "retries" else _walks(it)
    if when and told + sum(width(piece.text) for piece in when) <= it.cells:
        return pieces, when
    hint = _hint(it)
    if it.looking.helped or told + width(hint) > it.cells:
        return pieces, []
    return pieces, [Piece(hint, "dim")]


def _when_due(store: Store) -> list[Piece]:
    """How many attempts are due when, late ones apart, as the engine counts: all of them, not
    those that are listed."""
    pieces: list[Piece] = []
    for bucket in store.status.due or ():
        attempts, up_to_ms = bucket.attempts, bucket.up_to_ms
        when = "later" if up_to_ms is None else f"<{times.whole_span(up_to_ms)}"
        pieces.append(Piece(f"{when} ", "dim"))
        pieces.append(
            Piece(f"{counted(attempts, fmt.short)}  ", "backing-off" if attempts else "dim")
        )
    late = store.status.late_count
    if pieces and late:
        pieces[:0] = [Piece(f"late {counted(late, fmt.short)}  ", "alarm")]
    return pieces


def _hint(it: Shown) -> str:
    """Keys to begin with: those that this view has."""
    here = {command.id: command for command in of_view(it.commands, it.looking.view)}
    told = [f"{shown_key(here[id].keys)} {does}" for id, does in HINTS.items() if id in here]
    return f" {' · '.join(told)} "


def _marks(it: Shown) -> list[Piece]:
    if it.looking.whole_filter:
        return [Piece(" every run of the filter is marked ", "reverse")]
    if not it.rows.marks:
        return []
    ranged = ", to the cursor · v ends it here" if it.rows.range_from is not None else ""
    return [Piece(f" {len(it.rows.marks):,} marked{ranged} ", "reverse")]


def _board_status(it: Shown) -> list[Piece]:
    pieces: list[Piece] = _marks(it)
    if it.looking.filter:
        pieces.append(Piece(f" filter {it.looking.filter}", "plain"))
    totals = _totals(it)
    if pieces and totals:
        pieces.append(Piece(" ·", "dim"))
    return [*pieces, *totals]


def _totals(it: Shown) -> list[Piece]:
    listing = it.store.listing(it.looking.view)
    if it.looking.view == "events":
        return _of_events(it)
    if not it.rows.ids:
        return []
    if it.looking.view == "home":
        told = told_of(it.store, it.rows.cursor_id or "", it.looking.seen(it.store))
        return [Piece(" "), *_joined(told)[1:]]
    if it.looking.view == "causes":
        return _of_causes(it)
    total = len(it.rows.ids) if listing.total is None else max(listing.total, len(it.rows.ids))
    if it.looking.view == "retries" and not listing.at_tail and not it.looking.filters["retries"]:
        timed = _timed(it)
        place = f"row {it.rows.cursor + 1:,} of the next {total:,}"
        place += f" · {counted(max(timed, total), fmt.count)} steps in all"
        return [Piece(f" {place}", "dim")]
    more = "+" if listing.is_estimate else ""
    what = COUNTED_AS.get(it.looking.view, "")
    place = f"{total:,}{more}{what}"
    if it.looking.view not in it.looking.filters:
        place = place.removesuffix("s") if total == 1 else place
    else:  # "row": not that so many of them match
        place = f"row {listing.before + max(0, it.rows.cursor) + 1:,} of {place}"
    pieces = [Piece(f" {place}", "dim")]
    if it.looking.view == "hosts":
        pieces += _of_host(it)
    if it.looking.view == "jobs" and (job := it.store.job(it.rows.cursor_id)) is not None:
        pieces += _joined(job_told(job))
    if listing.unseen:
        pieces.append(Piece(f" · +{fmt.short(listing.unseen)} new", "alarm"))
    run = it.store.runs.get(it.rows.cursor_id or "") if it.looking.view == "runs" else None
    return pieces if run is None else [*pieces, *_of_run(it, run)]


def _of_causes(it: Shown) -> list[Piece]:
    """How many there are, and how many are dismissed; then what was said of the one under the
    cursor: that alone where there is no room for both."""
    store, causes = it.store, it.store.causes
    stuck = store.status.stuck_count or 0
    hidden = sum(cause.is_dismissed for cause in causes.values())
    needing = len(it.rows.ids) - hidden
    told = f" {stuck:,} stuck run{'' if stuck == 1 else 's'}"
    told += f" · {needing:,} cause{'' if needing == 1 else 's'}"
    if store.dismissed[0]:
        more = "m leaves them out" if it.looking.with_dismissed else "m lists them"
        told += f" · {store.dismissed[0]:,} dismissed, {more}"
    pieces = [Piece(told, "dim")]
    cause = causes.get(it.rows.cursor_id or "")
    said = [] if cause is None else list(said_of(cause, store.time.now_ms()))
    whole = [*pieces, *_joined(said)]
    if not said or sum(width(piece.text) for piece in whole) <= it.cells:
        return whole
    left, pieces = it.cells - width(ALL_OF_A_CAUSE), [Piece(" ")]
    for piece in _joined(said)[1:]:
        text = clip(piece.text, max(0, left - sum(width(each.text) for each in pieces)))
        pieces.append(piece._replace(text=text))
    return [*pieces, Piece(ALL_OF_A_CAUSE, "dim")]


def _of_events(it: Shown) -> list[Piece]:
    """Which of the events are shown, how all of them are, and how many there were."""
    store, every = it.store, it.looking.every_event
    key = next(shown_key(c.keys) for c in it.commands if c.id == "every-event")
    which, other = ("every event", "a choice") if every else (CHOICE, "all")
    more = f" · {key} shows {other}" if key else ""
    told = f" · {len(it.rows.ids):,} of {fmt.count(store.events_seen)}"
    if every and store.events_dropped:
        told += f" · {fmt.count(store.events_dropped)} dropped"
    told += " · some missed" if store.link.missed_events else ""
    told += " · following" if it.looking.following else ""
    if store.listens_since is not None and not it.looking.is_recording:
        since = fmt.time_of_day(store.listens_since, it.looking.seen(store).zone)
        told += f" · since {since} (before: --replay 1h) · {NO_EVENTS}: atomic audit"
    return [Piece(f" {which}", "plain"), Piece(more + told, "dim")]


def _of_run(it: Shown, run: Run) -> list[Piece]:
    """What there is no column for of the run under the cursor: its reason, or what holds it, and
    how that ends."""
    seen = it.looking.seen(it.store)
    why, style = reason_cell(run, seen)
    has_column = it.cells >= REASON_FROM_COLUMNS
    if style == "paused":
        holds = holds_over_row(run, seen.holds)
        told = _holds(holds, seen) if has_column else [(why, style), *map(_way_out, holds)]
    else:
        has_words = why != NONE[0] and not why.isdigit()
        told = [(why, str(run.state))] if has_words and not has_column else []
    return _joined(told)


def _of_host(it: Shown) -> list[Piece]:
    """Of the host under the cursor: why it stands still, what holds it, what waits there for
    what."""
    host = it.store.hosts.get(it.rows.cursor_id or "")
    if host is None:
        return []
    told: list[Part] = [(host.stands_still, "alarm")] if host.stands_still else []
    seen = it.looking.seen(it.store)
    told += _holds(seen.holds.over_host(host.id), seen)
    told += [(text, "backing-off") for text in waits_in_words(host, seen)]
    return _joined(told)


def _holds(holds: Sequence[HoldRow], seen: Seen) -> list[Part]:
    """Each in words, and how it ends."""
    texts = [(hold_text(hold, seen.now_ms, seen.zone), "paused") for hold in holds]
    return [part for pair in zip(texts, map(_way_out, holds), strict=True) for part in pair]


def _way_out(hold: HoldRow) -> Part:
    return way_out(hold), "strong"


def _joined(parts: Iterable[Part]) -> list[Piece]:
    return [piece for text, style in parts for piece in (Piece(" · ", "dim"), Piece(text, style))]


def _walks(it: Shown) -> list[Piece]:
    """In the past of a run: the keys that walk there, and back to now."""
    if it.looking.past is None:
        return []
    keys = {command.id: shown_key(command.keys) for command in it.commands}
    return [Piece(f" {keys['earlier']} {keys['later']} walk · {keys['back']} now ", "strong")]


def _run_status(it: Shown) -> list[Piece]:
    if it.looking.past is not None:
        keys = sum(width(piece.text) for piece in _walks(it))
        return past_told(it.looking.past, it.cells - keys)
    run_id = it.looking.run_id or ""
    tree = it.store.trees.get(run_id)
    if tree is None:
        return []  # in place of the table stands why
    run = tree.run
    ended = sum(step.ended for step in tree.steps.values())
    tries = sum(step.attempts for step in tree.steps.values())
    tried = "1 try" if tries == 1 else f"{tries} tries"
    q, found = it.looking.filter, it.looking.found
    told = f" filter {q} · {found:,} of {len(tree.steps):,} steps "
    filtered = [Piece(told, "strong")] if q else []
    pieces = [
        *filtered,
        Piece(f" Runs {SHAPES.into} ", "dim", "app.cmd('back')"),
        Piece(f"{run.workflow} {short_id(run.id)}", "strong"),
    ]
    if acted := act_on_run(it.store, run_id, short=it.cells < REASON_FROM_COLUMNS):
        pieces.append(Piece(f"  {acted}", "strong"))
    pieces.append(Piece(f"  {ended}/{len(tree.steps)} steps  {tried}", "plain"))
    if run.generation > 1:
        pieces.append(Piece(f"  generation {run.generation}", "plain"))
    if run.dismissed:
        pieces.append(Piece("  dismissed", "dim"))
    if note := latest_note(tree.notes, it.store.time.now_ms()):
        pieces.append(Piece(f"  {note}", "strong"))
    for hold in holds_over(tree, it.store.holds):
        now_ms, zone = it.store.time.now_ms(), it.looking.zone
        pieces.append(Piece(f"  {hold_text(hold, now_ms, zone)}", "paused"))
    return pieces


def foot(it: Shown, about: Callable[[Command], tuple[str, str]]) -> Line:
    """The keys of this view; grey where they can do nothing now. Help and the way out stay. Of keys
    that act and have no room it is said, if there is room for that, which key lists them.

    `about` a command that writes: what it is called now, and why it can do nothing.
    """
    left: list[tuple[bool, list[Piece]]] = []
    right: list[Piece] = []
    for command in it.commands:
        if not command.footer or it.looking.view not in command.views:
            continue
        label, off = about(command) if command.writes else (command.label, "")
        action = f"app.cmd({command.id!r})"
        if command.id == "up-or-quit" and it.looking.view in GONE_INTO:
            label = "Back"
        key = shown_key(command.keys)
        pieces = [
            Piece(f" {key} ", "dim" if off else "strong", action),
            Piece(f"{label} ", "dim" if off else "plain", action),
        ]
        if command.id in ("help", "up-or-quit"):
            right += pieces
        else:
            left.append((command.writes, pieces))
    room = it.cells - _cells(right)
    acting = sum(acts for acts, _ in left)
    while left and sum(_cells(pieces) for _, pieces in left) > room:
        # From the end, whole, not cut; but for what acts first: it is what one came for.
        first = next((at for at, (acts, _) in enumerate(left) if acts), None)
        del left[-2 if first == len(left) - 1 > 0 else -1]
    more = _more(it) if sum(acts for acts, _ in left) < acting else []
    if sum(_cells(pieces) for _, pieces in left) + _cells(more) <= room:
        left.append((False, more))
    return [piece for _, pieces in left for piece in pieces], right


def _more(it: Shown) -> list[Piece]:
    """The key that lists all that can be done."""
    menu = next(command for command in it.commands if command.id == "menu")
    action = f"app.cmd({menu.id!r})"
    return [Piece(f" {shown_key(menu.keys)} ", "strong", action), Piece("More ", "plain", action)]


def _cells(pieces: list[Piece]) -> int:
    return sum(len(piece.text) for piece in pieces)
