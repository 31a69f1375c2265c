"""`atomic alerts`: what somebody is told of, and whether it comes."""

from __future__ import annotations

import sys

import click

from engine.cli.options import actor_option, client_of, engine_option, json_option
from engine.cli.show.lists import alerts_lines
from engine.cli.show.text import echo_json, safe
from engine.cli.wait import how_it_stands
from engine.process.exits import EXIT_OPEN

WAIT_S = 35
"""Longer than an alert's attempt may take."""
NONE = "This engine sends no alerts: alerts_url is not set."


@click.group(invoke_without_command=True)
@engine_option
@json_option
@click.pass_context
def alerts(ctx: click.Context, engine: str, as_json: bool) -> None:
    """What somebody is told of, where that goes, and what came of it since the engine started."""
    if ctx.invoked_subcommand is not None:
        return
    with client_of(engine) as client:
        found = client.operate.status().alerts
    if as_json:
        echo_json(found)
    else:
        click.echo("\n".join(alerts_lines(found)) or NONE)


@alerts.command()
@engine_option
@actor_option
def test(engine: str, actor: str) -> None:
    """Send an alert now, and say whether the receiver takes it."""
    from engine.client import Outcome

    with client_of(engine, actor=actor) as client:
        run_id = client.admin.test_alerts()
        click.echo(f"sent as run {safe(run_id)}", err=True)
        answer = client.outcome(run_id, wait=WAIT_S)
        if isinstance(answer, Outcome):
            click.echo(f"The receiver took it, and answered {safe(answer.http_status)}.")
            return
        click.echo(how_it_stands(client.operate.run(run_id).run))
    click.echo("Nobody has it yet. It is tried for a day.", err=True)
    sys.exit(EXIT_OPEN)
