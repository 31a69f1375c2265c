"""`atomic setup`: a directory with the settings, tokens and secrets of an engine and one client.

For an engine that listens beyond loopback, in a container mostly. What is there stays: run again,
it adds what is missing and changes nothing.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import tomllib
from pathlib import Path

import click

from engine import DEFAULT_ENGINE, wire
from engine.cli.access.private import Draft
from engine.cli.exits import Refusal
from engine.cli.show.text import safe
from engine.core.target import BadTarget, normalise_prefix
from engine.registry.registry import TOKEN_BYTES, TOKEN_PREFIX
from engine.registry.secrets import SIGNING_BYTES, signing_secret

SETTINGS = """\
# Written by `atomic setup`. Every setting: docs/reference/configuration.md
admin_token_file = "admin.token"
clients_dir = "clients"
"""
CLIENT = """\
# Written by `atomic setup`. Read again within seconds of a change.
targets = [{targets}]
token_file = {token}
signing_secret_file = {secret}
"""


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--client", required=True, help="The application's name at the engine.")
@click.option(
    "--target", "targets", required=True, multiple=True,
    help="URL under which the engine may call the application; may be given again.",
)  # fmt: skip
@click.option(
    "--keys", type=click.Path(path_type=Path, file_okay=False),
    help="Where the client's token and signing secret go, if the application reads them there."
    "  [default: DIRECTORY/keys]",
)  # fmt: skip
def setup(directory: Path, client: str, targets: tuple[str, ...], keys: Path | None) -> None:
    """Write the settings, tokens and secrets of an engine and one client into DIRECTORY.

    They are readable by this user alone, who must be the user that the engine runs as. What is
    there already stays as it is; with another --client it becomes an engine with two.
    """
    _check_client(client)
    prefixes = [_prefix(target) for target in targets]
    clients = directory / "clients"
    keys_dir = directory / "keys" if keys is None else keys.absolute()
    token, secret = keys_dir / f"{client}.token", keys_dir / f"{client}.signing"
    named = [str(path) if keys else os.path.relpath(path, clients) for path in (token, secret)]
    files = {
        directory / "admin.token": _token(),
        token: _token(),
        secret: _signing_secret(),
        clients / f"{client}.toml": CLIENT.format(
            targets=", ".join(map(_toml, prefixes)), token=_toml(named[0]), secret=_toml(named[1])
        ),
        directory / "atomic.toml": SETTINGS,  # last: with it the directory is whole
    }
    for path, text in files.items():
        click.echo(f"{'wrote' if _write_new(path, text) else 'kept '} {safe(path)}")
    _tell_targets(clients / f"{client}.toml", prefixes)
    click.echo(
        f"\nThe engine:       atomic serve --config {_quoted(directory / 'atomic.toml')}"
        f"\nThe application:  ATOMIC_CLIENT={client} ATOMIC_TOKEN_FILE={_quoted(token)}"
        f" ATOMIC_SIGNING_SECRET_FILE={_quoted(secret)}"
        f"\nYou:              ATOMIC_TOKEN_FILE={_quoted(directory / 'admin.token')}"
        f"\nBoth:             ATOMIC_URL, where they reach it elsewhere than at {DEFAULT_ENGINE}"
    )


def _tell_targets(path: Path, asked: list[str]) -> None:
    """A client that was there keeps its targets: say so of one that was asked for in vain."""
    try:
        targets = tomllib.loads(path.read_text()).get("targets", ())
        known = {normalise_prefix(it) for it in targets}
    except (OSError, ValueError, TypeError, AttributeError, BadTarget):
        return  # that file is the engine's to judge
    for target in asked:
        if target not in known:
            click.echo(
                f"note: {safe(path)} was there already, and {safe(target)} is not among its"
                " targets: add it there, if it is to be called.",
                err=True,
            )


def _quoted(path: Path) -> str:
    return safe(shlex.quote(str(path)))


def _check_client(name: str) -> None:
    if not re.fullmatch(wire.CLIENT_PATTERN, name) or name in wire.NAMES_NOT_FREE:
        what = "reserved" if name in wire.NAMES_NOT_FREE else "no client name"
        raise click.BadParameter(
            f"{safe(name)} is {what}: letters, digits and ._- , at most 64, beginning with a letter"
            " or digit.",
            param_hint="--client",
        )


def _prefix(target: str) -> str:
    try:
        return normalise_prefix(target)
    except BadTarget as error:
        raise click.BadParameter(f"{safe(target)} {error}.", param_hint="--target") from error


def _token() -> str:
    return f"{TOKEN_PREFIX}{secrets.token_urlsafe(TOKEN_BYTES)}\n"


def _signing_secret() -> str:
    return f"{signing_secret(secrets.token_bytes(SIGNING_BYTES))}\n"


def _toml(value: object) -> str:
    """A basic string of TOML, whose escapes are JSON's."""
    return json.dumps(str(value), ensure_ascii=True)


def _write_new(path: Path, text: str) -> bool:
    """Write a file that is not there yet, for this user alone; False: it is there. Whole or not at
    all: an interrupted one leaves nothing that would be kept."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            return False
        draft = Draft(path)
        try:
            draft.write(text)
            return draft.add()
        finally:
            draft.drop()
    except OSError as error:
        raise Refusal(f"{safe(path)} cannot be written: {error.strerror}.") from error
