"""`atomic body`: a payload or an answer, as bytes into a pipe and as safe text on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.act import step_id
from engine.cli.exits import Refusal
from engine.cli.options import RunName, actor_option, client_of, engine_option, run_name
from engine.cli.show.text import safe, to_terminal, unicode_terminal
from engine.shown.text import ascii_only

if TYPE_CHECKING:
    from engine.client import BodyPart, Client
    from engine.wire import RunTree, StepRow


@click.command()
@run_name
@click.option("--step", help="The step, by id or name.  [default: the workflow's own]")
@click.option(
    "--attempt",
    "number",
    type=click.IntRange(1),
    metavar="N",
    help="What this try was answered.  [default: the last that has ended]",
)
@click.option(
    "--generation",
    type=click.IntRange(1),
    metavar="N",
    help="What this generation of the step ended with, or with --payload was called with.",
)
@click.option("--payload", is_flag=True, help="What is sent to the endpoint, and no answer.")
@click.option(
    "--whole",
    is_flag=True,
    help="With what its client hides: for the role admin, and the audit keeps it.",
)
@engine_option
@actor_option
def body(
    name: RunName,
    step: str | None,
    number: int | None,
    generation: int | None,
    payload: bool,
    whole: bool,
    engine: str,
    actor: str,
) -> None:
    """Print the answer to a step's last try, or its payload: to a pipe byte for byte.

    On a terminal what does not print is shown as an escape. What it is is told beside it, on
    standard error, also when the engine kept only a part.
    """
    if payload and number is not None:
        raise click.UsageError("All tries of a step send one payload: leave --attempt out.")
    if number is not None and generation is not None:
        raise click.UsageError("A try belongs to one generation: leave --generation out.")
    with client_of(engine, actor=actor) as client:
        tree = client.operate.run(name.find(client))
        row = _step(tree, step)
        of = "" if generation is None else f"generation {generation} of "
        if payload:
            part = client.operate.payload(row.id, generation=generation, whole=whole)
            what = f"the payload of {of}{safe(row.name)}"
        elif generation is not None or (number is None and _was_set(row)):
            part = client.operate.result(row.id, generation=generation, whole=whole)
            what = f"the result of {of}{safe(row.name)}"
        else:
            number = _answered(row) if number is None else number
            part = _answer(client, row, number, whole=whole)
            what = f"the answer to try {number} of {safe(row.name)}"
    click.echo(f"{what}: {kind_and_size(part)}", err=True)
    if to_terminal():
        click.echo(shown(part.data))
    else:
        click.echo(part.data, nl=False)


def _step(tree: RunTree, step: str | None) -> StepRow:
    wanted = tree.run.id if step is None else step_id(tree, step)
    return next(it for it in tree.steps if it.id == wanted)


def _was_set(row: StepRow) -> bool:
    """Whether its outcome is one that a person gave."""
    last = row.repairs[-1] if row.repairs else None
    if last is None or row.ended_at is None or last.act == "rerun":
        return False
    return last.generation == row.generation


def _answered(row: StepRow) -> int:
    """The last try that has ended. Raises Refusal when none has."""
    ended = [it.number for it in row.attempt_rows or () if it.ended_at is not None]
    if not ended:
        raise Refusal(f"No try of {row.name} has ended yet: there is no answer. See --payload.")
    return ended[-1]


def _answer(client: Client, row: StepRow, number: int, *, whole: bool) -> BodyPart:
    """What a try was answered. Raises Refusal for one that was not."""
    from engine.client import Refused

    tried = next((it for it in row.attempt_rows or () if it.number == number), None)
    if tried is None:
        raise Refusal(f"{row.name} has no try {number}: there were {row.attempts}.")
    if tried.ended_at is None:
        raise Refusal(f"Try {number} of {row.name} is under way: there is no answer yet.")
    try:
        return client.operate.answer(row.id, number, whole=whole)
    except Refused as refused:
        if refused.problem != "not-found":
            raise
        why = "" if tried.http_status is not None or not tried.error else f": {tried.error}"
        raise Refusal(f"No answer to try {number} of {row.name} is kept{why}") from refused


def kind_and_size(part: BodyPart) -> str:
    """What a body is beside its bytes: type, size, and whether it is whole."""
    kind = safe(part.content_type) or "no content type"
    if part.redacted:
        kind += ", masked in part as its client hides it (an admin has --whole)"
    if len(part.data) < part.full_bytes:
        return (
            f"{kind}, the first {len(part.data):,} of {part.full_bytes:,} bytes: more is not kept"
        )
    return f"{kind}, {part.full_bytes:,} bytes"


def shown(data: bytes) -> str:
    """Bytes as text for a terminal: line ends and tabs are obeyed, nothing else that is no text."""
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    lines = ["\t".join(map(safe, line.split("\t"))) for line in text.split("\n")]
    safe_text = "\n".join(lines).removesuffix("\n")
    return safe_text if unicode_terminal() else ascii_only(safe_text)
