"""Bodies in the operator's own programs: `$PAGER` to read, `$EDITOR` to search and keep.

The program gets a file that only its owner reads, and that is gone when it ends. It is called as a
list of words, never through a shell: nothing of a run becomes part of a command. A pager is given
safe text, as what it does with control characters depends on its settings; an editor the bytes.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from engine.client import AtomicError, BodyPart
from tui.model import Step
from tui.sanitize import safe

if TYPE_CHECKING:
    from tui.app import Dashboard

Run = Callable[[Sequence[str]], None]


def call(words: Sequence[str]) -> None:
    """Run a program on this terminal, and wait for it. Raises OSError if there is none such."""
    subprocess.run(words, check=False)


def words_of(variable: str, usual: str) -> list[str]:
    """The program that a variable of the environment names, with its options.

    Raises ValueError for one whose quotes are not closed.
    """
    return shlex.split(os.environ.get(variable) or "") or [usual]


@contextmanager
def private_file(data: bytes) -> Iterator[Path]:
    """A file with this in it for the length of a block, its owner's alone (0600)."""
    handle, name = tempfile.mkstemp(prefix="atomic-", suffix=".txt")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield Path(name)
    finally:
        os.unlink(name)


def readable(part: BodyPart) -> bytes:
    """A body with everything that a terminal would obey replaced by its picture."""
    text = part.data.decode(errors="replace")
    return "\n".join(safe_line(line) for line in text.split("\n")).encode()


def safe_line(line: str) -> str:
    """A whole line made safe: `safe` cuts what is long, and here nothing is left out."""
    return "".join(safe(line[at : at + 1_000]) for at in range(0, len(line), 1_000))


class Outside:
    """The commands that leave the dashboard for another program."""

    def __init__(self, app: Dashboard, run: Run = call) -> None:
        self._app, self._run = app, run

    def do_pager(self) -> None:
        self._show("PAGER", "less", readable)

    def do_editor(self) -> None:
        self._show("EDITOR", "vi", lambda part: part.data)

    def _show(self, variable: str, usual: str, content: Callable[[BodyPart], bytes]) -> None:
        step = self._app.reading.step()
        if step is None or self._app.client is None:
            self._app.flash("bodies are not in a recording", "alarm")
            return
        self._app.run_worker(self._fetched(step, variable, usual, content), group="body")

    async def _fetched(
        self, step: Step, variable: str, usual: str, content: Callable[[BodyPart], bytes]
    ) -> None:
        """The answer to the last attempt that ended, or else the payload."""
        client = self._app.client
        assert client is not None
        last = step.last_answered
        try:
            words = words_of(variable, usual)
            asked = client.payload(step.id) if last is None else client.answer(step.id, last)
            part = await asked
        except (AtomicError, ValueError) as error:
            self._app.flash(str(error), "alarm")
            return
        with private_file(content(part)) as path:
            try:
                with self._app.suspend():
                    self._run([*words, str(path)])
            except SuspendNotSupported:
                self._app.flash(
                    f"{words[0]} needs a terminal: in a browser p and b show it", "alarm"
                )
            except OSError as error:
                self._app.flash(f"{words[0]}: {error.strerror or error}", "alarm")
        self._app.refresh()
