"""Bodies in the operator's own programs: `$PAGER` to read, `$EDITOR` to search and keep.

The program gets a file that only its owner reads, and that is gone when it ends. It is called as a
list of words, never through a shell: nothing of a run becomes part of a command. Secrets are
replaced in both; a pager is given safe text besides, as what it does with control characters
depends on its settings, and an editor the bytes.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from engine.client import AtomicError
from tui.act.open import step_at
from tui.act.stage import NoTerminal, Stage, Terminal
from tui.boards.run.bodies import read, readable
from tui.data.model import Step
from tui.data.reach import why_no_bodies
from tui.text.redact import Redactor

if TYPE_CHECKING:
    from engine.client import AsyncClient, BodyPart

Tell = Callable[[str, str], None]
"""Tells the operator something: a text, and its style."""
USUAL = {"PAGER": "less", "EDITOR": "vi"}


def words_of(variable: str, usual: str) -> list[str]:
    """The program that a variable of the environment names, with its options.

    Raises ValueError for one whose quotes are not closed.
    """
    return shlex.split(os.environ.get(variable) or "") or [usual]


@contextmanager
def private_file(data: bytes, suffix: str = ".txt") -> Iterator[Path]:
    """A file with this in it for the length of a block, its owner's alone (0600)."""
    handle, name = tempfile.mkstemp(prefix="atomic-", suffix=suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield Path(name)
    finally:
        os.unlink(name)


def content(part: BodyPart, redactor: Redactor, variable: str) -> bytes:
    """What is in the file for the program of that variable."""
    data, _ = redactor.body(part.data, part.content_type)
    return readable(data.decode(errors="replace")).encode() if variable == "PAGER" else data


class Outside:
    """The commands that leave the dashboard for another program."""

    def __init__(self, stage: Stage, terminal: Terminal) -> None:
        self._stage, self._terminal = stage, terminal
        self._redactor = Redactor(stage.options.redact)

    def show_last(self, variable: str) -> None:
        """The answer to the last attempt that got one, or else the payload."""
        step = step_at(self._stage)
        if step is None:
            self._stage.tell("there is no step under the cursor", "alarm")
        else:
            self.show(step, step.last_answered, variable, self._stage.tell)

    def show(self, step: Step, attempt: int | None, variable: str, tell: Tell) -> None:
        """Open a step's payload (no attempt) or an answer in the program of that variable."""
        client = self._stage.client
        if client is None:
            tell("bodies are not in a recording", "alarm")
            return
        if why := why_no_bodies(self._stage.store.status):
            tell(why, "alarm")
            return
        work = self._fetched(client, step, attempt, variable, tell)
        self._stage.start(work, "outside", exclusive=True)

    async def _fetched(
        self, client: AsyncClient, step: Step, attempt: int | None, variable: str, tell: Tell
    ) -> None:
        try:
            words = words_of(variable, USUAL[variable])
            part = await read(client, step.id, attempt)
        except (AtomicError, ValueError) as error:
            tell(str(error), "alarm")
            return
        work = partial(content, part, self._redactor, variable)
        with private_file(await to_thread.run_sync(work)) as path:
            try:
                self._terminal.run_program([*words, str(path)])
            except NoTerminal:
                tell(f"{words[0]} needs a terminal: in a browser p and b show it", "alarm")
            except OSError as error:
                tell(f"{words[0]}: {error.strerror or error}", "alarm")
