"""Home: whether all is well, in one line, and below it what is not: what is stuck and why, hosts in
trouble, what is held, what is due when, what has been running for longest, and how much is done.

Each row leads somewhere, and says by its id where to: `cause:…`, `host:…`, `run:…`, a board.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from engine.shown import times
from engine.shown.holds import hold_name
from engine.wire import HoldRow
from tui.boards.cells import (
    Cell,
    Column,
    Part,
    Piece,
    Seen,
    age_cell,
    cause_text,
    cause_what,
    counted,
    text_of,
    tries_cell,
)
from tui.boards.held import hold_text, way_out
from tui.boards.hosts import DOWN_SHARE, ok_share
from tui.boards.looks import SHAPES, glyph
from tui.data.hosts import Host
from tui.data.model import Cause, Run, State, ms_of, short_id
from tui.data.store import NOT_READ, Store
from tui.text import fmt

HOME = (
    Column("part", "", 7),
    Column("n", "", 6, right=True),
    Column("what", "", 24, flex=3, most=100),
    Column("more", "", 14, flex=2, from_width=72, most=60),
    Column("when", "", 11, right=True),
)
ROWS_MIN = 2
"""Of each kind there are so many, if it has them; more as there is room."""
WHOLE = frozenset({"DUE", "TRIES"})
"""What says nothing in part."""
BAR_CELLS = 24
WHY_SHOWN = 2


class HomeRow(NamedTuple):
    """Something that a person may want to know, and go to."""

    id: str
    n: Part = ("", "plain")
    what: Cell = ("", "plain")
    more: Cell = ("", "plain")
    when: Part = ("", "plain")

    def cells(self, part: str) -> dict[str, Cell]:
        """By column; `part` is what stands before the first row of a kind."""
        return {"part": (part, "strong"), "n": self.n, "what": self.what, "more": self.more,
                "when": self.when}  # fmt: skip


class Section(NamedTuple):
    """Rows of one kind."""

    rows: Sequence[HomeRow]
    rest: Callable[[int], HomeRow | None] = lambda shown: None
    """What stands for those behind so many; None: nothing is behind them."""

    @property
    def wanted(self) -> int:
        """How many rows tell of all."""
        return len(self.rows) + (self.rest(len(self.rows)) is not None)

    def cut(self, rows: int) -> list[HomeRow]:
        """So many of them, the last one for the rest."""
        shown = len(self.rows) if self.wanted <= rows else max(0, rows - 1)
        rest = self.rest(shown)
        return list(self.rows[:rows]) if rest is None else [*self.rows[:shown], rest]


def home_rows(store: Store, seen: Seen, lines: int) -> dict[str, dict[str, Cell]]:
    """The rows by their ids, as many as there are lines for; none before the engine has told how it
    is."""
    if store.status is NOT_READ:
        return {}
    sections = {
        "STUCK": _stuck(store, seen),
        "HOSTS": _hosts(store),
        "HELD": _held(store, seen),
        "DUE": Section(list(_due(store))),
        "RUNNING": _running(store, seen),
        "TRIES": Section(list(_tries(store))),
    }
    rows = _rows_for({part: it.wanted for part, it in sections.items()}, lines)
    return {
        row.id: row.cells("" if at else part)
        for part, section in sections.items()
        for at, row in enumerate(section.cut(rows[part]))
    }


def _rows_for(wanted: Mapping[str, int], lines: int) -> dict[str, int]:
    """How many rows each gets: all of what is due, some of each, and what is left in turns."""
    found = {part: rows if part in WHOLE else min(rows, ROWS_MIN) for part, rows in wanted.items()}
    left = lines - sum(found.values())
    while left > 0 and found != wanted:
        for part in wanted:
            if left > 0 and found[part] < wanted[part]:
                found[part], left = found[part] + 1, left - 1
    return found


def leads_to(row_id: str) -> tuple[str, str]:
    """What kind of thing a row is of, and the id or name of it: `("cause", "3fa2")`."""
    kind, _, name = row_id.partition(":")
    return kind, name


# -- in one line -----------------------------------------------------------------------------------


def verdict(store: Store, *, is_past: bool = False) -> list[Piece]:
    """Whether all is well; else what is not, what needs a person first. Of a past hour (`is_past`)
    runs are told, and neither hosts nor holds; what is dismissed is so as of now."""
    if store.status is NOT_READ:
        return []
    told = list(_what_is_wrong(store))
    if is_past:
        told = told or [(" No run needed a person", "plain")]
        told.append((" hosts, holds, dismissals are not told of a past hour", "dim"))
    before = [Piece(" as it was:", "dim")] if store.stale else []
    if not told:
        hosts = "" if store.status.hosts is None else " no host is in trouble,"
        sign = Piece(f" {glyph(State.COMPLETED)} All is well", "good")
        _, dismissed = store.dismissed
        but = f" but for {fmt.count(dismissed)} dismissed:" if dismissed else ""
        well = f"{but or ': nothing needs a person,'}{hosts} nothing is held"
        return [*before, sign, Piece(well, "plain")]
    if store.dismissed[1]:
        told.append((f" {fmt.count(store.dismissed[1])} dismissed", "dim"))
    joined = [piece for text, style in told for piece in (Piece(" ·", "dim"), Piece(text, style))]
    return [*before, *joined[1:]]


def _what_is_wrong(store: Store) -> Iterator[Part]:
    status = store.status
    if status.store is not None and not status.store.available:
        yield " the store cannot be written", "failed"
    if status.draining:
        yield " the engine is stopping", "alarm"
    if stuck := status.stuck_count or 0:
        need = "run needs" if stuck == 1 else "runs need"
        yield f" {glyph(State.FAILED)} {fmt.count(stuck)} {need} a person", "failed"
    if troubled := _in_trouble(store):
        host, (told, style) = troubled[0]
        more = f"{fmt.count(len(troubled))} hosts are in trouble"
        yield f" {more if len(troubled) > 1 else f'{host.id} {told}'}", style
    if late := status.late_count or 0:
        yield f" late {counted(late, fmt.count)}", "alarm"
    if held := store.holds.in_force:
        what = hold_name(held[0].kind, held[0].name)
        yield f" {f'{what} is held' if len(held) == 1 else f'{len(held):,} holds'}", "paused"


# -- what needs a person ---------------------------------------------------------------------------


def _stuck(store: Store, seen: Seen) -> Section:
    stuck = store.status.stuck_count or 0
    every = store.causes.values() if stuck else ()
    causes = [cause for cause in every if not cause.is_dismissed]

    def row(cause: Cause) -> HomeRow:
        style = "failed" if cause.state is State.FAILED else "paused"
        new = f"+{fmt.short(cause.new_runs)} " if 0 < cause.new_runs < cause.runs else ""
        return HomeRow(
            f"cause:{cause.id}",
            (fmt.short(cause.runs), style),
            (cause_text(cause), style),
            cause_what(cause),
            (f"{new}{age_cell(cause.last_at, seen)[0]}", "plain" if new else "dim"),
        )

    def rest(shown: int) -> HomeRow | None:
        left = stuck - sum(cause.runs for cause in causes[:shown])
        if left <= 0:
            return None
        run, need = ("run", "needs") if left == 1 else ("runs", "need")
        told = f"more {run}, for other reasons" if shown else f"{run} {need} a person"
        return HomeRow("causes", (fmt.short(left), "failed"), (told, "plain"))

    return Section(list(map(row, causes)), rest)


def _in_trouble(store: Store) -> list[tuple[Host, Part]]:
    """Hosts that stand still, got worse or are down, each in words; what most failed at first."""
    found = [(host, told) for host in store.hosts.values() if (told := trouble(host)) is not None]
    return sorted(found, key=lambda each: -each[0].trend.failed)


def trouble(host: Host) -> Part | None:
    """What is wrong with a host; None: nothing that a person has to know at once."""
    share = ok_share(host)
    if host.stands_still is not None:
        return "stands still", "alarm"
    if share is not None and share < DOWN_SHARE:
        return "is down", "failed"
    if host.trend.is_worse:
        return "got worse", "alarm"
    return ("has its breaker open", "alarm") if host.breaker_since is not None else None


def _hosts(store: Store) -> Section:
    troubled = _in_trouble(store)

    def row(host: Host, told: str, style: str) -> HomeRow:
        trend = host.trend
        ended, failed = trend.ended, trend.failed
        if not ended:
            ended, failed = host.ended, host.ended - host.succeeded
        why = [f"{name} {fmt.short(count)}" for name, count in trend.why[:WHY_SHOWN]]
        before = [] if trend.before is None else [f"{trend.before:.0%} before"]
        return HomeRow(
            f"host:{host.id}",
            (f"{failed / ended:.0%}" if ended else "", style),
            ((host.id, "plain"), (f" {told}", style)),
            (", ".join([*before, *why]), "dim"),
            (fmt.sparkline(trend.by_minute, top=1.0), style),
        )

    def rest(shown: int) -> HomeRow | None:
        left = len(troubled) - shown
        told = f"more host{'' if left == 1 else 's'}"
        return HomeRow("hosts", (fmt.short(left), "alarm"), (told, "plain")) if left else None

    return Section([row(host, *told) for host, told in troubled], rest)


def _held(store: Store, seen: Seen) -> Section:
    holds = store.holds.all

    def row(hold: HoldRow) -> HomeRow:
        is_held = hold.released_at is None
        at = ms_of(hold.since if is_held else hold.released_at)
        told = f"by {hold.actor}" if is_held else "released, lets go"
        return HomeRow(
            hold_id(hold),
            ("" if hold.waiting is None else fmt.short(hold.waiting), "paused"),
            (hold_name(hold.kind, hold.name), "paused" if is_held else "dim"),
            (told + (f": {hold.reason}" if is_held and hold.reason else ""), "plain"),
            ("" if at is None else fmt.time_of_day(at, seen.zone), "dim"),
        )

    def rest(shown: int) -> HomeRow | None:
        left = len(holds) - shown
        told = f"more hold{'' if left == 1 else 's'}: atomic holds"
        return HomeRow("runs:held", (fmt.short(left), "paused"), (told, "plain")) if left else None

    return Section(list(map(row, holds)), rest)


def hold_id(hold: HoldRow) -> str:
    """The id of a hold's row."""
    return f"hold:{hold.kind}:{hold.name}"


