"""`atomic demo`: what can be asked of the demonstration."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from engine.cli.demo.stage import DemoOptions
from engine.cli.options import duration
from engine.cli.show.text import on_terminal

KILL_ENGINE_MS_MIN = 2_000
DEMO_SEED = 23
"""Begins with plain retries, has a crash after some seconds, then a declined card and a hang."""


@click.command()
@click.option("--once", is_flag=True, help="Run each workflow once, show what happened, and stop.")
@click.option("--seed", type=int, default=DEMO_SEED, show_default=True, help="Of the mix.")
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 100),
    default=1.0,
    show_default=True,
    help="Submissions per second.",
)
@click.option(
    "--duration",
    metavar="TIME",
    callback=duration,
    help="How long to submit (30s, 2m; a number alone: ms).  [default: until Ctrl-C]",
)
@click.option(
    "--kill-engine",
    metavar="TIME",
    callback=duration,
    help="kill -9 the engine so long after each start (at least 2s), and start it again.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A new directory for databases, mails and logs.  [default: a temporary one]",
)
@click.option("--plain", is_flag=True, help="Print lines, also where there is a dashboard.")
def demo(
    once: bool,
    seed: int,
    rate: float,
    duration: int | None,
    kill_engine: int | None,
    data: Path | None,
    plain: bool,
) -> None:
    """Show workflows that meet failures, on an engine of its own.

    Starts an engine, an application and a mail server on free ports of this machine, and compares
    at the end what the workflows promised with what was done. On a terminal the dashboard shows it;
    leaving it stops everything.
    """
    if kill_engine is not None and kill_engine < KILL_ENGINE_MS_MIN:
        raise click.UsageError("--kill-engine: at least 2s, or the engine never gets to work.")
    click.echo("Starting an engine, an application and a mail server ...")
    from engine.cli.demo.run import run

    options = DemoOptions(
        once=once,
        seed=seed,
        rate=rate,
        duration=None if duration is None else duration / 1000,
        kill_engine=None if kill_engine is None else kill_engine / 1000,
        data=data,
        dashboard=not (once or plain) and on_terminal(),
    )
    sys.exit(run(options))
