"""`atomic audit`: what people did, and which tokens were refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from engine.cli.options import client_of, engine_option, json_option
from engine.cli.show.lists import table
from engine.cli.show.text import clock_text, count_text, echo_json, safe

if TYPE_CHECKING:
    from engine.client import Client
    from engine.wire.access import AuditRow

PAGE_MAX = 500
UNKNOWN = "not known"


@click.command()
@click.option("--since", metavar="TIME", help="12h, 90d, or 2026-11-23T12:00:00Z.")
@click.option("--actor", metavar="NAME", help="Of whom: the name of a token, or what was claimed.")
@click.option("--act", metavar="ACT", help="What was done: retry, 'token add', 'token refused'.")
@click.option(
    "--what", metavar="TEXT", help="To what: the id or key of a run, the name of a client."
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most."
)
@engine_option
@json_option
def audit(limit: int, engine: str, as_json: bool, **asked: str | None) -> None:
    """What people did with which token, and which tokens were refused, newest first.

    Every act of the roles operate and admin is kept, done or refused, for a year
    (`audit_kept_days`). The answer "not known" is of an act during which the engine ended.
    """
    with client_of(engine) as atomic:
        rows, more = _listed(atomic, limit, asked)
    if not rows and asked["act"] is not None:
        _check_act(asked["act"])
    if as_json:
        echo_json({"entries": rows, "next": more})
        return
    if rows:
        click.echo("\n".join(audit_lines(rows)))
    there_is = "; there are more (--limit)" if more else ""
    click.echo(f"{count_text(len(rows), 'entry')}{there_is}", err=True)


def _check_act(act: str) -> None:
    """Where nothing was found. A newer engine may know acts that are not known here. Raises
    BadParameter."""
    from engine.wire.routes import ACTS, UNKNOWN_ACTION

    if act in ACTS:
        return
    known = sorted(it for it in ACTS if UNKNOWN_ACTION not in it)
    near = get_close_matches(act, known, n=3)
    meant = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(known)}."
    raise click.BadParameter(f"there is no act {safe(act)!r}; {meant}", param_hint="'--act'")


def _listed(atomic: Client, limit: int, asked: dict[str, Any]) -> tuple[list[AuditRow], str | None]:
    rows: list[AuditRow] = []
    cursor: str | None = None
    while True:
        page = atomic.admin.audit(**asked, cursor=cursor, limit=min(limit - len(rows), PAGE_MAX))
        rows += page.entries
        cursor = page.next
        if cursor is None or len(rows) >= limit:
            return rows, cursor


def audit_lines(rows: Sequence[AuditRow]) -> list[str]:
    """A table, one line each: the last column is as long as it is."""
    head = ["AT", "WHO", "FROM", "ACT", "ON", "ANSWER", ""]
    return table([head, *map(_cells, rows)])


def _cells(row: AuditRow) -> list[str]:
    times = f" ({row.count:,} times)" if row.count > 1 else ""
    answer = UNKNOWN if row.status is None else f"{row.status}"
    return [
        clock_text(row.at),
        safe(row.actor),
        safe(row.address or "-"),
        safe(row.act) + times,
        _on(row),
        f"{answer} {safe(row.problem)}" if row.problem else answer,
        safe(_detail(row.detail)),
    ]


def _on(row: AuditRow) -> str:
    """To what it was done: the id, and what that is called."""
    what = safe(row.what or "-")
    if not row.workflow_name:
        return what
    named = f"{what} {safe(row.client)}/{safe(row.workflow_name)} {safe(row.idempotency_key)}"
    return f"{named} step {safe(row.step_name)}" if row.step_name else named


def _detail(text: str) -> str:
    """Members as `name=value`, what is nothing left out; what is no object as it is."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    if not isinstance(found, dict):
        return text
    given = {name: value for name, value in found.items() if value not in (None, [], "", False)}
    return " ".join(f"{name}={_value(value)}" for name, value in given.items())


def _value(value: object) -> str:
    return (
        value
        if isinstance(value, str) and value.isprintable() and " " not in value
        else (json.dumps(value, ensure_ascii=False))
    )
