"""`atomic token`: who may ask an engine, and for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.access.private import place_for, to_option
from engine.cli.access.shared import db_option, in_file, tell_made
from engine.cli.options import actor_option, client_of, engine_option, json_option, lifetime
from engine.cli.show.lists import table
from engine.cli.show.text import clock_text, echo_json, echo_list, safe
from engine.core.access.token import Role
from engine.registry.registry import TOKEN_PREFIX

if TYPE_CHECKING:
    from engine.wire.access import TokenRow


@click.group()
def token() -> None:
    """Who may ask an engine, and for what: tokens, each of a role.

    submit posts as one client; read sees all but bodies; operate acts on runs, too; admin does
    everything. A token is shown once: keep it in a file, and name that with --token-file.
    """


@token.command()
@click.argument("name")
@click.option(
    "--role",
    required=True,
    type=click.Choice([role.value for role in Role]),
    help="What it allows.",
)
@click.option("--client", help="The only client it is good for; a must for the role submit.")
@click.option(
    "--expires", metavar="TIME", callback=lifetime, help="After so long: 12h, 90d. Else never."
)
@to_option
@db_option
@engine_option
@actor_option
@json_option
def add(
    name: str,
    role: str,
    client: str | None,
    expires: int | None,
    to: Path | None,
    db: Path | None,
    engine: str,
    actor: str,
    as_json: bool,
) -> None:
    """Make a token, and print it, this once, or write it to a file that is not there yet.

    From the first one on the engine asks every request for a token.
    """
    from engine.wire.access import TokenRequest

    with place_for(to, as_json=as_json, new=True) as place:
        if db is not None:
            asked = TokenRequest(name, Role(role), client, expires)
            answer = in_file(db, "add_token_to", asked, actor)
        else:
            with client_of(engine, actor=actor) as atomic:
                answer = atomic.admin.add_token(name, role, client=client, expires_in_ms=expires)
        if as_json:
            echo_json(answer)
        else:
            tell_made(answer.made, answer.admin, place)


@token.command()
@click.argument("name")
@click.option(
    "--overlap",
    metavar="TIME",
    default="24h",
    show_default=True,
    callback=lifetime,
    help="How long the one before is good, too; 0: no longer.",
)
@click.option("--expires", metavar="TIME", callback=lifetime, help="After so long. Else as it was.")
@to_option
@engine_option
@actor_option
@json_option
def rotate(
    name: str,
    overlap: int,
    expires: int | None,
    to: Path | None,
    engine: str,
    actor: str,
    as_json: bool,
) -> None:
    """Give a token another secret, and print that, this once, or write it to a file.

    A file that is there is replaced at once and whole, after the engine has made the secret.
    """
    with place_for(to, as_json=as_json, begins=TOKEN_PREFIX) as place:
        with client_of(engine, actor=actor) as atomic:
            answer = atomic.admin.rotate_token(name, overlap_ms=overlap, expires_in_ms=expires)
        if as_json:
            echo_json(answer)
            return
        tell_made(answer.made, answer.admin, place)
    if answer.made.token.old_secret_until is not None:
        until = clock_text(answer.made.token.old_secret_until)
        click.echo(f"The one before is good until {until}.", err=True)


@token.command()
@click.argument("name")
@engine_option
@actor_option
@json_option
def rm(name: str, engine: str, actor: str, as_json: bool) -> None:
    """Take a token away: from now on it is good for nothing."""
    with client_of(engine, actor=actor) as atomic:
        row = atomic.admin.remove_token(name)
    if as_json:
        echo_json(row)
    else:
        click.echo(f"The token {safe(row.name)} is removed.")


@token.command()
@engine_option
@json_option
def ls(engine: str, as_json: bool) -> None:
    """List the tokens, by name, and when each was last used since the engine started.

    None of their secrets is kept.
    """
    with client_of(engine) as atomic:
        rows = atomic.admin.tokens()
    echo_list(rows, token_lines, "token", as_json=as_json)


def token_lines(rows: Sequence[TokenRow]) -> list[str]:
    """Tokens as a table, one line each."""
    head = ["TOKEN", "ROLE", "CLIENT", "EXPIRES", "LAST USED", "OLD SECRET UNTIL", "DEFINED IN"]
    lines = [
        [
            safe(row.name),
            safe(row.role),
            safe(row.client or "-"),
            _expiry(row),
            clock_text(row.last_used_at) if row.last_used_at else "-",
            _old_secret(row),
            safe(row.defined_in or "-"),
        ]
        for row in rows
    ]
    return table([head, *lines])


def _expiry(row: TokenRow) -> str:
    if row.expires_at is None:
        return "never"
    return clock_text(row.expires_at) + (", is over" if row.expired else "")


def _old_secret(row: TokenRow) -> str:
    if row.old_secret_until is None:
        return "-"
    used = f"last used {clock_text(row.old_secret_used_at)}" if row.old_secret_used_at else "unused"
    return f"{clock_text(row.old_secret_until)}, {used}"
