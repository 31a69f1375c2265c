"""The command `atomic`: start an engine, submit, look, act. Exit codes are at `EXIT_CODES`.

Heavy imports stand inside the commands that need them: `atomic --help` must come at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine import __version__
from engine.cli.act import ACTIONS
from engine.cli.body import body
from engine.cli.bulk import bulk
from engine.cli.events import events
from engine.cli.exits import EPILOG, EXIT_OPEN, AtomicGroup
from engine.cli.exits import EXIT_CODES as EXIT_CODES
from engine.cli.options import (
    RunName,
    client_of,
    client_option,
    duration,
    engine_option,
    json_option,
    new_key,
    payload,
    run_name,
)
from engine.cli.runs import runs
from engine.cli.text import (
    count_text,
    echo_json,
    json_text,
    run_tree_lines,
    safe,
    state_text,
    status_lines,
)
from engine.cli.wait import TOLD_AFTER_S, first_look, wait_telling
from tui.command import on_terminal, tui

if TYPE_CHECKING:
    from engine.client import Open, Outcome

KILL_ENGINE_MS_MIN = 2_000
DEMO_SEED = 23
"""Begins with plain retries, has a crash after some seconds, then a declined card and a hang."""


@click.group(
    cls=AtomicGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="atomic")
def main() -> None:
    """Durable workflows over plain HTTP."""


# -- engine ---------------------------------------------------------------------------------------


@main.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="TCP port; 0 takes any free one.  [default: 8420]")
@click.option("--db", help="The SQLite file that holds everything.  [default: atomic.db]")
@click.option("--allow-host", "hosts", multiple=True, help="Another Host name to answer under.")
@click.option("--log-format", help="auto, console or json.")
@click.option("--log-level", help="debug, info, warning or error.")
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help="TOML file.  [default: atomic.toml]"
)
def serve(file: Path | None, hosts: tuple[str, ...], **flags: Any) -> None:
    """Start an engine, and stop it gracefully on Ctrl-C or SIGTERM.

    Every setting can be given in the file or as an ATOMIC_… environment variable.
    """
    from engine import config
    from engine import main as engine_main

    settings = config.load({**flags, "hosts": hosts or None}, os.environ, file)
    config.check_bind(settings)
    sys.exit(engine_main.serve(settings))


@main.command()
@click.option("--once", is_flag=True, help="Run each workflow once, show what happened, and stop.")
@click.option("--seed", type=int, default=DEMO_SEED, show_default=True, help="Of the mix.")
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 100),
    default=1.0,
    show_default=True,
    help="Submissions per second.",
)
@click.option(
    "--duration",
    metavar="MS",
    callback=duration,
    help="How long to submit (ms, or 30s, 2m).  [default: until Ctrl-C]",
)
@click.option(
    "--kill-engine",
    metavar="MS",
    callback=duration,
    help="kill -9 the engine every so often (at least 2s) and start it again.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A new directory for databases, mails and logs.  [default: a temporary one]",
)
@click.option("--plain", is_flag=True, help="Print lines, also where there is a dashboard.")
def demo(
    once: bool,
    seed: int,
    rate: float,
    duration: int | None,
    kill_engine: int | None,
    data: Path | None,
    plain: bool,
) -> None:
    """Show workflows that meet failures, on an engine of its own.

    Starts an engine, an application and a mail server on free ports of this machine, and compares
    at the end what the workflows promised with what was done. On a terminal the dashboard shows it;
    leaving it stops everything.
    """
    if kill_engine is not None and kill_engine < KILL_ENGINE_MS_MIN:
        raise click.UsageError("--kill-engine: at least 2s, or the engine never gets to work.")
    click.echo("Starting an engine, an application and a mail server ...")
    show = importlib.import_module("engine.cli.demo.command")
    options = show.Options(
        once=once,
        seed=seed,
        rate=rate,
        duration=None if duration is None else duration / 1000,
        kill_engine=None if kill_engine is None else kill_engine / 1000,
        data=data,
        dashboard=not (once or plain) and on_terminal(),
    )
    sys.exit(show.demo(options))


@main.command()
def version() -> None:
    """Print the version of this command."""
    click.echo(__version__)


@main.command()
@engine_option
@json_option
def status(engine: str, as_json: bool) -> None:
    """Show how the engine is: runs by state, what is late, durability."""
    with client_of(engine) as client:
        found = client.status()
    if as_json:
        echo_json(found)
    else:
        click.echo("\n".join(status_lines(found)))


# -- submit and outcome ---------------------------------------------------------------------------


@main.command()
@click.argument("url")
@partial(client_option, default="default")
@click.option("--workflow", required=True, help="The workflow's name.")
@click.option("--key", help="Idempotency key: one for one piece of work.  [default: a new one]")
@click.option(
    "--data",
    metavar="JSON",
    callback=payload,
    default="null",
    help="Payload: JSON, @file, or - (stdin).",
)
@click.option(
    "--timeout",
    metavar="MS",
    callback=duration,
    help="How long to wait (ms, or 8s, 2m); it goes on.",
)
@click.option("--no-wait", is_flag=True, help="Return as soon as the run is durable.")
@click.option("--retry-count", type=click.IntRange(0), help="Retries after the first attempt.")
@click.option(
    "--back-off", metavar="MS", callback=duration, help="Delay before the first retry; it doubles."
)
@click.option(
    "--attempt-timeout", metavar="MS", callback=duration, help="Deadline for one attempt."
)
@click.option("--step-name", help="What people see.  [default: last segment of the URL]")
@engine_option
@json_option
def submit(
    url: str,
    client: str,
    workflow: str,
    key: str | None,
    data: bytes,
    timeout: int | None,
    no_wait: bool,
    retry_count: int | None,
    back_off: int | None,
    attempt_timeout: int | None,
    step_name: str | None,
    engine: str,
    as_json: bool,
) -> None:
    """Submit a run of the workflow at URL, wait for it, and print what it answered.

    Submitting again with the same client, workflow and key finds the same run.
    """
    from msgspec import Raw

    from engine.client import Outcome, SubmitOptions

    retry = {"count": retry_count, "backOff": back_off}
    options: SubmitOptions = {
        "timeout": timeout,
        "retry": {k: v for k, v in retry.items() if v is not None} or None,
        "attempt_timeout": attempt_timeout,
        "step_name": step_name,
    }
    if key is None:
        key = new_key()
        click.echo(f"key: {key}", err=True)
    with client_of(engine, patient=True) as atomic:
        try:
            answer: Outcome | Open
            if timeout is not None and not no_wait:
                answer = atomic.submit(client, workflow, url, key, Raw(data), **options)
            else:
                prefer = "respond-async" if no_wait else f"wait={TOLD_AFTER_S}"
                answer = atomic.submit(
                    client, workflow, url, key, Raw(data), prefer=prefer, **options
                )
            at_once = isinstance(answer, Outcome)
            if not (at_once or no_wait):
                answer = wait_telling(engine, answer)
        except UnicodeEncodeError:
            raise  # bytes of the command line that are no text
        except ValueError as error:
            raise click.UsageError(safe(error)) from error
        except KeyboardInterrupt:
            again = f"atomic outcome --workflow {safe(workflow)} --key {safe(key)}"
            click.echo(f"\nStopped waiting. If it was recorded, it goes on; see: {again}", err=True)
            raise
    _print_answer(answer, as_json, wanted_open=no_wait, posted=at_once)


@main.command()
@run_name
@click.option("--wait", type=click.IntRange(0), help="Wait so many seconds.  [default: to its end]")
@engine_option
@json_option
def outcome(name: RunName, wait: int | None, engine: str, as_json: bool) -> None:
    """Wait for the outcome of a run or step, and print what it answered."""
    if wait is not None and name.id is None:  # its wait does not hold for the list
        with client_of(engine) as looking:
            name = RunName(name.find(looking), None, None, None)
    with client_of(engine, patient=True) as client:
        step_id = name.find(client)
        answer: Outcome | Open
        answer = first_look(client, step_id) if wait is None else client.outcome(step_id, wait=wait)
    if wait is None:
        answer = wait_telling(engine, answer)
    _print_answer(answer, as_json, wanted_open=False)


def _print_answer(
    answer: Outcome | Open, as_json: bool, *, wanted_open: bool, posted: bool = False
) -> None:
    """The endpoint's answer goes to stdout, what is to be known beside it to stderr."""
    from engine.client import Outcome

    ended = isinstance(answer, Outcome)
    if as_json:
        echo_json(answer.wire() if isinstance(answer, Outcome) else answer)
    else:
        note = f"{state_text(answer.status)}, run {safe(answer.run_id)}"
        if isinstance(answer, Outcome):
            note += f", {count_text(answer.attempts, 'attempt')}"
            note += ", recorded before" if answer.replayed and posted else ""
            click.echo(json_text(bytes(answer.raw)))
        click.echo(note, err=True)
    if not ended and not wanted_open:
        sys.exit(EXIT_OPEN)


# -- looking --------------------------------------------------------------------------------------


@main.command()
@run_name
@click.option("--attempts", is_flag=True, help="Show every attempt under its step.")
@engine_option
@json_option
def show(name: RunName, attempts: bool, engine: str, as_json: bool) -> None:
    """Draw a run: its steps as a tree, their state, tries, and when the next try is."""
    with client_of(engine) as client:
        tree = client.run(name.find(client))
    if as_json:
        echo_json(tree)
    else:
        click.echo("\n".join(run_tree_lines(tree, attempts=attempts)))


for command in (runs, events, body, bulk, *ACTIONS, tui):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="atomic")
