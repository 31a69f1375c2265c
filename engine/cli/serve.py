"""`atomic serve`: an engine; and which one this is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from engine import __version__


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="TCP port; 0 takes any free one.  [default: 8420]")
@click.option("--db", help="The SQLite file that holds everything.  [default: atomic.db]")
@click.option("--allow-host", "hosts", multiple=True, help="Another Host name to answer under.")
@click.option("--log-format", help="auto, console or json.")
@click.option("--log-level", help="debug, info, warning or error.")
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help="TOML file.  [default: atomic.toml]"
)
def serve(file: Path | None, hosts: tuple[str, ...], **flags: Any) -> None:
    """Start an engine, and stop it gracefully on Ctrl-C or SIGTERM.

    Every setting can be given in the file or as an ATOMIC_… environment variable.
    """
    from engine import main as engine_main
    from engine.process import config

    settings = config.load({**flags, "hosts": hosts or None}, os.environ, file)
    sys.exit(engine_main.serve(settings, config.settings_file(file)))


@click.command()
def version() -> None:
    """Print the version of this command."""
    click.echo(__version__)
