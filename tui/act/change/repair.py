"""What a person does in the place of a step's endpoint, or of who posted the run: says what came of
a step, does without it, or has the run called with another payload.

The document is written in `$EDITOR`, the reason at the foot, for the record; then the engine is
asked what would follow, and that is shown with the old and the new side by side. Only then it is
done: once, and only if the step is as it was seen. If it has changed, it is asked again, with what
came meanwhile; what was written stays until it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from anyio import to_thread

from engine.client import Action, AtomicError, Refused
from engine.wire import ActionAnswer, StepRow
from tui.act.change.ask import Asking
from tui.act.change.doing import Doing, Left
from tui.act.change.drafts import KEPT, Act, Drafts
from tui.act.change.edit import NotEdited, edited
from tui.act.change.targets import Target, after_text, moved_on, who_acted
from tui.act.outside import Tell
from tui.act.stage import NoTerminal, Stage, Terminal
from tui.boards.cells import NONE, Cell, why_text
from tui.boards.run.beside import beside
from tui.boards.run.bodies import read
from tui.boards.run.json_text import indented
from tui.data.model import GOES_ON, State, Step
from tui.data.reach import why_no_bodies
from tui.text.redact import Redactor
from tui.text.sanitize import clean, wrap

REASON_CHARACTERS_MAX = 500
LINES_BESIDE_MAX = 10
NAMES_SHOWN = 6
ASKED_MAX = 3
"""So often what would follow is asked for anew, while the step changes under it."""
LEFT_AS_IT_WAS = "As you left it before: nothing was done with it yet."
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


class Wanted(NamedTuple):
    """A repair, as it was written."""

    act: Act
    target: Target
    document: Document
    tries: int
    """Of the step, when the key was pressed."""
    reason: str = ""
    came: str = ""
    """What has become of the step since; empty: it is as it was then."""

    @property
    def action(self) -> Action:
        """What the engine is asked for."""
        command_id = self.act.command_id
        return Action.RERUN if command_id == "other-payload" else Action(command_id)

    @property
    def given(self) -> dict[str, Any]:
        """What it takes."""
        return {**self.document.given, "reason": self.reason}

    def after(self, row: StepRow, who: str) -> Wanted:
        """The same, of the step as it is now. `who` has just acted on it; empty: nobody."""
        now = self.target._replace(rev=row.rev, state=State.of(row.status))
        more, last = row.attempts - self.tries, why_text(row.http_status, row.error, row.excerpt)
        came = f"{more:,} more {'try' if more == 1 else 'tries'}, " * (more > 0)
        came += f"it is {row.status} now" + f": {last}" * (last != NONE[0])
        return self._replace(target=now, came=clean(came + f" ({who})" * bool(who)))


class Repairing:
    """See the head of this file."""

    def __init__(
        self, stage: Stage, terminal: Terminal, doing: Doing, asking: Asking, drafts: Drafts
    ) -> None:
        self._stage, self._terminal = stage, terminal
        self._doing, self._asking, self._drafts = doing, asking, drafts
        self._redactor = Redactor(stage.options.redact)

    def begin(self, command_id: str, target: Target) -> None:
        """Have the document written, if it takes one, and ask for the reason."""
        tree = self._stage.store.trees.get(target.run_id)
        step = None if tree is None else tree.steps.get(target.step_id or target.run_id)
        if step is None:
            return  # its run has just gone
        target = target._replace(step_id=step.id, rev=step.rev)
        act = Act(command_id, step.id)
        if command_id == "skip":
            self._ask_why(Wanted(act, target, NO_DOCUMENT, step.attempts))
        elif why := why_no_bodies(self._stage.store.status):
            self._stage.tell(why, "alarm")
        else:
            self._stage.start(self._written(act, target, step), "outside", exclusive=True)

    async def _written(self, act: Act, target: Target, step: Step) -> None:
        tell: Tell = self._stage.tell
        try:
            make = self._result if act.command_id == "set-result" else self._payload
            document = await make(act, target, step)
        except NoTerminal:
            tell(f"{act.command_id}: $EDITOR needs a terminal, and this is a browser", "alarm")
        except OSError as error:
            tell(f"{act.command_id}: $EDITOR: {error.strerror or error}", "alarm")
        except (NotEdited, AtomicError, ValueError) as error:
            tell(f"{act.command_id}: {error}", "alarm")
        else:
            self._ask_why(Wanted(act, target, document, step.attempts))

    async def _result(self, act: Act, target: Target, step: Step) -> Document:
        """Written from nothing: what a failed step answered is no result."""
        about = (
            f"The result of {target.name}: what its endpoint would have answered, as JSON.",
            "It ends with that, whatever is in flight. An empty document does nothing.",
        )
        new = self._edited(act, about, "")
        old, answered = "", step.last_answered
        if answered is not None and (client := self._stage.client) is not None:
            old = await self._text(await read(client, step.id, answered))
        return Document(old, await self._shown(new), {"result": msgspec.Raw(new.encode())})

    async def _payload(self, act: Act, target: Target, step: Step) -> Document:
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
        new = self._edited(act, about, f"{text}\n")
        given = {"payload": msgspec.Raw(new.encode())}
        return Document(await self._text(part), await self._shown(new), given)

    def _edited(self, act: Act, about: Sequence[str], text: str) -> str:
        """Written in the editor, from what was written there before if there is any. Raises as
        `edited` does."""
        draft = self._drafts.of(act, "document")
        told = (*about, LEFT_AS_IT_WAS) if draft is not None else about
        try:
            new = edited(self._terminal, told, text, draft)
        except NotEdited as error:
            self._drafts.keep(act, "document", error.text)
            raise
        self._drafts.keep(act, "document", new)
        return new

    async def _text(self, part: Any) -> str:
        """A body as it is shown, without its secrets."""
        return await self._shown(part.data.decode(errors="replace"))

    async def _shown(self, text: str) -> str:
        def work() -> str:
            data, _ = self._redactor.body(text.encode(errors="replace"), "application/json")
            return indented(data.decode(errors="replace"))

        return await to_thread.run_sync(work)

    def _ask_why(self, wanted: Wanted) -> None:
        self._drafts.line(wanted.act, "reason", partial(self._with_reason, wanted))

    def _with_reason(self, wanted: Wanted, text: str) -> None:
        reason = text.strip()
        if not reason or len(reason) > REASON_CHARACTERS_MAX:
            told = f"a reason is needed, of at most {REASON_CHARACTERS_MAX} characters"
            what = wanted.act.command_id
            self._stage.tell(f"{what}: nothing was done, {told} · {KEPT}", "alarm")
            return
        self._ask(wanted._replace(reason=reason))

    def _ask(self, wanted: Wanted) -> None:
        self._asking.begin(wanted.act.command_id, wanted.act, partial(self._plan, wanted))

    async def _plan(self, wanted: Wanted) -> None:
        """Ask the engine what would follow, and then whether it is to be done."""
        client = self._stage.client
        assert client is not None
        for _ in range(ASKED_MAX):
            target = wanted.target
            try:
                plan = await client.operate.act(
                    target.run_id, wanted.action,
                    step=target.step_id, if_rev=target.rev, dry_run=True, **wanted.given,
                )  # fmt: skip
                break
            except Refused as error:
                if (row := moved_on(error)) is None:
                    self._not_asked(wanted, f"{error}")
                    return
                wanted = wanted.after(row, who_acted(self._stage.store, target))
            except (AtomicError, ValueError) as error:
                self._not_asked(wanted, f"{error}")
                return
        else:
            self._not_asked(wanted, "it changes while it is asked about: P pauses it")
            return
        title, lines = TITLES[wanted.act.command_id], _lines(wanted, clean(plan))
        key = f"tui-{self._stage.store.clock.wall():.6f}"
        self._asking.ask(title, lines, partial(self._do, wanted, key))

    def _not_asked(self, wanted: Wanted, why: str) -> None:
        self._stage.tell(f"{wanted.act.command_id}: {why} · {KEPT}", "alarm")

    async def _do(self, wanted: Wanted, key: str) -> None:
        """What has changed since it was asked is asked about again."""
        given = {**wanted.given, "key": key}
        now = await self._doing.act_on(wanted.action, wanted.target, given)
        if isinstance(now, Target):
            self._drafts.done(wanted.act)
        elif now.step is not None:
            self._ask(wanted.after(now.step, who_acted(self._stage.store, wanted.target)))
            return
        elif now.why:
            now = Left(f"{now.why} · {KEPT}")
        self._doing.tell_of(wanted.action, wanted.target, now)


def _lines(wanted: Wanted, plan: ActionAnswer) -> list[Cell]:
    """What would be done, and what follows; before that what came while it was written."""
    target, document = wanted.target, wanted.document
    lines: list[Cell] = [(target.name, "strong")]
    if wanted.came:
        lines += [(line, "alarm") for line in wrap(f"meanwhile {wanted.came}", QUESTION_CELLS, 2)]
        if target.state in GOES_ON:
            lines.append(("If it goes on so: esc, P pauses it, the same key asks again.", "dim"))
    lines.append((("why    ", "dim"), (clean(wanted.reason), "plain")))
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
