"""`atomic causes`: why runs need a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.options import client_of, engine_option, json_option
from engine.cli.show.lists import table
from engine.cli.show.text import clock_text, count_text, echo_json, safe
from engine.cli.show.tree import answer_facts

if TYPE_CHECKING:
    from engine.wire import CauseRow


@click.command()
@engine_option
@json_option
def causes(engine: str, as_json: bool) -> None:
    """List why runs need a person, what most need it for first.

    `atomic runs --filter cause:ID` has the runs of one.
    """
    with client_of(engine) as client:
        found = client.operate.causes()
    if as_json:
        echo_json(found)
        return
    if found.causes:
        click.echo("\n".join(cause_lines(found.causes)))
    click.echo(
        f"{count_text(found.runs, 'run')}, {count_text(len(found.causes), 'cause')}", err=True
    )


def cause_lines(causes: tuple[CauseRow, ...]) -> list[str]:
    """Causes as a table with the latest run's reason; below a row what all of its have in common,
    where that is less."""
    head = ["RUNS", "NEW", "CAUSE", "WORKFLOW", "STEP", "LAST", ""]
    rows = [
        [
            f"{it.runs:,}",
            f"{it.new_runs:,}",
            safe(it.cause),
            safe(it.workflow_name),
            "" if it.at is None else safe(it.at.name),
            clock_text(it.last_at),
            _why(it),
        ]
        for it in causes
    ]
    first, *lines = table([head, *rows])
    pairs = zip(lines, causes, strict=True)
    return [first, *(each for pair in pairs for each in _with_more(*pair))]


def _with_more(line: str, it: CauseRow) -> list[str]:
    told = None if it.reason is None else it.reason.excerpt
    if it.pattern is None or it.pattern == told:
        return [line]
    return [line, f"    all of them: {safe(it.pattern)}"]


def _why(it: CauseRow) -> str:
    told = ", ".join(answer_facts(it.reason)) if it.reason is not None else ""
    if it.status == "failed":
        return told or "failed"
    return f"paused after {told}" if told else "paused"
