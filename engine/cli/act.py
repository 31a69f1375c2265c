"""The commands that act on one run (retry, pause, resume, cancel, rerun, dismiss, retarget), and
the brake: hold and release."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from engine.cli.options import (
    RunName,
    actor_option,
    client_of,
    engine_option,
    json_option,
    run_name,
    url_options,
)
from engine.cli.show.lists import action_text
from engine.cli.show.text import echo_json, safe
from engine.cli.show.tree import hold_text

if TYPE_CHECKING:
    from engine.client import Client
    from engine.wire import RunTree


def step_id(tree: RunTree, step: str) -> str:
    """The step of this id, or shown or called so when only one is. Raises UsageError."""
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
        f"Several steps are called {safe(step)}; give one id: {', '.join(map(safe, found))}"
    )


def _action(
    action: str,
    text: str,
    *,
    whole_run: bool = True,
    steps: bool = True,
    urls: bool = False,
) -> click.Command:
    def act(name: RunName, engine: str, actor: str, as_json: bool, **options: Any) -> None:
        step = options.pop("step", None)
        with client_of(engine, actor=actor) as client:
            run_id = name.find(client)
            step = None if step is None else step_id(client.operate.run(run_id), step)
            answer = client.operate.act(run_id, action, step=step, **options)
        if as_json:
            echo_json(answer)
            return
        click.echo(action_text(answer))

    wrapped: Callable[..., None] = json_option(engine_option(actor_option(act)))
    for option in (
        click.option("--reason", help="Why, for the record."),
        click.option("--if-rev", type=click.IntRange(0), help="Only at this revision."),
        click.option("--dry-run", is_flag=True, help="Only say what it would change."),
    ):
        wrapped = option(wrapped)
    if urls:
        wrapped = url_options(wrapped)
    if steps:
        help_text = "The step, by id or name." if whole_run else "Where to begin, by id or name."
        wrapped = click.option("--step", required=not whole_run, help=help_text)(wrapped)
    return click.command(action, help=text)(run_name(wrapped))


retry = _action(
    "retry", "Try now what is backing off or waiting; open a failed or cancelled run again."
)
pause = _action("pause", "Start no new attempt; attempts in flight end.")
resume = _action("resume", "Let what is paused go on.")
cancel = _action("cancel", "End it with the outcome `cancelled`; waiting callers are told at once.")
rerun = _action(
    "rerun", "Run a step that has ended again, and what came after it.", whole_run=False
)
dismiss = _action("dismiss", "Take a failed or paused run off the list of failures.", steps=False)
undismiss = _action("undismiss", "Put a dismissed run back on that list.", steps=False)
retarget = _action("retarget", "Move a run to other URLs.", steps=False, urls=True)


KIND = click.Choice(["client", "workflow", "host"])
Named = Callable[..., None]


def _named(command: Named) -> Named:
    """KIND and NAME, or --all: handed over as `kind` and `name`."""

    @wraps(command)
    def named(kind: str | None, name: str | None, everything: bool, **rest: Any) -> None:
        if everything and kind is None:
            kind, name = "all", "*"
        elif everything or kind is None or name is None:
            raise click.UsageError("Name one client, workflow or host, or give --all.")
        command(kind=kind, name=name, **rest)

    wrapped: Named = click.option("--all", "everything", is_flag=True, help="Everything.")(named)
    return click.argument("kind", type=KIND, required=False)(
        click.argument("name", required=False)(wrapped)
    )


def _is_unknown(client: Client, name: str) -> bool:
    """Whether there is nothing of a client of this name, as far as the token may see that."""
    from engine.client import ProblemError
    from engine.wire import Problem

    try:
        if client.operate.run_page(client=name, limit=1).runs:
            return False
        return all(it.name != name for it in client.admin.clients())
    except ProblemError as error:  # clients are told to admins alone
        return error.problem == Problem.FORBIDDEN


@click.command()
@_named
@click.option("--reason", help="Why: who finds it held will ask.")
@engine_option
@actor_option
@json_option
def hold(kind: str, name: str, reason: str | None, engine: str, actor: str, as_json: bool) -> None:
    """Start nothing of a client, of a workflow or to a host, or nothing at all, until it is
    released.

    What is posted is recorded, callers hang on, calls in flight end. A host is named as in URLs:
    app:9000; without a port it is held at every port.
    """
    with client_of(engine, actor=actor) as client:
        held = client.operate.hold(kind, name, reason=reason)
        hosts = None if as_json or kind != "host" else client.operate.status().hosts
        is_unknown = not as_json and kind == "client" and _is_unknown(client, name)
    if as_json:
        echo_json(held)
        return
    click.echo(hold_text(held))
    if is_unknown:
        click.echo(
            f"note: no run of a client {safe(name)} is here, and none is defined by that name: is"
            " it spelled so? What comes of it is held.",
            err=True,
        )
    if hosts is not None and not any(
        held.name in (it.host, it.host.rpartition(":")[0]) for it in hosts
    ):
        click.echo(
            f"note: the engine has called no {safe(held.name)} lately. It holds what the engine"
            " calls itself, as in a step's URL; what your application calls is not held by its"
            " name: hold the workflow, or the application's host.",
            err=True,
        )


@click.command()
@_named
@click.option(
    "--rate",
    type=click.IntRange(1, 1_000),
    help="So many of the attempts that waited start each second.  [default: as hosts take them]",
)
@engine_option
@actor_option
@json_option
def release(kind: str, name: str, rate: int | None, engine: str, actor: str, as_json: bool) -> None:
    """Let what was held start again; with --rate what has waited comes slowly."""
    with client_of(engine, actor=actor) as client:
        released = client.operate.release(kind, name, rate_per_s=rate)
        others = () if as_json else client.operate.holds().holds
    if as_json:
        echo_json(released)
        return
    click.echo(hold_text(released))
    for other in others:
        if other.released_at is None:  # what is under it too waits on
            click.echo(f"still {hold_text(other)}", err=True)
