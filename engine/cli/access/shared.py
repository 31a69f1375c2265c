"""What both groups share: where a change is made, and how a secret is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.access.private import Place, tell_secret
from engine.cli.options import was_typed
from engine.cli.show.text import safe

if TYPE_CHECKING:
    from engine.wire.access import MadeToken

ADMIN_MADE = (
    "From now on the engine asks every request for a token, and it had none that may make others."
    " So there is a token of the role admin now, called {name}, shown this once:\n\n"
    "    {secret}\n\n"
    "Keep it in a file that only you can read, and name the file to the command:\n"
    "    export ATOMIC_TOKEN_FILE=/path/of/the/file\n"
)


def db_option(command: Callable[..., None]) -> Callable[..., None]:
    """--db: a file that no engine has open."""
    return click.option(
        "--db",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Change this file, which no engine has open, in the place of asking an engine.",
    )(command)


def in_file(db: Path, change: str, asked: Any, actor: str) -> Any:
    """Have a function of `engine/offline.py` change a file. Raises Refusal."""
    from engine import offline

    if was_typed("engine"):
        raise click.UsageError("--db changes a file, and --engine asks an engine: give one.")
    return getattr(offline, change)(db, asked, actor)


def tell_made(made: MadeToken, admin: MadeToken | None, place: Place | None) -> None:
    """A token that was made, and the one of the admin that had to be made before it."""
    if admin is not None:
        told = ADMIN_MADE.format(name=safe(admin.token.name), secret=safe(admin.secret))
        click.echo(told, err=True)
    bound = f" for the client {safe(made.token.client)}" if made.token.client else ""
    what = f"The token {safe(made.token.name)}, of the role {safe(made.token.role)}{bound}"
    tell_secret(made.secret, what, place)
