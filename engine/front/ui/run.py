"""The page of one run: its headline, its steps as a tree with a chart, and what is known of each.

Whatever the run has, a page holds at most `ROWS` lines: it is laid out by an outline of all steps,
and only those that are shown are read in full. All that grows with the run is done in slices.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from engine.core.errors import Problem, Refused
from engine.core.model import Step
from engine.core.text.times import rfc3339
from engine.front.access.own import check_own
from engine.front.access.who import Who
from engine.front.api.figures import holds_over
from engine.front.asked import whole_number
from engine.front.server.reply import Reply
from engine.front.show.bodies import OPERATORS
from engine.front.show.rows import move_row, note_row, run_row
from engine.front.ui import chart
from engine.front.ui.lines import (
    AT_ONCE,
    BLANK,
    BRANCH,
    LAST,
    PIPE,
    SHOWN_OF_FOLDED,
    Line,
    lines,
    rest_text,
    worth_most,
)
from engine.front.ui.live import known_by_now
from engine.front.ui.pages import ROWS
from engine.front.ui.site import Site
from engine.front.ui.steps import TRIES_SHOWN, Told, step_view
from engine.ports.views import AttemptRecord, Outline
from engine.runs.waits import WhyWaits, why_wait


class Layout(Struct, frozen=True):
    """Which lines a page of a run has."""

    shown: list[Line]
    in_all: int
    page: int
    pages: int
    span: chart.Span
    ended: int
    """Steps of the run that have ended."""


async def run_page(site: Site, who: Who, id: str, query: Mapping[str, str]) -> Reply:
    """`/ui/runs/ID`. `below`: only the steps right below this one; `page`: of the lines, 100 each;
    `step`: the page on which that one is. Raises Refused."""
    seen = known_by_now(site.front, who)  # first: what happens from now on its stream tells
    found = await outline_of(site, who, id)
    members = await members_of(site, found, query)
    return await site.page("run", who, members | {"seen": seen})


async def members_of(
    site: Site, found: Outline, query: Mapping[str, str], file_rows_max: int | None = None
) -> dict[str, Any]:
    """What the page of a run says, with `ROWS` lines at most; with `file_rows_max` what a file
    does, which nobody can unfold, with so many. Raises Refused, for a step that there is not."""
    front, now = site.front, site.front.clock.steady_ms()
    laid_out = _laid_out(found, query, now, file_rows_max)
    layout = await front.costly.run(laid_out, OPERATORS)
    ids = [line.step.id for line in layout.shown if not line.rest]
    read = await front.views.some_steps(found.run.id, ids, TRIES_SHOWN)
    record, engine, steps = found.run, front.engine, [step for step, _ in read]
    waits = why_wait(
        engine.places, engine.holds, engine.memory.live.get(record.id), record.client,
        record.workflow, steps,
    )  # fmt: skip
    told = Told(now, layout.span, engine.parent_tokens.epoch, _names(found, steps))
    rows = await front.costly.run(_rows(layout, read, waits, told), OPERATORS)
    return {
        "now": rfc3339(now),
        "run": run_row(record),
        "moves": [move_row(it) for it in record.moves],
        "notes": [note_row(it) for it in record.notes],
        "holds": holds_over(engine.holds, record.client, record.workflow, steps),
        "rows": rows,
        "axis": chart.axis(layout.span),
        "layout": layout,
        "below": query.get("below"),
        "asked": query.get("step"),
        "file": None,
    }


async def check_there(site: Site, who: Who, id: str) -> None:
    """Raises Refused if there is no such run, for who asks. One at work is not read for it."""
    client = site.front.engine.memory.client_of(id)
    if client is None or who.client not in (None, client):
        await outline_of(site, who, id)


async def outline_of(site: Site, who: Who, id: str) -> Outline:
    """A run in outline. Raises Refused if there is none, for who asks."""
    front = site.front
    unknown = Refused(Problem.NOT_FOUND, f"There is no run {id[:64]!r}.")
    await check_own(who, id, unknown, front.engine.memory.client_of, front.views)
    found = await front.views.outline(id)
    if found is None:
        raise await front.engine.gone_or(id, unknown, only=who.client)
    if who.client not in (None, found.run.client):  # there was none when it was looked up
        raise unknown
    return found


def _laid_out(
    found: Outline, query: Mapping[str, str], now_ms: int, file_rows_max: int | None
) -> Generator[None, None, Layout]:
    """Raises Refused, for a step that there is not."""
    below, asked = query.get("below"), query.get("step")
    there = ended = 0
    for at, step in enumerate(found.steps):
        there += step.id == below
        ended += step.ended_at is not None
        if not at % AT_ONCE:
            yield
    if below is not None and not there:
        raise Refused(Problem.NOT_FOUND, f"The run has no step {below[:80]!r}.")
    every = yield from lines(found.steps, below, asked, file_rows_max or SHOWN_OF_FOLDED)
    rows_max = ROWS
    if file_rows_max is not None:
        every = worth_most(every, file_rows_max, lambda line: line.step.by_hand and not line.rest)
        rows_max = file_rows_max
    pages = max(1, -(-len(every) // rows_max))
    page = whole_number(query["page"]) if "page" in query else 1
    if asked is not None and "page" not in query:
        at = next((n for n, line in enumerate(every) if line.step.id == asked), 0)
        page = at // rows_max + 1
    page = min(max(1, page), pages)
    span = yield from chart.span_of(found.run, found.steps, now_ms)
    shown = every[(page - 1) * rows_max : page * rows_max]
    return Layout(shown, len(every), page, pages, span, ended)


def _names(found: Outline, steps: Sequence[Step]) -> dict[str, str]:
    """By id, the names of steps for which others ended."""
    causes = {it.cause_id for it in steps if it.cause_id is not None}
    return {it.id: it.name for it in found.steps if it.id in causes} if causes else {}


def _rows(
    layout: Layout,
    read: Sequence[tuple[Step, list[AttemptRecord]]],
    waits: Mapping[str, WhyWaits],
    told: Told,
) -> Generator[None, None, list[dict[str, Any]]]:
    """The lines, each with what is known of its step. One whose step has gone meanwhile is left
    out."""
    by_id = {step.id: (step, tries) for step, tries in read}
    rows: list[dict[str, Any]] = []
    for line in layout.shown:
        yield
        if line.rest:
            rows.append({"prefix": line.prefix, "rest": rest_text(line.rest), "of": line.step.id})
        elif its := by_id.get(line.step.id):
            view = step_view(*its, waits.get(line.step.id), told)
            under = line.prefix.replace(BRANCH, PIPE).replace(LAST, BLANK)
            rows.append({"prefix": line.prefix, "under": under, "step": view})
    return rows
