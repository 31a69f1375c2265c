"""The command `atomic`: start an engine, submit, look, act. Exit codes are at `EXIT_CODES`.

Heavy imports stand inside the commands that need them: `atomic --help` must come at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine import __version__, cli_show
from engine.cli_options import (
    RunName,
    duration,
    engine_option,
    filter_options,
    json_option,
    new_key,
    payload,
    run_name,
    url_options,
)
from engine.cli_show import safe
from engine.cli_tui import on_terminal, tui
from engine.core.errors import EngineError

if TYPE_CHECKING:
    from engine.client import Client, Open, Outcome, Repost
    from engine.wire import RunTree

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_REFUSED = 4
EXIT_OPEN = 5
EXIT_INTERRUPTED = 130
EXIT_CODES = {
    EXIT_OK: "done; of submit and outcome: the step completed",
    EXIT_FAILED: "the step failed or was cancelled",
    EXIT_USAGE: "the command or a setting is wrong",
    EXIT_UNREACHABLE: "the engine cannot be reached, or could not answer",
    EXIT_REFUSED: "the engine refused: no such run, not possible in this state, key reused",
    EXIT_OPEN: "not ended yet: the wait is over, the work goes on",
    EXIT_INTERRUPTED: "interrupted with Ctrl-C; what was recorded goes on",
}
EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {it}" for code, it in EXIT_CODES.items())
PAGE_RUNS_MAX = 500
KILL_ENGINE_MS_MIN = 2_000
DEMO_SEED = 23
"""Begins with plain retries, has a crash after some seconds, then a declined card and a hang."""


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


def _exit_code(error: EngineError) -> int:
    from engine import client
    from engine.config import ConfigError

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


def _error_text(error: EngineError) -> str:
    from engine.client import Unreachable, WaitTimeout

    if isinstance(error, WaitTimeout) and error.id is not None:
        return f"The wait is over, the work goes on. Ask again with: atomic outcome {error.id}"
    if isinstance(error, Unreachable) and error.unsent:
        return f"{error}. Is it running? `atomic serve` starts one; --engine names another."
    return str(error)


@click.group(
    cls=AtomicGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="atomic")
def main() -> None:
    """Durable workflows over plain HTTP."""


def _client(engine: str, *, patient: bool = False) -> Client:
    """A client; `patient` ones post again, but not when there was no engine to begin with."""
    from engine.client import Client, Reposts

    try:
        if patient:
            return Client(engine, on_repost=_say_repost)
        return Client(engine, reposts=Reposts(count=0))
    except ValueError as error:
        raise click.UsageError(f"--engine: {safe(error)}") from error


def _say_repost(repost: Repost) -> None:
    from engine.client import Unreachable

    if repost.number == 1 and isinstance(repost.reason, Unreachable) and repost.reason.unsent:
        raise repost.reason
    click.echo(f"{safe(repost.reason)}; again in {repost.delay_s:.2g} s", err=True)


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
    show = importlib.import_module("engine.cli_demo")
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
    with _client(engine) as client:
        found = client.status()
    if as_json:
        cli_show.echo_json(found)
    else:
        click.echo("\n".join(cli_show.status_lines(found)))


# -- submit and outcome ---------------------------------------------------------------------------


@main.command()
@click.argument("url")
@click.option("--client", default="default", show_default=True, help="Whose run it is.")
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

    from engine.client import SubmitOptions

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
    with _client(engine, patient=True) as atomic:
        try:
            if no_wait:
                answer = atomic.submit(
                    client, workflow, url, key, Raw(data), prefer="respond-async", **options
                )
            else:
                answer = atomic.submit(client, workflow, url, key, Raw(data), **options)
        except ValueError as error:
            raise click.UsageError(safe(error)) from error
        except KeyboardInterrupt:
            again = f"atomic outcome --workflow {safe(workflow)} --key {safe(key)}"
            click.echo(f"\nStopped waiting. If it was recorded, it goes on; see: {again}", err=True)
            raise
    _print_answer(answer, as_json, wanted_open=no_wait)


@main.command()
@run_name
@click.option("--wait", type=click.IntRange(0), help="Wait so many seconds.  [default: to its end]")
@engine_option
@json_option
def outcome(name: RunName, wait: int | None, engine: str, as_json: bool) -> None:
    """Wait for the outcome of a run or step, and print what it answered."""
    if wait is not None and name.id is None:  # its wait does not hold for the list
        with _client(engine) as looking:
            name = RunName(name.find(looking), None, None, None)
    with _client(engine, patient=True) as client:
        step_id = name.find(client)
        answer: Outcome | Open
        answer = client.outcome(step_id) if wait is None else client.outcome(step_id, wait=wait)
    _print_answer(answer, as_json, wanted_open=False)


def _print_answer(answer: Outcome | Open, as_json: bool, *, wanted_open: bool) -> None:
    """The endpoint's answer goes to stdout, what is to be known beside it to stderr."""
    from engine.client import Outcome

    ended = isinstance(answer, Outcome)
    if as_json:
        cli_show.echo_json(answer.wire() if isinstance(answer, Outcome) else answer)
    else:
        note = f"{cli_show.state_text(answer.status)}, run {safe(answer.run_id)}"
        if isinstance(answer, Outcome):
            note += f", {cli_show.count_text(answer.attempts, 'attempt')}"
            note += ", recorded before" if answer.replayed else ""
            click.echo(cli_show.json_text(bytes(answer.raw)))
        click.echo(note, err=True)
    if not ended and not wanted_open:
        sys.exit(EXIT_OPEN)


