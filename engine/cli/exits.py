"""How a command ends: errors as a line for people, and each with its exit code."""

from __future__ import annotations

import os
import sys
from textwrap import fill
from typing import Any

import click

from engine.cli.show.members import in_options
from engine.cli.show.text import safe
from engine.core.errors import EngineError
from engine.process.exits import (
    EXIT_CODES,
    EXIT_DAMAGED,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OPEN,
    EXIT_REFUSED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
)

ASKS = "asks"
"""Where a context keeps the command that asks an engine."""
EPILOG = "\b\nExit codes:\n" + "\n".join(
    fill(it, 96, initial_indent=f"  {code:<4} ", subsequent_indent=" " * 7)
    for code, it in EXIT_CODES.items()
)


class AtomicGroup(click.Group):
    """Turns what the client raises into a line for people and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Exits, never raises, for what is expected to go wrong."""
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except EngineError as error:
            text = in_options(_error_text(error), ctx.meta.get(ASKS, ctx.command))
            click.echo(f"{ctx.info_name}: {safe(text)}", err=True)
            ctx.exit(_exit_code(error))
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in ("engine", "tui", "demo_app", ""):
                raise
            click.echo(f"{ctx.info_name}: {_missing_text(str(error.name))}", err=True)
            ctx.exit(EXIT_USAGE)
        except UnicodeEncodeError as error:
            if error.encoding != "utf-8":
                raise
            # Bytes of the command line that are no text came as halves of characters (PEP 383).
            raise click.UsageError(f"This is no UTF-8 text: {safe(error.object)}") from error


class Refusal(click.ClickException):
    """What cannot be done as things are, though the command is right: one line, as of an engine
    that refuses."""

    exit_code = EXIT_REFUSED

    def show(self, file: Any = None) -> None:
        """One line, as the other errors have it."""
        click.echo(f"atomic: {safe(self.message)}", err=True, file=file)


def _exit_code(error: EngineError) -> int:
    from engine import client
    from engine.ports.store import BadFile
    from engine.process.config import ConfigError

    match error:
        case client.StepFailed() | client.RunCancelled():
            return EXIT_FAILED
        case client.WaitTimeout():
            return EXIT_OPEN
        case client.NothingKnown():
            return EXIT_UNREACHABLE
        case ConfigError():
            return EXIT_USAGE
        case BadFile():
            return EXIT_DAMAGED
    return EXIT_REFUSED


def _missing_text(name: str) -> str:
    """An environment that is older than the program: a checkout that was brought up to date."""
    return (
        f"the package {name} is not installed for {sys.executable}. This environment was made for"
        " another version: run `pip install .` in the checkout again (developers: `pip install"
        " -e '.[dev]'`), or install the wheel again."
    )


def _error_text(error: EngineError) -> str:
    from engine.client import UnexpectedAnswer, Unreachable, WaitTimeout

    if isinstance(error, WaitTimeout) and error.id is not None:
        how, on = f"atomic show {error.id}", f"atomic outcome {error.id}"
        return f"The wait is over, the work goes on. See how it stands: {how}; wait on: {on}"
    if isinstance(error, Unreachable) and error.unsent:
        if "WRONG_VERSION_NUMBER" in str(error):
            return f"{error}. What listens there speaks no TLS: an engine is called at http://."
        if "certificate refused" in str(error):
            return f"{error}. If it is yours, name its authority: SSL_CERT_FILE=authority.pem"
        return f"{error}. Is it running? `atomic serve` starts one; --engine names another."
    if isinstance(error, UnexpectedAnswer):
        return (
            f"{error}. Another program may listen there: --engine, or ATOMIC_URL, is the engine's"
            " own address, as `atomic serve` says it at its start."
        )
    return str(error)
