"""`atomic alerts`: what somebody is told of, and whether it comes."""

from __future__ import annotations

import sys

import click

from engine.cli.options import actor_option, client_of, engine_option, engine_typed, json_option
from engine.cli.show.lists import alerts_lines
from engine.cli.show.text import echo_json, safe
from engine.cli.wait import how_it_stands
from engine.process.exits import EXIT_OPEN

LOOK_EVERY_S = 1
LOOKS_MAX = 35
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
        for look in range(LOOKS_MAX):
            answer = client.outcome(run_id, wait=LOOK_EVERY_S)
            if isinstance(answer, Outcome):
                click.echo(f"The receiver took it, and answered {safe(answer.http_status)}.")
                return
            run = client.operate.run(run_id).run
            if run.status not in ("pending", "running"):
                break  # it was tried, in vain
            if look == 0:
                click.echo(f"waiting for the receiver's answer, up to {LOOKS_MAX} s", err=True)
        click.echo(how_it_stands(run))
    click.echo(
        "Nobody has it yet. It is tried again, for a day:"
        f" atomic show {safe(run_id)}{engine_typed()}",
        err=True,
    )
    sys.exit(EXIT_OPEN)
