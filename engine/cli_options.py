"""Options and values that several commands of `engine/cli.py` share."""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from engine.cli_show import safe

if TYPE_CHECKING:
    from engine.client import Client

DEFAULT_ENGINE = "http://127.0.0.1:8420"
UNIT_MS = {"": 1, "ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
"""Far above what an engine takes: only keeps a wrong file from filling the memory."""


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Milliseconds, or a number with a unit: 500ms, 8s, 2m, 1h."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,12})(ms|s|m|h|)", value)
    if match is None:
        raise click.BadParameter(f"{safe(value)} is no duration: use 500, 500ms, 8s, 2m or 1h.")
    return int(match[1]) * UNIT_MS[match[2]]


def payload(ctx: click.Context, param: click.Parameter, value: str) -> bytes:
    """JSON on the command line, in a file (@file) or on standard input (-); as given, checked."""
    content, place = _read(value)
    if len(content) > PAYLOAD_BYTES_MAX:
        raise click.BadParameter(f"{place} is over {PAYLOAD_BYTES_MAX // 1024 // 1024} MiB.")
    try:
        json.loads(content, parse_constant=_no_json)
    except RecursionError as error:
        raise click.BadParameter(f"{place} is nested too deeply.") from error
    except ValueError as error:
        raise click.BadParameter(f"{place} is not JSON: {safe(error)}.") from error
    return content


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
        page = client.run_page(client=self.client, workflow=self.workflow, key=self.key, limit=2)
        if len(page.runs) == 1:
            return page.runs[0].id
        wanted = f"of workflow {self.workflow} with key {self.key}"
        if page.runs:
            clients = " and ".join(run.client for run in page.runs)
            raise NotOneRun(f"Clients {clients} each have a run {wanted}: add --client.")
        raise NotOneRun(f"There is no run {wanted}.")


class NotOneRun(click.ClickException):
    """The names given are of no run, or of several."""

    exit_code = 4

    def show(self, file: IO[Any] | None = None) -> None:
        """One line, as the other errors have it."""
        click.echo(f"atomic: {safe(self.message)}", err=True, file=file)


def run_name(command: Callable[..., None]) -> Callable[..., None]:
    """ID, or --workflow and --key: handed to the command as `name`."""

    @wraps(command)
    def named(
        id: str | None, client: str | None, workflow: str | None, key: str | None, **rest: Any
    ) -> None:
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
        ("--client", "Whose run it is."),
    ):
        command = click.option(option, help=text)(command)
    return command


def engine_option(command: Callable[..., None]) -> Callable[..., None]:
    """--engine, or ATOMIC_URL."""
    return click.option(
        "--engine",
        envvar="ATOMIC_URL",
        show_envvar=True,
        default=DEFAULT_ENGINE,
        show_default=True,
        metavar="URL",
        help="The engine's address.",
    )(command)


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