# -- looking --------------------------------------------------------------------------------------


@main.command()
@filter_options
@click.option("--status", help="States, separated by commas: failed,paused")
@click.option("--oldest-first", is_flag=True, help="Sort by submission, oldest first.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most."
)
@engine_option
@json_option
def runs(
    client: str | None,
    workflow: str | None,
    key: str | None,
    status: str | None,
    oldest_first: bool,
    limit: int,
    engine: str,
    as_json: bool,
) -> None:
    """List runs, newest first."""
    rows: list[Any] = []
    cursor: str | None = None
    with _client(engine) as atomic:
        while True:
            page = atomic.run_page(
                client=client,
                workflow=workflow,
                key=key,
                status=status,
                sort="submittedAt" if oldest_first else None,
                limit=min(limit - len(rows), PAGE_RUNS_MAX),
                cursor=cursor,
            )
            rows += page.runs
            cursor = page.next
            if cursor is None or len(rows) >= limit:
                break
    if as_json:
        cli_show.echo_json({"runs": rows, "total": page.total, "next": cursor})
        return
    if rows:
        click.echo("\n".join(cli_show.run_list_lines(rows)))
    about = "about " if page.total_is_estimate else ""
    click.echo(f"{len(rows):,} of {about}{cli_show.count_text(page.total, 'run')}", err=True)


@main.command()
@run_name
@click.option("--attempts", is_flag=True, help="Show every attempt under its step.")
@engine_option
@json_option
def show(name: RunName, attempts: bool, engine: str, as_json: bool) -> None:
    """Draw a run: its steps as a tree, their state, tries, and when the next try is."""
    with _client(engine) as client:
        tree = client.run(name.find(client))
    if as_json:
        cli_show.echo_json(tree)
    else:
        click.echo("\n".join(cli_show.run_tree_lines(tree, attempts=attempts)))


@main.command()
@click.option("--since", metavar="ID", help="Go on after the event of this id.")
@engine_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line.")
def events(since: str | None, engine: str, as_json: bool) -> None:
    """Print what happens, as it happens, until Ctrl-C."""
    import msgspec

    with _client(engine, patient=True) as client, client.events(since) as stream:
        for event in stream:
            if as_json:
                line = {"id": event.id, "event": event.kind, "data": event.members}
                click.echo(cli_show.json_text(msgspec.json.encode(line), indent=-1))
            elif event.kind != "heartbeat":
                click.echo(cli_show.event_text(event))


# -- acting ---------------------------------------------------------------------------------------


def _step_id(tree: RunTree, step: str) -> str:
    """The step of this id, or shown or called so when only one is."""
    from engine.wire import step_label

    found = (
        [it.id for it in tree.steps if step == it.id]
        or [it.id for it in tree.steps if step == step_label(it.name, it.step_key)]
        or [it.id for it in tree.steps if step == it.name]
    )
    if len(found) == 1:
        return found[0]
    if not found:
        raise click.UsageError(f"The run has no step {safe(step)}; `atomic show` lists them.")
    raise click.UsageError(
        f"Several steps are called {safe(step)}; give one id: {', '.join(found)}"
    )


def _action(
    name: str, text: str, *, whole_run: bool = True, steps: bool = True, urls: bool = False
) -> None:
    def act(name: RunName, engine: str, as_json: bool, **options: Any) -> None:
        step = options.pop("step", None)
        with _client(engine) as client:
            run_id = name.find(client)
            step_id = None if step is None else _step_id(client.run(run_id), step)
            answer = client.act(run_id, action, step=step_id, **options)
        if as_json:
            cli_show.echo_json(answer)
            return
        click.echo(cli_show.action_text(answer))

    action = name
    wrapped: Callable[..., None] = json_option(engine_option(act))
    wrapped = click.option("--reason", help="Why, for the record.")(wrapped)
    wrapped = click.option("--if-rev", type=click.IntRange(0), help="Only at this revision.")(
        wrapped
    )
    wrapped = click.option("--dry-run", is_flag=True, help="Only say what it would change.")(
        wrapped
    )
    if urls:
        wrapped = url_options(wrapped)
    if steps:
        help_text = "The step, by id or name." if whole_run else "Where to begin, by id or name."
        wrapped = click.option("--step", required=not whole_run, help=help_text)(wrapped)
    main.command(name, help=text)(run_name(wrapped))


main.add_command(tui)
_action("retry", "Try now what is backing off or waiting; open a failed or cancelled run again.")
_action("pause", "Start no new attempt; attempts in flight end.")
_action("resume", "Let what is paused go on.")
_action("cancel", "End it with the outcome `cancelled`; waiting callers are told at once.")
_action("rerun", "Run a step that has ended again, and what came after it.", whole_run=False)
_action("dismiss", "Take a failed or paused run off the list of failures.", steps=False)
_action("restore", "Put a dismissed run back on that list.", steps=False)
_action("retarget", "Move a run to other URLs.", steps=False, urls=True)

if __name__ == "__main__":
    main(prog_name="atomic")