# -- what goes on ----------------------------------------------------------------------------------


def _due(store: Store) -> Iterator[HomeRow]:
    """A bar for each time, as long as many attempts are due then."""
    buckets = [
        (f"<{times.whole_span(each.up_to_ms)}" if each.up_to_ms is not None else "later",
         each.attempts, "backing-off")
        for each in store.status.due or ()
    ]  # fmt: skip
    late = store.status.late_count or 0
    if late:
        buckets.insert(0, ("late", late, "alarm"))
    most = max((attempts for _, attempts, _ in buckets), default=0)
    if buckets and not most:
        yield HomeRow("retries:none", ("0", "dim"), (_why_nothing_is_due(store), "dim"))
        return
    for when, attempts, style in buckets:
        shown = counted(attempts, fmt.short)
        length = -(-attempts * BAR_CELLS // most) if most else 0
        yield HomeRow(
            f"retries:{when}",
            (shown, style if attempts else "dim"),
            ((f"{when:<6}", "dim"), (SHAPES.bar * length, "dim" if when != "late" else style)),
        )


def _why_nothing_is_due(store: Store) -> str:
    """What is held is due at no time, however long it has backed off."""
    backs_off = store.counts.get(State.BACKING_OFF, 0)
    if backs_off and store.holds.in_force:
        return f"held: {fmt.count(backs_off)} back off, none is due"
    return "nothing waits to be tried again"


def _running(store: Store, seen: Seen) -> Section:
    """Those that were submitted first of the runs with an attempt in flight."""
    listing = store.listing("home")
    runs = [run for run_id in listing.ids if (run := store.runs.get(run_id)) is not None]
    rows = [_run_row(run, seen) for run in runs if run.state is State.RUNNING]
    if listing.total is not None and not rows:
        rows = [HomeRow("runs:none", ("0", "dim"), ("no attempt is in flight", "dim"))]
    return Section(rows)


def _run_row(run: Run, seen: Seen) -> HomeRow:
    step = "" if run.at is None else f" {SHAPES.into} {run.at.name}"
    return HomeRow(
        f"run:{run.id}",
        tries_cell(run.at),
        (f"{glyph(run.state)} {run.workflow} {short_id(run.id)}{step}", "plain"),
        ("" if run.at is None else run.at.host, "dim"),
        age_cell(run.submitted_at, seen),
    )


def _tries(store: Store) -> Iterator[HomeRow]:
    """How much is done: attempts by minute at all hosts, what of them failed, and runs."""
    rates = store.status.rates
    if rates is None:
        return
    minutes = _together([host.trend.ended_by_minute for host in store.hosts.values()])
    ended = sum(host.trend.ended for host in store.hosts.values())
    failed = sum(host.trend.failed for host in store.hosts.values())
    share = f" {failed / ended:.0%} fail" if ended else ""
    yield HomeRow(
        "events",
        (fmt.rate(rates.attempts_per_s or 0.0), "plain"),
        ((fmt.sparkline(minutes), "completed"), (share, "dim")),
        (f"{fmt.rate(rates.runs_per_s or 0.0)} submitted", "dim"),
        (f"{fmt.rate(rates.finished_per_s or 0.0)} ended", "dim"),
    )


def _together(hosts: Sequence[Sequence[int]]) -> list[float]:
    """Sums by minute, from the end on: the last minute is that of all."""
    minutes = max((len(each) for each in hosts), default=0)
    found = [0.0] * minutes
    for each in hosts:
        for at, count in enumerate(each, minutes - len(each)):
            found[at] += count
    return found


# -- the row under the cursor ----------------------------------------------------------------------


def told_of(store: Store, row_id: str, seen: Seen) -> list[Part]:
    """What there is to say of a row beside what stands on it: a reason in whole, how a hold
    ends."""
    kind, name = leads_to(row_id)
    if kind == "cause" and (cause := store.causes.get(name)) is not None:
        told = f"{fmt.count(cause.runs)} run{'' if cause.runs == 1 else 's'}, {cause_text(cause)}"
        return [(told, "plain"), (text_of(cause_what(cause)), "dim")]
    if kind == "host" and (host := store.hosts.get(name)) is not None:
        return [(host.stands_still, "alarm")] if host.stands_still else []
    if kind == "hold":
        holds = [hold for hold in store.holds.all if hold_id(hold) == row_id]
        return [part for hold in holds for part in (
            (hold_text(hold, seen.now_ms, seen.zone), "paused"), (way_out(hold), "strong"),
        ) if part[0]]  # fmt: skip
    return []
