"""`atomic doctor`: whether an engine, its file and its machine are as they should be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.options import client_of, engine_option, json_option, was_typed
from engine.cli.show.text import echo_json, safe
from engine.process.exits import EXIT_DAMAGED

if TYPE_CHECKING:
    from engine.wire.doctor import Finding


@click.command()
@click.option(
    "--db",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Look at this file, which no engine has open, in the place of asking an engine.",
)
@engine_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, db: Path | None, engine: str, as_json: bool) -> None:
    """Look whether an engine, its file and its machine are well: a line each, with what to do.

    Durability as the connection has it, SQLite's version, room on disks, files' modes, the clock,
    descriptors, backups, and a connection to each target. Exit code 6: something fails.
    """
    if db is None:
        with client_of(engine) as client:
            found: Sequence[Finding] = client.admin.doctor()
    elif was_typed("engine"):
        raise click.UsageError("--db looks at a file, and --engine asks an engine: give one.")
    else:
        found = _of_file(db)
    if as_json:
        echo_json({"findings": found})
    else:
        for it in found:
            todo = f". {safe(it.todo)}" if it.todo else ""
            click.echo(f"{safe(it.verdict.upper()):<4}  {safe(it.name)}: {safe(it.what)}{todo}")
    if any(it.verdict == "fail" for it in found):
        ctx.exit(EXIT_DAMAGED)


def _of_file(db: Path) -> Sequence[Finding]:
    from engine import offline

    return offline.doctor_file(db)
