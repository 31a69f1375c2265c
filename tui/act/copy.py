"""Copying what is under the cursor: the original, and in words that say what became of it.

The store holds texts that are safe to show; one with a character replaced is not what the engine
has. So the original is asked for where the text may be another; if it cannot be had that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple

from anyio import to_thread

from engine.client import AtomicError
from engine.client.errors import without_user
from engine.wire import StepRow
from tui.act.open import step_at
from tui.act.outside import Tell
from tui.act.stage import Choice, Question, Stage, Terminal
from tui.boards.run.bodies import read, redacted_text
from tui.data.model import Step, step_of
from tui.data.reach import why_no_bodies
from tui.text import clipboard, curl, fmt, link
from tui.text.link import Place
from tui.text.redact import Redactor
from tui.text.sanitize import TEXT_CHARACTERS_MAX

TOLD = {
    "payload": "what it was posted with",
    "answer": "what its last attempt was answered",
    "curl": "its request as a command",
}
LINK = "link"


class Copyable(NamedTuple):
    """What was under the cursor."""

    step_id: str
    known: dict[str, str]
    """By name, as it is shown; empty where the engine has to be asked."""
    step: Step | None = None
    place: Place | None = None
    """Where a link leads; None: to nothing."""


class Copied(NamedTuple):
    """What is to be copied, and what there is to say of it."""

    text: str
    note: str = ""


class NotCopied(Exception):
    """There is nothing that could be; the message says why."""


def is_original(text: str) -> bool:
    """Whether a safe text surely is what it was made from: no sign of ours is ASCII but a blank."""
    return text.isascii() and " " not in text and 0 < len(text) < TEXT_CHARACTERS_MAX


class Copying:
    """See the head of this file."""

    def __init__(self, stage: Stage, terminal: Terminal) -> None:
        self._stage, self._terminal = stage, terminal
        self._redactor = Redactor(stage.options.redact)
        self.find_tool: Callable[[], clipboard.Tool | None] = clipboard.tool

    # -- what there is to copy -----------------------------------------------------------------

    def ask(self) -> None:
        """Ask what to copy of the row under the cursor."""
        stage = self._stage
        copyable = self._under_cursor()
        if copyable is None:
            stage.tell("nothing to copy here", "alarm")
            return
        has_more = stage.client is not None and stage.looking.view in ("run", "runs", "retries")
        more = TOLD if has_more else {}
        why = why_no_bodies(stage.store.status)
        shown = [Choice(name[0], name, name, told) for name, told in copyable.known.items()]
        shown += [Choice(name[0], name, name, why or told, why) for name, told in more.items()]
        if copyable.place is not None:
            shown.append(Choice(LINK[0], LINK, LINK, "the address of its page, and a command"))

        def chosen(name: str) -> None:
            if name:
                self._begin(name, self._value(name, copyable), stage.tell)

        stage.ask(Question("Copy", choices=shown), chosen)

    def copy_body(self, step: Step, attempt: int | None, tell: Tell) -> None:
        """Copy a step's payload (no attempt) or an answer."""
        name = "payload" if attempt is None else "answer"
        self._begin(name, self._body(step.id, attempt), tell)

    def _under_cursor(self) -> Copyable | None:
        stage = self._stage
        row_id = stage.selection().cursor_id
        if row_id is None:
            return None
        if stage.looking.view == "run":
            step = step_at(stage)
            if step is None:
                return None
            known = {"id": step.id, "key": step.key, "url": step.url}
            return Copyable(step.id, known, step, self._place(step.run_id, step.id))
        known, place = {"id": row_id}, None
        if stage.looking.view == "runs":
            run = stage.store.runs.get(row_id)
            known |= {} if run is None else {"key": run.key}
            known |= {} if stage.looking.is_recording else {"url": ""}  # of the run's own step
            place = self._place(row_id, row_id)
        elif (retry := stage.store.retries.get(row_id)) and stage.looking.view == "retries":
            place = self._place(retry.run_id, row_id)
        return Copyable(row_id, known, place=place)

    def _place(self, run_id: str, step_id: str) -> Place | None:
        """A recording is nowhere that a link could lead to."""
        return None if self._stage.looking.is_recording else Place.at(run_id, step_id)

    # -- getting it ----------------------------------------------------------------------------

    def _begin(self, name: str, value: Coroutine[Any, Any, Copied], tell: Tell) -> None:
        self._stage.start(self._copy(name, value, tell), "copy")

    async def _value(self, name: str, copyable: Copyable) -> Copied:
        match name:
            case "payload":
                return await self._body(copyable.step_id, None)
            case "answer":
                step = copyable.step or step_of(await self._row(copyable))
                if step.last_answered is None:
                    raise NotCopied(step.why_no_answer)
                return await self._body(copyable.step_id, step.last_answered)
            case "curl":
                return await self._curl(await self._row(copyable))
            case "link":
                assert copyable.place is not None  # else it is not offered
                return self._link(copyable.place)
            case _:
                return await self._text(name, copyable)

    async def _text(self, name: str, copyable: Copyable) -> Copied:
        """An id, key or URL: the engine's, where what is known may be another."""
        known = copyable.known[name]
        if is_original(known):
            return Copied(known)
        try:
            row = await self._row(copyable)
        except (AtomicError, ValueError) as error:
            if not known:
                raise
            return Copied(known, f", as it is shown, not the original: {error}")
        found = {"id": row.id, "key": row.idempotency_key, "url": row.url}[name]
        return Copied(found, "" if found.isprintable() else ", with characters that do not print")

    async def _row(self, copyable: Copyable) -> StepRow:
        client = self._stage.client
        if client is None:
            raise AtomicError("a recording has what was shown, no more")
        return await client.operate.step(copyable.step_id)

    async def _body(self, step_id: str, attempt: int | None) -> Copied:
        client = self._stage.client
        assert client is not None  # else it is not offered
        part = await read(client, step_id, attempt)
        work = partial(self._redactor.body, part.data, part.content_type)
        data, redacted = await to_thread.run_sync(work)
        note = redacted_text(redacted)
        if part.redacted:
            note += " · masked as its client hides it"
        if part.kept_bytes < part.full_bytes:
            note += f" · the engine kept the first {fmt.size(part.kept_bytes)}"
        try:
            return Copied(data.decode(), note)
        except UnicodeDecodeError:
            raise NotCopied("it is no text: e opens it in $EDITOR") from None

    def _link(self, place: Place) -> Copied:
        """The address, where the engine knows it, and the command, each on its line. The command
        comes last: what is behind one goes, where a shell is given both, to what it starts."""
        stage = self._stage
        opens = link.command(place, without_user(stage.options.url))
        page = link.address(place, stage.store.status.pages_url or "")
        if page is None:
            return Copied(opens, " · the command alone: no public_url is set")
        return Copied(f"{page}\n{opens}")

    async def _curl(self, row: StepRow) -> Copied:
        stage = self._stage
        assert stage.client is not None  # else it is not offered
        part = await read(stage.client, row.id, None, 0, curl.INLINE_BYTES_MAX + 1)
        if part.redacted:  # nobody wants an endpoint to be sent ***
            raise NotCopied("its client hides a part of the payload: atomic body --payload --whole")
        _, secrets = self._redactor.body(part.data, part.content_type)
        note = ""
        payload: bytes | None = part.data
        if secrets or not curl.inline(part.data):
            payload, note = None, " · it asks the engine for the payload"
        if row.generation > 1:
            note += " · with the key of the first generation"
        return Copied(curl.command(row, stage.options.url, payload, stage.options.token_file), note)

    # -- giving it away ------------------------------------------------------------------------

    async def _copy(self, name: str, value: Coroutine[Any, Any, Copied], tell: Tell) -> None:
        try:
            text, note = await value
        except (AtomicError, NotCopied, ValueError) as error:
            tell(f"{name} was not copied: {error}", "alarm")
            return
        tool = self.find_tool()
        if tool is not None and await to_thread.run_sync(clipboard.give, tool, text):
            tell(f"{name} copied{note}", "strong")
        elif clipboard.terminal_takes(text):
            self._terminal.copy_to_clipboard(text)
            where = "browser, if it allows" if self._terminal.is_web else "terminal (OSC 52)"
            tell(f"{name} sent to the {where}{note}", "strong")
        else:
            size = fmt.size(len(text.encode()))
            tell(f"{name} was not copied: a terminal takes no {size} (OSC 52), e opens it", "alarm")
