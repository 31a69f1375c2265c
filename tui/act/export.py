"""`:export html`: the run as one file that needs nothing else, as the engine makes it."""

from __future__ import annotations

import re
from functools import partial
from itertools import count
from pathlib import Path

from anyio import to_thread

from engine.client import AtomicError, ProblemError
from engine.wire import Problem
from tui.act.stage import Stage, Terminal, telling
from tui.text.sanitize import safe

FORM = "html"
NAME_CHARACTERS_MAX = 100
NO_FILES = "this engine makes no file of a run: it is older, or its settings say `ui = false`"


def export(stage: Stage, terminal: Terminal, form: str) -> None:
    """Write the open run, or the one under the cursor, into the directory that one is in."""
    run_id = stage.looking.open_run_id or stage.selection().cursor_id
    if form != FORM:
        stage.tell(f"type `export {FORM}`: there is no other form", "alarm")
    elif run_id is None:
        stage.tell("no run is under the cursor", "alarm")
    elif stage.client is None:
        stage.tell("the engine makes the file, and none is connected", "alarm")
    elif terminal.is_web:
        told = "a dashboard in a browser writes no files: a run's page offers it as one file"
        stage.tell(told, "alarm")
    else:
        stage.start(telling(stage, partial(_export, stage, run_id)), "export", exclusive=True)


async def _export(stage: Stage, run_id: str) -> None:
    client = stage.client
    assert client is not None  # else it is told
    try:
        page = await client.operate.run_file(run_id)
    except ProblemError as error:
        if error.problem != Problem.NOT_FOUND:
            raise
        await client.operate.run(run_id)  # says so if there is no such run
        raise AtomicError(NO_FILES) from error
    try:
        path = await to_thread.run_sync(write_new, Path.cwd(), run_id, page)
    except OSError as error:
        raise AtomicError(f"the file was not written: {error.strerror or error}") from error
    stage.tell(f"written: {path.name} in {safe(str(path.parent))}")


def write_new(directory: Path, name: str, page: bytes) -> Path:
    """Write a page under the first name that is free (`NAME.html`, `NAME-2.html`); returns where.
    What could not be written whole is taken away. Raises OSError. The name is the engine's: it is
    no path."""
    name = re.sub(r"[^A-Za-z0-9-]", "_", name)[:NAME_CHARACTERS_MAX]
    for number in count(1):
        path = directory / f"{name}{f'-{number}' if number > 1 else ''}.{FORM}"
        try:
            file = path.open("xb")
        except FileExistsError:
            continue
        try:
            with file:
                file.write(page)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path
    raise AssertionError("there is always a free name")
