"""`atomic status`, `holds`, `causes`, `show`, `ui`: the engine, what needs a person (and what is
said of that), and runs."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import click

from engine.cli.exits import Refusal
from engine.cli.options import (
    RunName,
    actor_option,
    client_of,
    engine_option,
    json_option,
    run_name,
)
from engine.cli.show.causes import cause_lines, dismissal_text, dismissed_text
from engine.cli.show.lists import status_lines
from engine.cli.show.text import count_text, echo_json, safe, to_terminal
from engine.cli.show.tree import hold_text, note_text, run_tree_lines

if TYPE_CHECKING:
    from engine.client import Client

OF_A_FILE = (
    "It stands in a file, which gives it no name: it is called so after its client or role and the"
    " beginning of its SHA-256, here, in `atomic token ls` and in the audit."
)
NO_PAGES = "This engine serves no pages: its settings say `ui = false`, or it is older."


@click.command()
@engine_option
@json_option
def status(engine: str, as_json: bool) -> None:
    """Show how the engine is: runs by state, what is late, durability."""
    with client_of(engine) as client:
        found = client.operate.status()
    if as_json:
        echo_json(found)
    else:
        click.echo("\n".join(status_lines(found)))


@click.command()
@engine_option
@json_option
def whoami(engine: str, as_json: bool) -> None:
    """Say as whom the engine knows you: your token's name, role, and the client it is bound to."""
    from engine.client import ProblemError
    from engine.wire import Problem

    with client_of(engine) as client:
        try:
            token = client.operate.whoami()
        except ProblemError as error:
            if error.problem != Problem.NOT_FOUND:
                raise
            token = client.operate.status().token  # an engine of before, which tells readers alone
    if as_json:
        echo_json(token)
    elif token is None:
        click.echo("Nobody in particular: this engine asks for no token.")
    else:
        bound = f"for the client {safe(token.client)} alone" if token.client else "for all clients"
        click.echo(f"{safe(token.name)}, of the role {safe(token.role)}, {bound}.")
        if re.fullmatch(re.escape(token.client or token.role) + r"\.[0-9a-f]{8}", token.name):
            click.echo(OF_A_FILE)


@click.command()
@engine_option
@json_option
def holds(engine: str, as_json: bool) -> None:
    """List what is held: why, since when, by whom, and how much waits."""
    with client_of(engine) as client:
        found = client.operate.holds()
    if as_json:
        echo_json(found)
    else:
        click.echo("\n".join(map(hold_text, found.holds)) or "Nothing is held.")


@click.group(invoke_without_command=True)
@click.option("--dismissed", is_flag=True, help="Also those that were dismissed.")
@engine_option
@json_option
@click.pass_context
def causes(ctx: click.Context, dismissed: bool, engine: str, as_json: bool) -> None:
    """List why runs need a person, what most need it for first.

    `atomic runs --filter cause:ID` has the runs of one.
    """
    if ctx.invoked_subcommand is not None:
        return
    with client_of(engine) as client:
        found = client.operate.causes(dismissed=dismissed)
    if as_json:
        echo_json(found)
        return
    if found.causes:
        click.echo("\n".join(cause_lines(found.causes)))
    click.echo(
        f"{count_text(found.runs, 'run')}, {count_text(len(found.causes), 'cause')}"
        f"{dismissed_text(found, listed=dismissed)}",
        err=True,
    )


@causes.command()
@click.argument("cause")
@click.option("--text", required=True, help="What there is to say, at most 1,024 bytes.")
@engine_option
@actor_option
@json_option
def note(cause: str, text: str, engine: str, actor: str, as_json: bool) -> None:
    """Write a note of a cause: `atomic causes` has it below the cause."""
    with client_of(engine, actor=actor) as client:
        written = client.operate.note_cause(cause, text)
    echo_json(written) if as_json else click.echo(note_text(written))


