"""`atomic client`: the clients that an engine takes posts of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.access.private import place_for, tell_secret, to_option
from engine.cli.access.shared import db_option, in_file, tell_made
from engine.cli.exits import Refusal
from engine.cli.options import actor_option, client_of, engine_option, json_option
from engine.cli.show.lists import table
from engine.cli.show.text import count_text, echo_json, echo_list, safe
from engine.registry.secrets import SIGNING_PREFIX, SIGNING_SECRETS_MAX

if TYPE_CHECKING:
    from engine.client import Client
    from engine.wire.access import ClientRow


@click.group()
def client() -> None:
    """The clients that an engine takes posts of: where their steps may be called, and a token.

    `atomic client add billing --target http://billing:9000/` prints the token that its application
    posts with. What a file defines is changed in the file.
    """


@client.command()
@click.argument("name")
@click.option(
    "--target",
    "targets",
    multiple=True,
    required=True,
    metavar="URL",
    help="What the URLs of its steps begin with; may be repeated.",
)
@click.option(
    "--private-targets",
    is_flag=True,
    help="Names with a dot may have private addresses too.",
)
@click.option(
    "--steps-need-parent",
    is_flag=True,
    default=None,
    help="A post without a parent token is never a step of a run.",
)
@click.option(
    "--redact",
    multiple=True,
    metavar="WHAT",
    help="What of its bodies people are not shown: a header's name or a JSON pointer; may be"
    " repeated.",
)
@click.option(
    "--pause-others",
    is_flag=True,
    help="Also as the first client while runs of other names are open, which pauses them.",
)
@to_option
@db_option
@engine_option
@actor_option
@json_option
def add(
    name: str,
    targets: tuple[str, ...],
    private_targets: bool,
    steps_need_parent: bool | None,
    redact: tuple[str, ...],
    pause_others: bool,
    to: Path | None,
    db: Path | None,
    engine: str,
    actor: str,
    as_json: bool,
) -> None:
    """Make a client known, and print its token, this once, or write it to a file that is not there
    yet.

    From the first one on the engine asks every request for a token.
    """
    from engine.wire.access import ClientRequest

    with place_for(to, as_json=as_json, new=True) as place:
        if db is not None:
            asked = ClientRequest(
                name, targets, private_targets, steps_need_parent, pause_others, redact
            )
            answer = in_file(db, "add_client_to", asked, actor)
        else:
            with client_of(engine, actor=actor) as atomic:
                answer = atomic.admin.add_client(
                    name,
                    targets,
                    private_targets=private_targets,
                    steps_need_parent=steps_need_parent,
                    pause_others=pause_others,
                    redact=redact,
                )
        if as_json:
            echo_json(answer)
        else:
            tell_made(answer.made, answer.admin, place)


@client.command()
@click.argument("name")
@click.option("--add", multiple=True, metavar="URL", help="A target more; may be repeated.")
@click.option("--remove", multiple=True, metavar="URL", help="One less; may be repeated.")
@click.option(
    "--private-targets/--no-private-targets",
    default=None,
    help="Whether names with a dot may have private addresses too.",
)
@engine_option
@actor_option
@json_option
def targets(
    name: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    private_targets: bool | None,
    engine: str,
    actor: str,
    as_json: bool,
) -> None:
    """Change where a client's steps may be called: from their next attempts on."""
    if not add and not remove and private_targets is None:
        raise click.UsageError("Say what to change: --add URL, --remove URL, --private-targets.")
    with client_of(engine, actor=actor) as atomic:
        row = atomic.admin.change_targets(
            name, add=add, remove=remove, private_targets=private_targets
        )
    if as_json:
        echo_json(row)
        return
    click.echo("\n".join(client_lines((row,))))
    if remove:
        what = "what no target covers any more" if row.targets else "all of its open runs"
        click.echo(f"At their next attempt {what} will be paused: target-not-allowed.", err=True)


@client.command()
@click.argument("name")
@click.option("--add", multiple=True, metavar="WHAT", help="One more; may be repeated.")
@click.option("--remove", multiple=True, metavar="WHAT", help="One less; may be repeated.")
@engine_option
@actor_option
@json_option
def redact(
    name: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    engine: str,
    actor: str,
    as_json: bool,
) -> None:
    """Say what of a client's payloads and answers people are not shown.

    WHAT is a JSON pointer, which begins with `/` and has `*` for every item or member
    (`/card/number`, `/items/*/iban`), or the name of a header. Reasons of attempts that have failed
    already stay as they were recorded. With --add and --remove it is changed.
    """
    with client_of(engine, actor=actor) as atomic:
        if add or remove:
            row = atomic.admin.change_redact(name, add=add, remove=remove)
        else:
            row = _known(atomic, name)
    if as_json:
        echo_json(row)
    elif row.redact:
        hidden = " ".join(map(_rule, row.redact))
        click.echo(f"Of bodies of the client {safe(name)} people are not shown: {hidden}")
    else:
        click.echo(f"All of the bodies of the client {safe(name)} is shown.")
    if not as_json and not add and not remove and row.defined_in:
        click.echo(f"It is changed where it is defined: {safe(row.defined_in)}", err=True)


