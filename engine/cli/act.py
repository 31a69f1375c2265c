"""The commands that act on one run: retry, pause, resume, cancel, rerun, dismiss, retarget; what a
person does in the place of an endpoint or of who posted (set-result, skip, rerun --payload); and
the brake: hold and release."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from engine.cli.options import (
    RunName,
    actor_option,
    checked_json,
    client_of,
    engine_option,
    json_option,
    new_key,
    payload,
    read_value,
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


def _act(
    action: str, name: RunName, step: str | None, options: dict[str, Any], *, as_found: bool = False
) -> None:
    """Carry an action out and tell what it did. `as_found`: only at the revision that the step has
    (without one, the run's own step), unless another was named."""
    engine, actor, as_json = (options.pop(it) for it in ("engine", "actor", "as_json"))
    with client_of(engine, actor=actor) as client:
        run_id = name.find(client)
        if as_found or step is not None:
            tree = client.operate.run(run_id)
            step = run_id if step is None else step_id(tree, step)
            if as_found and options["if_rev"] is None:
                options["if_rev"] = next(it.rev for it in tree.steps if it.id == step)
        answer = client.operate.act(run_id, action, step=step, **options)
    if as_json:
        echo_json(answer)
    else:
        click.echo(action_text(answer))


def _action(
    action: str,
    text: str,
    *,
    steps: bool = True,
    urls: bool = False,
) -> click.Command:
    def act(name: RunName, **options: Any) -> None:
        _act(action, name, options.pop("step", None), options)

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
        wrapped = click.option("--step", help="The step, by id or name.")(wrapped)
    return click.command(action, help=text)(run_name(wrapped))


retry = _action(
    "retry", "Try now what is backing off or waiting; open a failed or cancelled run again."
)
pause = _action("pause", "Start no new attempt; attempts in flight end.")
resume = _action("resume", "Let what is paused go on.")
cancel = _action("cancel", "End it with the outcome `cancelled`; waiting callers are told at once.")
dismiss = _action("dismiss", "Take a failed or paused run off the list of failures.", steps=False)
undismiss = _action("undismiss", "Put a dismissed run back on that list.", steps=False)


@click.command()
@run_name
@click.option("--text", required=True, help="What there is to say, at most 1,024 bytes.")
@engine_option
@actor_option
@json_option
def note(name: RunName, text: str, **options: Any) -> None:
    """Write a note of a run: it is kept with it, and `atomic show` has it."""
    _act("note", name, None, options | {"reason": text})


retarget = _action("retarget", "Move a run to other URLs.", steps=False, urls=True)


Command = Callable[..., None]
JSON = "application/json"


def _repair_options(command: Command) -> Command:
    """What all of them take."""
    wrapped: Command = json_option(engine_option(actor_option(command)))
    for option in (
        click.option("--if-rev", type=click.IntRange(0), help="Only at this revision."),
        click.option("--dry-run", is_flag=True, help="Only say what it would change."),
    ):
        wrapped = option(wrapped)
    return run_name(wrapped)


_reason = click.option("--reason", required=True, help="Why: kept beside what was there before.")
_step = click.option("--step", required=True, help="The step, by id or name.")


@click.command("set-result")
@_repair_options
@_step
@click.option(
    "--result",
    required=True,
    metavar="VALUE",
    help="What its endpoint would have answered: JSON, @file, or - for standard input.",
)
@click.option(
    "--content-type",
    default=JSON,
    show_default=True,
    help="Of another type than JSON the result is a text.",
)
@click.option(
    "--http-status",
    type=click.IntRange(200, 299),
    default=200,
    show_default=True,
    help="With which status it would have.",
)
@_reason
def set_result(
    name: RunName, step: str, result: str, content_type: str, http_status: int, **rest: Any
) -> None:
    """Say what came of a step, in the place of its endpoint.

    It ends as if the endpoint had answered so: who waits for it gets that, a workflow that it has
    paused goes on, and whoever posts it again is told the same. What it had ended with stays, as
    that of the generation before. A call that is in flight is let end, and its answer kept.
    """
    given = {"result": _result(result, content_type), "http_status": http_status}
    if content_type != JSON:
        given["content_type"] = content_type
    _repair("set-result", name, step, given, **rest)


@click.command()
@_repair_options
@_step
@_reason
def skip(name: RunName, step: str, **rest: Any) -> None:
    """Do without a step: it ends with 204 and no answer, marked as skipped."""
    _repair("skip", name, step, {}, **rest)


@click.command()
@_repair_options
@click.option("--step", help="Where to begin, by id or name.")
@click.option(
    "--payload",
    callback=payload,
    default=None,
    metavar="JSON",
    help="The whole run, with this in the place of what was posted: JSON, @file, or -.",
)
@click.option("--reason", help="Why, for the record; needed with --payload.")
def rerun(name: RunName, step: str | None, payload: bytes | None, **rest: Any) -> None:
    """Run a step that has ended again, and what came after it; or the whole run with another
    payload."""
    if payload is None and step is None:
        raise click.UsageError("Say with --step where to begin, or give the run a --payload.")
    if payload is None:
        _act("rerun", name, step, rest)
        return
    if not rest["reason"]:
        raise click.UsageError("--payload needs a --reason: it is kept beside the first payload.")
    from msgspec import Raw

    _repair("rerun", name, step, {"payload": Raw(payload)}, **rest)


def _repair(
    action: str, name: RunName, step: str | None, given: dict[str, Any], **rest: Any
) -> None:
    """Only as it was found, unless a revision was named; and once, however often it is sent."""
    _act(action, name, step, rest | given | {"key": new_key()}, as_found=True)


def _result(value: str, content_type: str) -> Any:
    from msgspec import Raw

    from engine.wire import declares_json

    try:
        content, place = read_value(value)
        if declares_json(content_type):
            return Raw(checked_json(content, place))
        return content.decode()
    except UnicodeDecodeError as error:
        raise click.BadParameter(
            f"{place} is no text in UTF-8: {safe(error)}.", param_hint="'--result'"
        ) from error
    except click.BadParameter as error:  # of no callback: click does not know whose it is
        error.param_hint = "'--result'"
        raise


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
