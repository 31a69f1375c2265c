"""`atomic verify`: whether a file is whole, and its rows are what its events say."""

from __future__ import annotations

from pathlib import Path
from time import monotonic  # noqa: TID251 - a command has no other clock
from typing import TYPE_CHECKING

import click

from engine.cli.options import json_option
from engine.cli.show.text import ProgressLine, count_text, echo_json, safe, span_text
from engine.process.exits import EXIT_DAMAGED

if TYPE_CHECKING:
    from engine.ports.report import Checked, Report


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@click.pass_context
def verify(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Check a file that no engine has open, from end to end; nothing in it is changed.

    Its pages; its journal, which must have no gap; its rows, which must be what the journal's
    events say, with one outcome for each generation of a step. Exit code 6: something is not so.
    """
    from engine import offline

    began = monotonic()
    with ProgressLine() as progress:
        report = offline.verify_file(file, progress.show)
    report.took_ms = int((monotonic() - began) * 1000)
    if as_json:
        echo_json(report)
    else:
        click.echo("\n".join(report_lines(report)))
    if report.faults:
        ctx.exit(EXIT_DAMAGED)


def _checked_line(it: Checked) -> str:
    """`checked  pages: …` is said of what is well alone."""
    word = "not all" if not it.done else "faulty " if it.faults else "checked"
    faults = f": {count_text(it.faults, 'fault')}, below" if it.faults else ""
    return f"{word}  {it.name}: {safe(it.what)}{faults}"


def report_lines(report: Report) -> list[str]:
    """What was checked, and what was found."""
    named = f", file {safe(report.file_id)}" if report.file_id else ""
    schema = f", schema {safe(report.schema)}" if report.schema else ""
    lines = [f"{safe(report.file)}: {report.bytes:,} bytes{named}{schema}"]
    lines += map(_checked_line, report.checked)
    lines += [
        f"FAULT    {safe(it.place)}: {safe(it.what)}. {safe(it.mend)}" for it in report.faults
    ]
    found = count_text(len(report.faults), "fault") if report.faults else "nothing wrong"
    took = f", {span_text(report.took_ms / 1000)}" if report.took_ms else ""
    return [*lines, f"{found}{took}"]
