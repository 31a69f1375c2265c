"""`atomic limits`: what clients and hosts may take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from engine.cli.options import actor_option, client_of, engine_option, json_option
from engine.cli.show.lists import table
from engine.cli.show.text import echo_json, safe

if TYPE_CHECKING:
    from engine.wire.limits import LimitsRow

KIND = click.Choice(["client", "host"])


@click.group(invoke_without_command=True)
@engine_option
@json_option
@click.pass_context
def limits(ctx: click.Context, engine: str, as_json: bool) -> None:
    """What clients and hosts may take, where something is set, and where each value comes from.

    `atomic limits set host api.example:443 calls_per_s=10` holds from then on, also after a
    restart, until `atomic limits reset host api.example:443`.
    """
    if ctx.invoked_subcommand is not None:
        return
    with client_of(engine) as it:
        found = it.admin.limits()
    if as_json:
        echo_json(found)
        return
    if found:
        click.echo("\n".join(_lines(found)))
    else:
        click.echo("no limits but those of the engine's settings", err=True)


@limits.command("set")
@click.argument("kind", type=KIND)
@click.argument("name")
@click.argument("values", nargs=-1, required=True, metavar="LIMIT=NUMBER...")
@engine_option
@actor_option
def set_(kind: str, name: str, values: tuple[str, ...], engine: str, actor: str) -> None:
    """Set limits of a client or a host: they win over the file until they are reset."""
    given = dict(_read(value) for value in values)
    with client_of(engine, actor=actor) as it:
        row = it.admin.set_limits(kind, name, given)
    click.echo("\n".join(_lines((row,))))


@limits.command()
@click.argument("kind", type=KIND)
@click.argument("name")
@engine_option
@actor_option
def reset(kind: str, name: str, engine: str, actor: str) -> None:
    """Take what was set back: the file holds again, or the default."""
    with client_of(engine, actor=actor) as it:
        row = it.admin.reset_limits(kind, name)
    click.echo("\n".join(_lines((row,))))


def _read(text: str) -> tuple[str, float | int]:
    name, _, value = text.partition("=")
    try:
        return name, int(value)
    except ValueError:
        pass
    try:
        return name, float(value)
    except ValueError:
        raise click.UsageError(
            f"{text!r} is no limit: write NAME=NUMBER, calls_per_s=10."
        ) from None


def _lines(found: Iterable[LimitsRow]) -> list[str]:
    rows = [
        (safe(row.kind), safe(row.name), safe(each.limit), _value(each.value), safe(each.set_by))
        for row in found
        for each in row.limits
    ]
    return table([("KIND", "NAME", "LIMIT", "VALUE", "SET BY"), *rows])


def _value(value: float | None) -> str:
    return "none" if value is None else f"{value:,}"
