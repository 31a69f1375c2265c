"""Options and values that several commands share, and the client that they talk with."""

from __future__ import annotations

import getpass
import json
import os
import re
import secrets
import shlex
import socket
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click
from click.core import ParameterSource

from engine import DEFAULT_ENGINE
from engine.cli.exits import ASKS, Refusal
from engine.cli.show.text import safe

if TYPE_CHECKING:
    from engine.client import Client, Repost

_NUMBER = re.compile(r"[0-9]{1,12}")
DIGITS_OF_FILTER_MAX = 6
"""Of each number, as `engine/core/filter.py` reads them."""
EXAMPLES = "500ms, 30s, 15m, 12h, 90d or 1h30m"
PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
"""Far above what an engine takes: only keeps a wrong file from filling the memory."""


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Milliseconds, of a number alone too: for options that have always been in milliseconds."""
    if value is not None and _NUMBER.fullmatch(value):
        return int(value)
    return lifetime(ctx, param, value)


def lifetime(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Milliseconds; a number alone would say too little of a day or a second."""
    if value is None:
        return None
    from engine.core.filter import duration_ms

    if (found := 0 if value == "0" else duration_ms(value)) is None:
        raise _no_duration(value)
    return found


def since(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The same as it was written, for a term of the filter, whose durations are these."""
    numbers = re.findall("[0-9]+", value or "")
    if value is not None and any(len(number) > DIGITS_OF_FILTER_MAX for number in numbers):
        raise _no_duration(value)
    lifetime(ctx, param, value)
    return "0s" if value == "0" else value


def _no_duration(value: str) -> click.BadParameter:
    return click.BadParameter(f"{safe(value)!r} is no duration: use {EXAMPLES}.")


def payload(ctx: click.Context, param: click.Parameter, value: str | None) -> bytes | None:
    """JSON on the command line, in a file (@file) or on standard input (-); as given, checked."""
    return None if value is None else checked_json(*read_value(value))


def checked_json(content: bytes, place: str) -> bytes:
    """The bytes, if they are JSON. Raises BadParameter, which names the place."""
    try:
        json.loads(content, parse_constant=_no_json)
    except RecursionError as error:
        raise click.BadParameter(f"{place} is nested too deeply.") from error
    except ValueError as error:
        raise click.BadParameter(f"{place} is not JSON: {safe(error)}.") from error
    return content


def read_value(value: str) -> tuple[bytes, str]:
    """What an option gives: itself, a file (@file) or standard input (-); and where it is from.
    Raises BadParameter for more than PAYLOAD_BYTES_MAX."""
    content, place = _read(value)
    if len(content) > PAYLOAD_BYTES_MAX:
        raise click.BadParameter(f"{place} is over {PAYLOAD_BYTES_MAX // 1024 // 1024} MiB.")
    return content, place


def _read(value: str) -> tuple[bytes, str]:
    if value == "-":
        return sys.stdin.buffer.read(PAYLOAD_BYTES_MAX + 1), "standard input"
    if not value.startswith("@"):
        return value.encode("utf-8", "surrogateescape"), "the value"
    name = safe(value[1:])
    try:
        with Path(value[1:]).open("rb") as file:
            return file.read(PAYLOAD_BYTES_MAX + 1), name
    except OSError as error:
        raise click.BadParameter(f"{name} cannot be read: {error.strerror}.") from error


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"there is no {constant} in JSON")


class RunName(NamedTuple):
    """How a run was named: by id, or by its workflow and key."""

    id: str | None
    client: str | None
    workflow: str | None
    key: str | None

    def find(self, client: Client) -> str:
        """The run's id. Raises NotOneRun when there is none, or several."""
        if self.id is not None:
            return self.id
        page = client.operate.run_page(
            client=self.client, workflow=self.workflow, key=self.key, limit=2
        )
        if len(page.runs) == 1:
            return page.runs[0].id
        wanted, gone = f"of workflow {self.workflow} with key {self.key}", page.expired or ()
        if not page.runs and len(gone) == 1:
            return gone[0].run_id  # whoever asks for it is told what became of it
        if found := page.runs or gone:
            clients = " and ".join(run.client for run in found)
            have = "have" if page.runs else "had"
            raise NotOneRun(f"Clients {clients} each {have} a run {wanted}: add --client.")
        raise NotOneRun(f"There is no run {wanted}.")


class NotOneRun(Refusal):
    """The names given are of no run, or of several."""


def run_name(command: Callable[..., None]) -> Callable[..., None]:
    """ID, or --workflow and --key: handed to the command as `name`."""

    @wraps(command)
    def named(
        id: str | None, client: str | None, workflow: str | None, key: str | None, **rest: Any
    ) -> None:
        if id is not None and not was_typed("client"):
            client = None  # an id says whose run it is, whatever the environment names
        by_key = workflow is not None and key is not None
        if (id is None) is not by_key or (id is not None and (workflow or key or client)):
            raise click.UsageError("Name the run by its ID, or by --workflow and --key.")
        if id in ("", ".", ".."):
            raise click.UsageError(f"{id!r} is not an id.")
        command(name=RunName(id, client, workflow, key), **rest)

    wrapped: Callable[..., None] = click.argument("id", required=False)(named)
    return filter_options(wrapped)


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """--client, --workflow and --key."""
    for option, text in (
        ("--key", "The run's idempotency key."),
        ("--workflow", "The workflow's name."),
    ):
        command = click.option(option, help=text)(command)
    return client_option(command)


def client_option(command: Callable[..., None], default: str | None = None) -> Callable[..., None]:
    """--client, or ATOMIC_CLIENT."""
    return click.option(
        "--client",
        envvar="ATOMIC_CLIENT",
        show_envvar=True,
        default=default,
        show_default=default is not None,
        help="Whose run it is.",
    )(command)


def was_typed(name: str) -> bool:
    """Whether an option was given on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE


TOKEN_FILE = "token_file"


def engine_option(command: Callable[..., None]) -> Callable[..., None]:
    """--engine, or ATOMIC_URL; and --token-file, or ATOMIC_TOKEN_FILE, which `client_of` reads."""
    command = click.option(
        "--token-file",
        envvar="ATOMIC_TOKEN_FILE",
        show_envvar=True,
        expose_value=False,
        callback=_keep_token_file,
        type=click.Path(path_type=Path),
        help="The file with the token that the engine asks for.",
    )(command)
    return click.option(
        "--engine",
        envvar="ATOMIC_URL",
        show_envvar=True,
        default=DEFAULT_ENGINE,
        show_default=True,
        metavar="URL",
        help="The engine's address.",
    )(command)


def _keep_token_file(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    ctx.meta[TOKEN_FILE] = value


def token_file() -> Path | None:
    """The file that the command at hand was told of."""
    context = click.get_current_context(silent=True)
    found: Path | None = None if context is None else context.meta.get(TOKEN_FILE)
    return found


def actor_option(command: Callable[..., None]) -> Callable[..., None]:
    """--as, or ATOMIC_ACTOR, or who runs the command: handed over as `actor`."""
    return click.option(
        "--as",
        "actor",
        envvar="ATOMIC_ACTOR",
        show_envvar=True,
        callback=_actor,
        metavar="NAME",
        help="Who acts, for the record.  [default: $USER@host]",
    )(command)


def _actor(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """The name as given, or the one that this process has. Nobody checks either."""
    if value is None:
        return user_at_host()
    from engine.wire import ACTOR_CHARACTERS_MAX, ACTOR_PATTERN

    if not re.fullmatch(ACTOR_PATTERN, value):
        raise click.BadParameter(
            f"{safe(value)!r} cannot say who acts: that takes 1 to {ACTOR_CHARACTERS_MAX} printable"
            " ASCII characters, with no space at the ends."
        )
    return value


def actor_of_process() -> str:
    """The name under which the commands that this process starts act: ATOMIC_ACTOR, if it is one,
    or else `$USER@host`."""
    from engine.wire import ACTOR_PATTERN

    named = os.environ.get("ATOMIC_ACTOR", "")
    return named if re.fullmatch(ACTOR_PATTERN, named) else user_at_host()


def user_at_host() -> str:
    """`$USER@host`, with a ? for what cannot be sent."""
    from engine.wire import ACTOR_CHARACTERS_MAX

    try:
        user = os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):  # this user has no name here, as in many a container
        user = str(os.getuid())
    return re.sub(r"[^!-~]", "?", f"{user}@{socket.gethostname()}")[:ACTOR_CHARACTERS_MAX]


def client_of(
    engine: str, *, patient: bool = False, met: bool = False, actor: str | None = None
) -> Client:
    """A client; `patient` ones post again, but not when there was no engine to begin with, unless
    it was `met` before."""
    from engine.client import Client, Reposts

    if (context := click.get_current_context(silent=True)) is not None:
        context.meta[ASKS] = context.command  # what is refused is told in its options
    how: dict[str, Any] = {"actor": actor, "token_file": token_file()}
    if patient:
        how["on_repost"] = _say_repost if met else _say_repost_once_met
    else:
        how["reposts"] = Reposts(count=0)
    try:
        return Client(engine, **how)
    except ValueError as error:
        option = "--token-file" if "token file" in str(error) else "--engine"
        raise click.UsageError(f"{option}: {safe(error)}") from error


def _say_repost_once_met(repost: Repost) -> None:
    from engine.client import Unreachable

    if repost.number == 1 and isinstance(repost.reason, Unreachable) and repost.reason.unsent:
        raise repost.reason
    _say_repost(repost)


def _say_repost(repost: Repost) -> None:
    click.echo(f"{safe(repost.reason)}; again in {repost.delay_s:.2g} s", err=True)


def engine_typed() -> str:
    """` --engine URL` for a command that is named to be typed next, if this one was given it."""
    if not was_typed("engine"):
        return ""
    return f" --engine {shlex.quote(safe(click.get_current_context().params['engine']))}"


def url_options(command: Callable[..., None]) -> Callable[..., None]:
    """--from and --to: of a run that moves."""
    for option, name, text in (
        ("--to", "to_url", "What it stands for from then on."),
        ("--from", "from_url", "The recorded URL, or what such URLs begin with."),
    ):
        command = click.option(option, name, required=True, metavar="URL", help=text)(command)
    return command


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def new_key() -> str:
    """An idempotency key nobody else has."""
    return secrets.token_hex(16)
