"""What a person does in the place of a step's endpoint, or of who posted the run: says what came of
a step, does without it, or has the run called with another payload.

The document is written in `$EDITOR`, the reason at the foot, for the record; then the engine is
asked what would follow, and that is shown with the old and the new side by side. Only then it is
done: once, and only if the step is as it was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec
from anyio import to_thread

from engine.client import Action, AtomicError
from engine.wire import ActionAnswer
from tui.act.change.ask import Asking
from tui.act.change.doing import Doing
from tui.act.change.edit import NotEdited, edited
from tui.act.change.targets import Target, after_text
from tui.act.outside import Tell
from tui.act.stage import NoTerminal, Stage, Terminal, TypedLine
from tui.boards.cells import Cell
from tui.boards.run.beside import beside
from tui.boards.run.bodies import read
from tui.boards.run.json_text import indented
from tui.data.model import Step
from tui.data.reach import why_no_bodies
from tui.text.redact import Redactor
from tui.text.sanitize import clean

REASON_CHARACTERS_MAX = 500
LINES_BESIDE_MAX = 10
NAMES_SHOWN = 6
QUESTION_CELLS = 72
TITLES = {
    "set-result": "Set the result?",
    "skip": "Do without this step?",
    "other-payload": "Run again with another payload?",
}


class Document(NamedTuple):
    """What was given, and what it takes the place of."""

    old: str
    new: str
    given: dict[str, Any]
    """As the action takes it."""


NO_DOCUMENT = Document("", "", {})


class Repairing:
    """See the head of this file."""

    def __init__(self, stage: Stage, terminal: Terminal, doing: Doing, asking: Asking) -> None:
        self._stage, self._terminal = stage, terminal
        self._doing, self._asking = doing, asking
        self._redactor = Redactor(stage.options.redact)

    def begin(self, command_id: str, target: Target) -> None:
        """Have the document written, if it takes one, and ask for the reason."""
        tree = self._stage.store.trees.get(target.run_id)
        step = None if tree is None else tree.steps.get(target.step_id or target.run_id)
        if step is None:
            return  # its run has just gone
        target = target._replace(step_id=step.id, rev=step.rev)
        if command_id == "skip":
            self._ask_why(command_id, target, NO_DOCUMENT)
        elif why := why_no_bodies(self._stage.store.status):
            self._stage.tell(why, "alarm")
        else:
            work = self._written(command_id, target, step)
            self._stage.start(work, "outside", exclusive=True)

    async def _written(self, command_id: str, target: Target, step: Step) -> None:
        tell: Tell = self._stage.tell
        try:
            make = self._result if command_id == "set-result" else self._payload
            document = await make(target, step)
        except NoTerminal:
            tell(f"{command_id}: $EDITOR needs a terminal, and this is a browser", "alarm")
        except OSError as error:
            tell(f"{command_id}: $EDITOR: {error.strerror or error}", "alarm")
        except (NotEdited, AtomicError, ValueError) as error:
            tell(f"{command_id}: {error}", "alarm")
        else:
            self._ask_why(command_id, target, document)

    async def _result(self, target: Target, step: Step) -> Document:
        """Written from nothing: what a failed step answered is no result."""
        about = (
            f"The result of {target.name}: what its endpoint would have answered, as JSON.",
            "It ends with that, whatever is in flight. An empty document does nothing.",
        )
        new = edited(self._terminal, about, "")
        old, answered = "", step.last_answered
        if answered is not None and (client := self._stage.client) is not None:
            old = await self._text(await read(client, step.id, answered))
        return Document(old, await self._shown(new), {"result": msgspec.Raw(new.encode())})

    async def _payload(self, target: Target, step: Step) -> Document:
        """Changed from what the run was posted with. In the file nothing is replaced: what is in
        it is what the run is called with."""
        client = self._stage.client
        assert client is not None
        part = await read(client, step.id, None)
        if part.redacted:
            told = "its client hides a part of the payload, which would be lost"
            raise NotEdited(f"{told}: atomic rerun {target.run_id} --payload takes a whole one")
        if len(part.data) < part.full_bytes or "json" not in part.content_type.lower():
            raise NotEdited(f"its payload is {part.content_type or 'of no type'}, not JSON")
        about = (
            f"The payload of {target.name}, as JSON: the whole run runs again, called with it.",
            "An empty document, or an unchanged one, does nothing.",
        )
        text = await to_thread.run_sync(indented, part.data.decode())
        new = edited(self._terminal, about, f"{text}\n")
        given = {"payload": msgspec.Raw(new.encode())}
        return Document(await self._text(part), await self._shown(new), given)

    async def _text(self, part: Any) -> str:
        """A body as it is shown, without its secrets."""
        return await self._shown(part.data.decode(errors="replace"))

    async def _shown(self, text: str) -> str:
        def work() -> str:
            data, _ = self._redactor.body(text.encode(errors="replace"), "application/json")
            return indented(data.decode(errors="replace"))

        return await to_thread.run_sync(work)

    def _ask_why(self, command_id: str, target: Target, document: Document) -> None:
        self._stage.ask(
            TypedLine("reason"), partial(self._with_reason, command_id, target, document)
        )

    def _with_reason(self, command_id: str, target: Target, document: Document, text: str) -> None:
        reason = text.strip()
        if not reason or len(reason) > REASON_CHARACTERS_MAX:
            told = f"a reason is needed, of at most {REASON_CHARACTERS_MAX} characters"
            self._stage.tell(f"{command_id}: nothing was done, {told}", "alarm")
            return
        work: Callable[..., Any] = partial(self._plan, command_id, target, document, reason)
        self._asking.begin(command_id, (command_id, target.run_id, target.step_id), work)

    async def _plan(self, command_id: str, target: Target, document: Document, reason: str) -> None:
        """Ask the engine what would follow, and then whether it is to be done."""
        client = self._stage.client
        assert client is not None
        action = Action.RERUN if command_id == "other-payload" else Action(command_id)
        given = {**document.given, "reason": reason}
        plan = clean(
            await client.operate.act(
                target.run_id, action, step=target.step_id, if_rev=target.rev, dry_run=True, **given
            )
        )
        lines = _lines(target, document, reason, plan)
        key = f"tui-{self._stage.store.clock.wall():.6f}"
        then = partial(self._doing.act_and_tell, action, target, {**given, "key": key})
        self._asking.ask(TITLES[command_id], lines, then)


def _lines(target: Target, document: Document, reason: str, plan: ActionAnswer) -> list[Cell]:
    """What would be done, and what follows."""
    lines: list[Cell] = [(target.name, "strong"), (("why    ", "dim"), (clean(reason), "plain"))]
    if document.given:
        lines += beside(document.old, document.new, QUESTION_CELLS, LINES_BESIDE_MAX)
    else:
        lines.append(("It ends with 204 and no answer, marked as skipped.", "plain"))
    if plan.action == Action.RERUN:
        lines.append((f"{len(plan.changed):,} steps run again, called by the workflow.", "plain"))
    else:
        others = [step.step_name for step in plan.changed_steps if step.step_id != target.step_id]
        more = f" and {len(others) - NAMES_SHOWN:,} more" if len(others) > NAMES_SHOWN else ""
        if others:
            lines.append((f"goes on: {', '.join(others[:NAMES_SHOWN])}{more}", "plain"))
    if after := after_text(plan):
        lines.append((f"recorded since the failure, not done again: {after}", "alarm"))
    return lines
