"""`atomic compact`: a file gives back what was freed in it."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.options import json_option
from engine.cli.show.text import echo_json, safe


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
def compact(file: Path, as_json: bool) -> None:
    """Make a file smaller that no engine has open: what was freed in it is given back.

    Its disk needs room for twice what is in use, for a while. Whatever ends this leaves what
    is recorded as it was. The schema of an older file is brought up to date first.
    """
    from engine import offline

    done = offline.compact_file(file)
    if as_json:
        echo_json(done)
    else:
        click.echo(f"{safe(done.file)}: {done.before:,} bytes before, {done.after:,} now")
