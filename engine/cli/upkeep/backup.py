"""`atomic backup`: a copy of an engine's file, made by the engine itself, or of one that rests."""

from __future__ import annotations

from pathlib import Path
from time import sleep  # noqa: TID251 - a command has no other clock
from typing import TYPE_CHECKING

import click

from engine.cli.exits import Refusal
from engine.cli.options import actor_option, client_of, engine_option, json_option, was_typed
from engine.cli.show.text import ProgressLine, echo_json, safe

if TYPE_CHECKING:
    from engine.client import Client
    from engine.wire import BackupProgress, BackupRow

LOOK_EVERY_S = 0.3


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--db",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Copy this file, which no engine has open, in the place of asking an engine.",
)
@engine_option
@actor_option
@json_option
def backup(file: Path, db: Path | None, engine: str, actor: str, as_json: bool) -> None:
    """Copy the file of an engine, while it runs, into FILE on its machine; nothing may be there.

    The copy is of one moment, made at a pace that no caller feels, checked, and readable by the
    engine's user alone. Ctrl-C leaves it: it goes on.
    """
    path = file.absolute()
    if db is not None:
        if was_typed("engine"):
            raise click.UsageError("--db copies a file, and --engine asks an engine: give one.")
        size = _copy(db, path)
        told: object = {"file": str(path), "bytes": size}
    else:
        with client_of(engine, actor=actor) as client:
            row = _follow(client, client.admin.back_up(str(path)))
        size, told = row.bytes, row
        if row.error is not None:
            raise Refusal(row.error)
    if as_json:
        echo_json(told)
    else:
        click.echo(f"{safe(path)}: {size:,} bytes")


def _copy(db: Path, path: Path) -> int:
    from engine import offline

    with ProgressLine() as progress:
        return offline.back_up_file(db, path, lambda n, of: progress.show("pages", n, of)).size


def _follow(client: Client, begun: BackupProgress) -> BackupRow:
    """How it ended. Raises NothingKnown."""
    from engine.client import NothingKnown

    with ProgressLine() as progress:
        while True:
            told = client.operate.status().backup
            now = None if told is None else told.under_way
            if now is None or (now.file, now.since) != (begun.file, begun.since):
                break
            progress.show("pages", now.pages_done, now.pages)
            sleep(LOOK_EVERY_S)
    last = None if told is None else told.last
    if last is None or last.file != begun.file:
        raise NothingKnown(
            "The engine does not know how it ended: it has been started anew, perhaps. If"
            " there is a copy, look through it: atomic verify"
        )
    return last
