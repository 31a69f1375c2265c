"""The brake: from now on nothing of a client, of a workflow or to a host starts; and its release.

`H` is about the row under the cursor: what of it is held can be released, the rest held. Where that
is more than one thing it is asked which; then why, or how fast; and with what it comes to before
one's eyes, whether.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from engine.shown import times
from engine.shown.holds import hold_name
from engine.wire import RATE_PER_S_MAX, HoldKind, HoldRow, RunPage
from tui.act.change.ask import Asking
from tui.act.change.doing import Doing
from tui.act.change.drafts import KEPT, Act, Drafts
from tui.act.stage import Choice, Question, Stage
from tui.boards.cells import Cell
from tui.boards.held import hold_text, holds_in_list
from tui.boards.home import leads_to
from tui.boards.looking import Looking
from tui.data.filter import held_filter
from tui.data.model import ENDED, At, State
from tui.data.reach import why_not_hold
from tui.data.store import Store
from tui.text import fmt
from tui.text.sanitize import clean, wrap

REASON_CHARACTERS_MAX = 500
RELEASE_PER_S = 20
"""So many of those that waited start each second, unless another rate is typed: as of jobs."""
COUNTED_ROWS = 200
"""Runs that call a host are counted up to here: the engine has to look at the steps of each."""
OTHERS_SHOWN = 3
QUESTION_CELLS, LINES_MAX = 72, 3
OPEN = ",".join(state for state in State if state not in (*ENDED, State.UNKNOWN))
KEYS = {HoldKind.CLIENT: "c", HoldKind.WORKFLOW: "w", HoldKind.HOST: "h", HoldKind.ALL: "a"}


class Brake(NamedTuple):
    """Something that can be held, or is."""

    kind: str
    name: str
    hold: HoldRow | None = None
    """By which it is held now; None: it is not."""

    @property
    def title(self) -> str:
        """What it is called: `client shop`."""
        return hold_name(self.kind, self.name)


class Row(NamedTuple):
    """What a row of a board is of, as far as it says."""

    client: str = ""
    workflow: str = ""
    host: str = ""
    url: str = ""
    """Of a step there: by it a host is known at its port."""
    cause: str = ""
    """It is of runs of clients that it does not name: the engine is asked for the latest one's."""
    hold: tuple[str, str] | None = None
    """It is of a hold itself: kind and name."""


NO_ROW = Row()


def row_of(store: Store, looking: Looking, row_id: str) -> Row:
    """What a row of the board is of."""
    view = looking.view
    if view == "home":
        kind, row_id = leads_to(row_id)
        if kind == "hold":
            kind, name = row_id.split(":", 1)
            return Row(hold=(kind, name))
        view = {"cause": "causes", "host": "hosts", "run": "runs"}.get(kind, "")
    if view == "hosts" and row_id in store.hosts:
        return Row(host=row_id)
    if view == "runs" and (run := store.runs.get(row_id)) is not None:
        return _row(run.client, run.workflow, run.at)
    if view == "retries" and (retry := store.retries.get(row_id)) is not None:
        return _row(retry.client, retry.workflow, retry.at)
    if view == "causes" and (cause := store.causes.get(row_id)) is not None:
        return _row("", cause.workflow, cause.at)._replace(cause=row_id)
    tree, step = store.trees.get(looking.run_id or ""), looking.step(row_id)
    if view == "run" and tree is not None and step is not None:
        return Row(tree.run.client, tree.run.workflow, step.host, step.url)
    return NO_ROW


def _row(client: str, workflow: str, at: At | None) -> Row:
    return Row(client, workflow) if at is None else Row(client, workflow, at.host, at.url)


def brakes_on(store: Store, row: Row) -> list[Brake]:
    """The client, the workflow and the host of a row. Of what is held by another name, as a host at
    every port, or with everything, it is that which can be released."""
    named: list[tuple[str, str]] = [
        (HoldKind.CLIENT, row.client), (HoldKind.WORKFLOW, row.workflow)
    ]  # fmt: skip
    if row.hold is not None:
        named = [row.hold]
    found = [_brake(store, kind, name) for kind, name in named if name]
    over = store.holds.over("", "", row.url) if row.url else store.holds.over_host(row.host)
    on_host = [Brake(it.kind, it.name, it) for it in over if it.kind == HoldKind.HOST]
    if row.host:
        found += on_host or [Brake(HoldKind.HOST, row.host)]
    if found and row.hold is None:
        found += [Brake(it.kind, it.name, it) for it in over if it.kind == HoldKind.ALL]
    return found


