"""`atomic runs`: a list of runs."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from engine.cli.filter import faults_shown, filter_option, whole_filter
from engine.cli.options import (
    client_of,
    engine_option,
    filter_options,
    json_option,
    since,
    was_typed,
)
from engine.cli.show.lists import expired_text, run_list_lines
from engine.cli.show.text import count_text, echo_json, safe
from engine.cli.show.tree import hold_text

if TYPE_CHECKING:
    from engine.client import Client
    from engine.wire import ExpiredRow, HoldRow, RunRow

PAGE_RUNS_MAX = 500


@click.command()
@filter_options
@click.option("--status", help="States, separated by commas: failed,paused")
@filter_option(required=False)
@click.option("--since", metavar="TIME", callback=since, help="Submitted since: 30m, 12h, 2d.")
@click.option("--oldest-first", is_flag=True, help="Sort by submission, oldest first.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most."
)
@engine_option
@json_option
def runs(
    client: str | None,
    q: str | None,
    since: str | None,
    oldest_first: bool,
    limit: int,
    engine: str,
    as_json: bool,
    **names: Any,
) -> None:
    """List runs, newest first; with several options those for which all hold."""
    whole = whole_filter(q, since=since)
    asked = names | {
        "client": client or None,
        "filter": whole or None,
        "sort": "submittedAt" if oldest_first else None,
    }
    with client_of(engine) as atomic, faults_shown(q):
        found = _listed(atomic, limit, asked)
        rows, total, about, cursor = found.rows, found.total, found.about, found.next
        holds = () if as_json else _holds(atomic, rows)
    if whole:  # what a page counts is its own runs alone then
        total, about = len(rows), cursor is not None
    if as_json:
        answer = {"runs": rows, "total": total, "totalIsEstimate": about, "next": cursor}
        echo_json(answer | ({"expired": found.expired} if found.expired else {}))
        return
    if rows:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo("\n".join(run_list_lines(rows, holds, width=width)))
    whose = f" of client {safe(client)}" if client and not was_typed("client") else ""
    if whole:
        more = "; there may be more (--limit)" if about else ""
        click.echo(f"{count_text(total, 'run')}{whose}{more}", err=True)
    else:
        of = f"{'about ' if about else ''}{count_text(total, 'run')}"
        click.echo(f"{len(rows):,} of {of}{whose}", err=True)
    for gone in found.expired:
        click.echo(expired_text(gone), err=True)
    for hold in holds:
        click.echo(hold_text(hold), err=True)


def _holds(client: Client, rows: list[RunRow]) -> tuple[HoldRow, ...]:
    """What is held, where it may be what open runs wait for; of an engine that does not say it,
    nothing."""
    from engine.client import ProblemError

    if all(row.ended_at is not None for row in rows):
        return ()
    try:
        return client.operate.holds().holds
    except ProblemError:
        return ()


class Listed(NamedTuple):
    """Up to `limit` runs, how many there are, whether that is an estimate, where more begin, and
    which of them retention removed."""

    rows: list[RunRow]
    total: int
    about: bool
    next: str | None
    expired: tuple[ExpiredRow, ...]


def _listed(client: Client, limit: int, asked: dict[str, Any]) -> Listed:
    rows: list[RunRow] = []
    expired: tuple[ExpiredRow, ...] = ()
    cursor: str | None = None
    while True:
        page = client.operate.run_page(
            **asked, limit=min(limit - len(rows), PAGE_RUNS_MAX), cursor=cursor
        )
        rows += page.runs
        expired += page.expired or ()
        cursor = page.next
        if cursor is None or len(rows) >= limit:
            return Listed(rows, page.total, page.total_is_estimate, cursor, expired)
