"""`atomic submit` and `outcome`: post a run, wait for what it answers."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

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
from engine.cli.show.text import count_text, echo_json, json_text, safe, state_text
from engine.cli.wait import TOLD_AFTER_S, first_look, wait_telling
from engine.process.exits import EXIT_OPEN

if TYPE_CHECKING:
    from engine.client import Open, Outcome


@click.command()
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
    metavar="TIME",
    callback=duration,
    help="How long to wait (8s, 2m; a number alone: ms); it goes on.",
)
@click.option("--no-wait", is_flag=True, help="Return as soon as the run is durable.")
@click.option("--retry-count", type=click.IntRange(0), help="Retries after the first attempt.")
@click.option(
    "--back-off",
    metavar="TIME",
    callback=duration,
    help="Delay before the first retry; it doubles, up to 1m. A longer one stays as it is.",
)
@click.option(
    "--attempt-timeout", metavar="TIME", callback=duration, help="Deadline for one attempt."
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
    from engine.core.retry import DEFAULT_POLICY

    longest = DEFAULT_POLICY.max_back_off_ms
    is_long = back_off is not None and back_off > longest
    retry = {
        "count": retry_count,
        "backOff": back_off,
        "maxBackOff": back_off if is_long else None,  # or it would be cut to that
    }
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
            prefer = f"wait={TOLD_AFTER_S}" if timeout is None else None
            answer = atomic.submit(
                workflow,
                client=client,
                url=url,
                key=key,
                payload=Raw(data),
                prefer="respond-async" if no_wait else prefer,
                **options,
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


@click.command()
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