def _brake(store: Store, kind: str, name: str) -> Brake:
    held = (hold for hold in store.holds.in_force if (hold.kind, hold.name) == (kind, name))
    return Brake(kind, name, next(held, None))


class Braking:
    """See the head of this file."""

    def __init__(self, stage: Stage, doing: Doing, asking: Asking, drafts: Drafts) -> None:
        self._stage, self._doing, self._asking, self._drafts = stage, doing, asking, drafts

    def meant(self) -> Row:
        """What `H` is about now."""
        stage = self._stage
        row_id = stage.selection().cursor_id
        return NO_ROW if row_id is None else row_of(stage.store, stage.looking, row_id)

    def releases(self) -> bool:
        """Whether all that `H` is about is held, so that it releases."""
        brakes = brakes_on(self._stage.store, self.meant())
        return bool(brakes) and all(brake.hold is not None for brake in brakes)

    def why_not(self, row: Row) -> str:
        """Why nothing of this is held or released; empty: it can be."""
        if refused := why_not_hold(self._stage.store.status):
            return refused
        return "" if row != NO_ROW else "no client, workflow or host is under the cursor"

    def begin(self, row: Row) -> None:
        """Ask which of these, if it is not one alone."""
        brakes = brakes_on(self._stage.store, row)
        if row.cause:
            self._asking.begin("hold", ("hold", row.cause), partial(self._find_client, row))
        elif len(brakes) == 1:
            self._go_on(brakes[0])
        else:
            self._stage.ask(*self._which(brakes))

    async def _find_client(self, row: Row) -> None:
        """Of whom the latest run of a cause is."""
        client = self._stage.client
        assert client is not None
        page = clean(await client.operate.run_page(filter=f"is:stuck cause:{row.cause}", limit=1))
        row = row._replace(client=page.runs[0].client if page.runs else "")
        self._asking.put(*self._which(brakes_on(self._stage.store, row)))

    def _which(self, brakes: Sequence[Brake]) -> tuple[Question, Callable[[str], None]]:
        taken: set[str] = set()
        choices = []
        for at, brake in enumerate(brakes):
            key = KEYS[HoldKind(brake.kind)]
            key = f"{at}" if key in taken else key  # a host that is held by two names
            taken.add(key)
            told = "hold" if brake.hold is None else f"release: {holds_in_list([brake.hold])}"
            choices.append(Choice(key, f"{at}", brake.title, told))

        def chosen(at: str) -> None:
            if at:
                self._go_on(brakes[int(at)])

        return Question("Hold or release", choices=choices), chosen

    def _go_on(self, brake: Brake) -> None:
        """Ask why, or how fast."""
        if brake.hold is None:
            act = Act("hold", brake.title)
            self._drafts.line(act, "hold-reason", partial(self._with_reason, brake))
        else:
            act, then = Act("release", brake.title), partial(self._at_rate, brake)
            self._drafts.line(act, "release-rate", then, f"{RELEASE_PER_S}")

    # -- holding -------------------------------------------------------------------------------

    def _with_reason(self, brake: Brake, text: str) -> None:
        reason = text.strip()
        if len(reason) > REASON_CHARACTERS_MAX:
            told = f"nothing was done: a reason has at most {REASON_CHARACTERS_MAX} characters"
            self._stage.tell(f"hold: {told} · {KEPT}", "alarm")
            return
        work = partial(self._count, brake, reason)
        self._asking.begin("hold", ("hold", brake.kind, brake.name), work)

    async def _count(self, brake: Brake, reason: str) -> None:
        """What there is of it now, and then whether it is to be held."""
        lines: list[Cell] = [(brake.title, "strong")]
        if reason:
            lines += [(line, "plain") for line in wrap(clean(reason), QUESTION_CELLS, LINES_MAX)]
        is_host = brake.kind == HoldKind.HOST
        found, calls = await (self._of_host(brake) if is_host else self._of_runs(brake))
        have = " with a step there" * is_host
        count = fmt.count(found.total) + "+" * found.total_is_estimate
        runs = "run" if found.total == 1 else "runs"
        lines.append((f"holds {count} open {runs}{have}, and what comes", "plain"))
        if is_host and not brake.name.rpartition("]")[2].count(":"):
            lines.append(("at every port: it is named without one", "plain"))
        if calls:
            told = "call in flight is let end" if calls == 1 else "calls in flight are let end"
            lines.append((f"{fmt.count(calls)} {told}", "alarm"))
        lines.append(("Posts are recorded, callers wait on. H again releases it.", "dim"))
        self._asking.ask("Hold it?", lines, partial(self._hold, brake, reason))

    async def _of_runs(self, brake: Brake) -> tuple[RunPage, int]:
        """Open runs of a client or a workflow, and how many of them have a call in flight."""
        client = self._stage.client
        assert client is not None
        of_client = brake.name if brake.kind == HoldKind.CLIENT else None
        of_workflow = brake.name if brake.kind == HoldKind.WORKFLOW else None
        page = partial(client.operate.run_page, client=of_client, workflow=of_workflow, limit=1)
        return await page(status=OPEN), (await page(status=State.RUNNING)).total

    async def _of_host(self, brake: Brake) -> tuple[RunPage, int]:
        client = self._stage.client
        assert client is not None
        q = held_filter(brake.kind, brake.name)
        found = await client.operate.run_page(filter=q, limit=COUNTED_ROWS)
        host = self._stage.store.hosts.get(brake.name)
        return found, 0 if host is None else host.in_flight

    async def _hold(self, brake: Brake, reason: str) -> None:
        client = self._stage.client
        assert client is not None
        held = await client.operate.hold(brake.kind, brake.name, reason=reason or None)
        self._drafts.done(Act("hold", brake.title))
        self._done(f"held: {hold_name(held.kind, clean(held.name))} · H again releases it")

    # -- releasing -----------------------------------------------------------------------------

    def _at_rate(self, brake: Brake, text: str) -> None:
        typed = text.strip().replace(",", "")
        rate = int(typed) if typed.isascii() and typed.isdigit() else None
        if typed and (rate is None or not 1 <= rate <= RATE_PER_S_MAX):
            told = f"a rate is 1 to {RATE_PER_S_MAX:,} a second, or nothing: as hosts take them"
            self._stage.tell(f"release: nothing was done, {told}", "alarm")
            return
        work = partial(self._look, brake, rate)
        self._asking.begin("release", ("release", brake.kind, brake.name), work)

    async def _look(self, brake: Brake, rate: int | None) -> None:
        """What waits under it, and what else does not let go; then whether."""
        client = self._stage.client
        assert client is not None
        every = [it for it in clean(await client.operate.holds()).holds if it.released_at is None]
        mine = next((it for it in every if (it.kind, it.name) == (brake.kind, brake.name)), None)
        if mine is None:
            self._stage.tell(f"release: {brake.title} is not held any more", "alarm")
            return
        seen = self._stage.looking.seen(self._stage.store)
        told = wrap(hold_text(mine, seen.now_ms, seen.zone), QUESTION_CELLS, LINES_MAX)
        lines: list[Cell] = [(line, "strong") for line in told]
        lines.append((_pace(mine.waiting or 0, rate), "plain"))
        others = [it for it in every if it is not mine]
        lines += [
            (f"held still: {hold_name(other.kind, other.name)}", "paused")
            for other in others[:OTHERS_SHOWN]
        ]
        if len(others) > OTHERS_SHOWN:
            lines.append((f"and {len(others) - OTHERS_SHOWN:,} more", "paused"))
        self._asking.ask("Release it?", lines, partial(self._release, brake, rate))

    async def _release(self, brake: Brake, rate: int | None) -> None:
        client = self._stage.client
        assert client is not None
        await client.operate.release(brake.kind, brake.name, rate_per_s=rate)
        self._drafts.done(Act("release", brake.title))
        pace = "" if rate is None else f", {rate:,} a second"
        self._done(f"released: {brake.title}{pace}")

    def _done(self, told: str) -> None:
        """It is done, which the status alone tells."""
        self._doing.remember([])  # `z` does not take back what was done before it
        self._stage.tell(told)
        self._stage.store.expire_status()
        if self._stage.feed is not None:
            self._stage.feed.poke()


def _pace(waiting: int, rate: int | None) -> str:
    """What waits is counted every few seconds: of what was held just now nothing may be known."""
    steps = "1 step waits" if waiting == 1 else f"{fmt.count(waiting)} steps wait"
    if not waiting:
        steps = "no step waited when it was last counted"
    if rate is None:
        return f"{steps}: as their hosts take them"
    if not waiting:
        return f"{steps}: {rate:,} a second"
    return f"{steps}: {rate:,} a second, about {times.span(waiting / rate * 1000 + 999)}"