@causes.command()
@click.argument("cause")
@click.argument("number", type=click.IntRange(1))
@engine_option
@actor_option
@json_option
def unnote(cause: str, number: int, engine: str, actor: str, as_json: bool) -> None:
    """Take a note of a cause back: the first is number 1."""
    with client_of(engine, actor=actor) as client:
        taken = client.operate.take_note_back(cause, number)
    echo_json(taken) if as_json else click.echo(f"taken back: {note_text(taken)}")


@causes.command("dismiss")
@click.argument("cause")
@click.option("--reason", required=True, help="Why it needs nobody, at most 1,024 bytes.")
@engine_option
@actor_option
@json_option
def dismiss_cause(cause: str, reason: str, engine: str, actor: str, as_json: bool) -> None:
    """Take a cause off the list until it comes again.

    `atomic causes --dismissed` has it still.
    """
    with client_of(engine, actor=actor) as client:
        done = client.operate.dismiss_cause(cause, reason)
    echo_json(done) if as_json else click.echo(dismissal_text(done))


@causes.command("undismiss")
@click.argument("cause")
@engine_option
@actor_option
@json_option
def undismiss_cause(cause: str, engine: str, actor: str, as_json: bool) -> None:
    """Put a dismissed cause back on the list."""
    with client_of(engine, actor=actor) as client:
        taken = client.operate.undismiss_cause(cause)
    if as_json:
        echo_json(taken)
    else:
        click.echo(f"back on the list: {dismissal_text(taken)}")


@click.command()
@run_name
@click.option("--attempts", is_flag=True, help="Show every attempt under its step.")
@click.option("--html", is_flag=True, help="Print one page of HTML that needs nothing else.")
@click.option("--bodies", is_flag=True, help="With payloads and answers; with --html.")
@engine_option
@json_option
def show(
    name: RunName, attempts: bool, html: bool, bodies: bool, engine: str, as_json: bool
) -> None:
    """Draw a run: its steps as a tree, their state, tries, and when the next try is."""
    if html and (as_json or attempts):
        raise click.UsageError("--html goes with neither --json nor --attempts: it has all tries.")
    if bodies and not html:
        raise click.UsageError("--bodies goes with --html; `atomic body` prints one of them.")
    if html and to_terminal():
        raise click.UsageError("--html is no text for a terminal: add `> run.html`, or a pipe.")
    with client_of(engine) as client:
        run_id = name.find(client)
        if html:
            return click.echo(_run_file(client, run_id, bodies=bodies), nl=False)
        tree = client.operate.run(run_id)
    if as_json:
        echo_json(tree)
    else:
        click.echo("\n".join(run_tree_lines(tree, attempts=attempts)))


def _run_file(client: Client, run_id: str, *, bodies: bool) -> bytes:
    """The run as one page. Raises Refusal where an engine serves none."""
    from engine.client import ProblemError
    from engine.wire import Problem

    try:
        return client.operate.run_file(run_id, bodies=bodies)
    except ProblemError as error:
        if error.problem != Problem.NOT_FOUND:
            raise
        client.operate.run(run_id)  # says so if there is no such run
        raise Refusal(NO_PAGES) from error


@click.command()
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@engine_option
@json_option
def ui(no_browser: bool, engine: str, as_json: bool) -> None:
    """Print the link to the engine's pages, and open it in a browser if there is one.

    Where the engine asks for tokens the link logs a browser in: it is good once, for a minute.
    """
    import webbrowser

    from engine.client import ProblemError
    from engine.wire import Problem

    with client_of(engine) as client:
        try:
            found = client.operate.page_link()
        except ProblemError as error:
            if error.problem != Problem.NOT_FOUND:
                raise
            raise Refusal(NO_PAGES) from error
    if as_json:
        return echo_json(found)
    url = safe(found.url or f"{engine.rstrip('/')}{found.path}")
    click.echo(url)
    is_page = url.startswith(("http://", "https://"))  # whatever answered may be no engine
    if is_page and not no_browser and sys.stdout.isatty() and _has_screen():
        webbrowser.open(url)


def _has_screen() -> bool:
    """Else what opens may be a browser in this terminal, over ssh."""
    return sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
