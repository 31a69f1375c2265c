"""How a command ends: exit codes, and errors as a line for people."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from engine.cli.show.text import safe
from engine.core.errors import EngineError

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_REFUSED = 4
EXIT_OPEN = 5
EXIT_DAMAGED = 6
EXIT_INTERRUPTED = 130
EXIT_CODES = {
    EXIT_OK: "done; of submit and outcome: the step completed",
    EXIT_FAILED: "the step failed or was cancelled; the bulk job was aborted; of health: not ready",
    EXIT_USAGE: "the command or a setting is wrong",
    EXIT_UNREACHABLE: "the engine cannot be reached, or could not answer",
    EXIT_REFUSED: "the engine refused: no such run, not possible in this state, key reused",
    EXIT_OPEN: "not ended yet: the wait is over, the work goes on",
    EXIT_DAMAGED: "what was checked is not as it must be; each fault is named",
    EXIT_INTERRUPTED: "interrupted with Ctrl-C; what was recorded goes on",
}
EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {it}" for code, it in EXIT_CODES.items())


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
            click.echo(f"{ctx.info_name}: {safe(_error_text(error))}", err=True)
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
    """What the engine would not have done as it was asked for: one line, as its own errors."""

    exit_code = EXIT_REFUSED

    def show(self, file: Any = None) -> None:
        """One line, as the other errors have it."""
        click.echo(f"atomic: {safe(self.message)}", err=True, file=file)


@contextmanager
def refused_of_a_file() -> Iterator[None]:
    """What cannot be done with a file is refused as by an engine. Raises Refusal."""
    try:
        yield
    except EngineError as error:
        raise Refusal(str(error)) from error


def _exit_code(error: EngineError) -> int:
    from engine import client
    from engine.process.config import ConfigError

    match error:
        case client.StepFailed() | client.RunCancelled():
            return EXIT_FAILED
        case client.ProblemError():
            return EXIT_REFUSED
        case client.WaitTimeout():
            return EXIT_OPEN
        case ConfigError():
            return EXIT_USAGE
        case client.NothingKnown():
            return EXIT_UNREACHABLE
    return EXIT_FAILED


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