def _known(atomic: Client, name: str) -> ClientRow:
    """The client of this name. Raises Refusal."""
    found = next((it for it in atomic.admin.clients() if it.name == name), None)
    if found is None:
        raise Refusal(f"There is no client {name}: `atomic client ls` has those that there are.")
    return found


def _rule(rule: str) -> str:
    """What is hidden, so that it is seen too where it is all of a body."""
    return safe(rule) or '""'


@client.group()
def secret() -> None:
    """The secrets that a client's calls are signed with, so that its application knows them.

    `atomic client secret add billing > billing.signing`, and the application verifies by that file.
    To change it: add another, give it to the application, then `atomic client secret rm billing`.
    """


@secret.command("add")
@click.argument("name")
@to_option
@engine_option
@actor_option
@json_option
def add_secret(name: str, to: Path | None, engine: str, actor: str, as_json: bool) -> None:
    """Sign its calls with a new secret, and print that, this once, or write it to a file.

    One before it signs too. In a file that is there the new one comes before it.
    """
    kept = SIGNING_SECRETS_MAX - 1
    with place_for(to, as_json=as_json, kept=kept, begins=SIGNING_PREFIX) as place:
        with client_of(engine, actor=actor) as atomic:
            answer = atomic.admin.add_signing_secret(name)
        if as_json:
            echo_json(answer)
            return
        both = answer.client.signing_secrets > 1
        what = (
            f"The secret that calls of the client {safe(name)} are signed with from now on"
            f"{', and with the one before too' if both else ''}"
        )
        tell_secret(answer.secret, what, place)
    if both:
        click.echo(f"When its application has it: atomic client secret rm {safe(name)}", err=True)


@secret.command("rm")
@click.argument("name")
@click.option("--last", is_flag=True, help="Also the only one: its calls are not signed then.")
@engine_option
@actor_option
@json_option
def remove_secret(name: str, last: bool, engine: str, actor: str, as_json: bool) -> None:
    """Sign its calls with the older of two secrets no more."""
    with client_of(engine, actor=actor) as atomic:
        row = atomic.admin.remove_signing_secret(name, last=last)
    if as_json:
        echo_json(row)
    elif row.signing_secrets:
        click.echo(f"Calls of the client {safe(name)} are signed with the newer secret alone.")
    else:
        click.echo(f"Calls of the client {safe(name)} are not signed any more.")


@client.command()
@click.argument("name")
@engine_option
@actor_option
@json_option
def disable(name: str, engine: str, actor: str, as_json: bool) -> None:
    """Refuse a client's posts (403). It stays known; its tokens stay."""
    with client_of(engine, actor=actor) as atomic:
        _tell(atomic.admin.disable_client(name), "is disabled", as_json=as_json)


@client.command()
@click.argument("name")
@engine_option
@actor_option
@json_option
def enable(name: str, engine: str, actor: str, as_json: bool) -> None:
    """Take its posts again."""
    with client_of(engine, actor=actor) as atomic:
        _tell(atomic.admin.enable_client(name), "is enabled", as_json=as_json)


@client.command()
@click.argument("name")
@engine_option
@actor_option
@json_option
def rm(name: str, engine: str, actor: str, as_json: bool) -> None:
    """Forget a client, and the tokens that are bound to it. Refused while it has open runs."""
    with client_of(engine, actor=actor) as atomic:
        row = atomic.admin.remove_client(name)
    what = "is removed, and its tokens"
    if row.defined_in:
        what = f"that a command added is removed, and its tokens; {safe(row.defined_in)} has it"
    _tell(row, what, as_json=as_json)


def _tell(row: ClientRow, what: str, *, as_json: bool) -> None:
    if as_json:
        echo_json(row)
    else:
        click.echo(f"The client {safe(row.name)} {what}.")


@client.command()
@engine_option
@json_option
def ls(engine: str, as_json: bool) -> None:
    """List the clients, by name."""
    with client_of(engine) as atomic:
        rows = atomic.admin.clients()
    echo_list(rows, client_lines, "client", as_json=as_json)


def client_lines(rows: Sequence[ClientRow]) -> list[str]:
    """Clients as a table, one line each."""
    head = ["CLIENT", "STATE", "TARGETS", "HIDES", "SIGNED WITH", "DEFINED IN"]
    lines = [
        [
            safe(row.name),
            "disabled" if row.disabled else "enabled",
            " ".join(map(safe, row.targets)) or "-",
            " ".join(map(_rule, row.redact)) or "-",
            count_text(row.signing_secrets, "secret") if row.signing_secrets else "-",
            safe(row.defined_in or "-"),
        ]
        for row in rows
    ]
    return table([head, *lines])
