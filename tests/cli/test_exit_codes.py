"""One table of exit codes, which every command follows: its refusals are driven here.

Who calls a command from a script decides by the code alone: whether to type otherwise (2), to try
again later (3), to look at what is there (4), or at what is damaged (6).
"""

from __future__ import annotations

import ast
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from engine.cli.main import COMMANDS
from engine.process.exits import (
    EXIT_CODES,
    EXIT_DAMAGED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_REFUSED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
)
from engine.wire import Problem
from tests.cli.asking import ASKS, commands
from tests.client.fake_engine import Answer, Atomic, FakeEngine, refusal
from tests.store.support import new_run, store_at

ROOT = Path(__file__).parents[2]


def refused(problem: Problem) -> Answer:
    """What an engine answers that will not."""
    return lambda _: refusal(problem, "Not so.")


def interrupted(request: httpx.Request) -> httpx.Response:
    """Somebody types Ctrl-C meanwhile."""
    raise KeyboardInterrupt


ANSWERS: dict[str, tuple[Answer, int]] = {
    "nobody listens": (httpx.ConnectError("refused"), EXIT_UNREACHABLE),
    "another program": (httpx.Response(200, text="<html>"), EXIT_UNREACHABLE),
    "a bug of the engine's": (refused(Problem.INTERNAL), EXIT_UNREACHABLE),
    "no room to write": (refused(Problem.STORE_UNAVAILABLE), EXIT_UNREACHABLE),
    "it drains": (refused(Problem.DRAINING), EXIT_UNREACHABLE),
    "too many a second": (refused(Problem.RATE_LIMITED), EXIT_UNREACHABLE),
    "not there": (refused(Problem.NOT_FOUND), EXIT_REFUSED),
    "not possible": (refused(Problem.NOT_POSSIBLE), EXIT_REFUSED),
    "not allowed": (refused(Problem.FORBIDDEN), EXIT_REFUSED),
    "no token": (refused(Problem.UNAUTHORIZED), EXIT_REFUSED),
    "wrong values": (refused(Problem.INVALID_REQUEST), EXIT_REFUSED),
    "the key is of other work": (refused(Problem.KEY_REUSED), EXIT_REFUSED),
    "Ctrl-C": (interrupted, EXIT_INTERRUPTED),
}
"""What an engine, or what is in its place, may say to any command."""


@pytest.mark.parametrize("says", ANSWERS)
@pytest.mark.parametrize("command", ASKS)
def test_every_command_ends_alike(
    command: str, says: str, atomic: Atomic, engine: FakeEngine
) -> None:
    """The same answer is the same code, whatever was asked; and one line says what it was."""
    told, code = ANSWERS[says]
    result = atomic(*command.split(), *ASKS[command], answers=[told] * 40)
    engine.answers.clear()
    assert (result.exit_code, code in EXIT_CODES) == (code, True), result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    if code != EXIT_INTERRUPTED:
        assert "atomic: " in result.stderr


@pytest.mark.parametrize("command", sorted(commands()))
def test_what_is_typed_wrong_is_said_before_anything_is_asked(
    command: str, atomic: Atomic, engine: FakeEngine
) -> None:
    """An option that there is not."""
    result = atomic(*command.split(), "--no-such-option")
    assert (result.exit_code, engine.requests) == (EXIT_USAGE, [])
    assert "No such option" in result.stderr


FILE = Path("FILE")
"""Stands for the file of the case."""
THERE = Path("THERE")
"""Stands for a file that is there."""
NEW = Path("NEW")
"""Stands for a name that is free."""
OF_FILES: dict[str, tuple[str | Path, ...]] = {
    "verify": (FILE,),
    "doctor": ("--db", FILE),
    "compact": (FILE,),
    "backup": (NEW, "--db", FILE),
    "restore": (FILE, "--to", NEW),
    "token add": ("ci", "--role", "read", "--db", FILE),
    "client add": ("shop", "--target", "http://app/", "--db", FILE),
}
"""Every command that reads a file of an engine."""


def typed(command: str, arguments: tuple[str | Path, ...], **places: Path) -> list[str]:
    """The command line of a case."""
    at = {FILE: "file", THERE: "there", NEW: "new"}
    return [*command.split(), *(str(places[at[it]]) if it in at else str(it) for it in arguments)]


async def _make(path: Path) -> None:
    async with store_at(path) as store:
        await store.write(new_run("a")[1]).wait()


@pytest.fixture(name="file")
def _file(path: Path) -> Path:
    """The file of an engine that has ended."""
    trio.run(_make, path)
    return path


def damaged(file: Path) -> None:
    """Its pages are not what they were."""
    kept = file.read_bytes()
    file.write_bytes(kept[:4_096] + b"\xff" * (len(kept) - 4_096))


def cut(file: Path) -> None:
    """The end is missing."""
    kept = file.read_bytes()
    file.write_bytes(kept[: len(kept) // 2])


def text(file: Path) -> None:
    """It is no database."""
    file.write_text("my notes\n" * 999)


def of_another(file: Path) -> None:
    """It is another program's database."""
    file.unlink()
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE notes (text)")


@pytest.mark.parametrize("spoil", [damaged, cut, text, of_another])
@pytest.mark.parametrize("command", OF_FILES)
def test_a_bad_file_is_told_by_every_command_that_reads_it(
    command: str, spoil: Any, atomic: Atomic, file: Path
) -> None:
    """The same code, whichever met it; what was to be made of it is not there."""
    spoil(file)
    new = file.with_name("new.db")
    result = atomic(*typed(command, OF_FILES[command], file=file, new=new))
    assert (result.exit_code, new.exists()) == (EXIT_DAMAGED, False), result.output


@pytest.mark.parametrize("command", OF_FILES)
def test_a_file_that_an_engine_has_open_is_refused(
    command: str, atomic: Atomic, file: Path
) -> None:
    """And one that is not there is a wrong command; a good one is done with."""
    new = file.with_name("new.db")
    arguments = typed(command, OF_FILES[command], file=file, new=new)

    async def beside_an_engine() -> None:
        async with store_at(file):
            result = await trio.to_thread.run_sync(lambda: atomic(*arguments))
            assert (result.exit_code, new.exists()) == (EXIT_REFUSED, False), result.output

    trio.run(beside_an_engine)
    assert atomic(*arguments).exit_code == EXIT_OK
    if " " not in command:  # what makes tokens makes the file as well
        none = typed(command, OF_FILES[command], file=file.with_name("none"), new=new)
        assert atomic(*none).exit_code == EXIT_USAGE


OVER: dict[str, tuple[str | Path, ...]] = {
    "backup": (THERE, "--db", FILE),
    "restore": (FILE, "--to", THERE),
    "token add": ("ci", "--role", "read", "--to", THERE),
    "token rotate": ("ci", "--to", THERE),
    "client add": ("shop", "--target", "http://app/", "--to", THERE),
    "client secret add": ("shop", "--to", THERE),
    "setup": (THERE / "in", "--client", "shop", "--target", "http://app/"),
    "demo": ("--once", "--data", THERE.parent),
    "tui": ("--record", THERE),
}
"""Every command that makes a file or a directory."""


@pytest.mark.parametrize("command", OVER)
def test_what_is_there_is_not_written_over(
    command: str, atomic: Atomic, file: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is right, and would be so elsewhere: it is refused, and nothing was asked."""
    there = file.with_name("notes")
    there.write_text("mine\n")
    monkeypatch.setattr("tui.command.on_terminal", lambda: True)
    monkeypatch.setattr("tui.command._check", lambda options, **_: None)
    at = {THERE / "in": there / "in", THERE.parent: there.parent}
    arguments = tuple(at.get(it, it) if isinstance(it, Path) else it for it in OVER[command])
    result = atomic(*typed(command, arguments, file=file, there=there))
    assert (result.exit_code, engine.requests) == (EXIT_REFUSED, []), result.output
    assert there.read_text() == "mine\n"


def test_codes_are_numbers_in_one_place_alone() -> None:
    """Whoever ends a process has its code from the table: no other file assigns one, or exits
    with a number."""
    files = [it for room in ("engine", "tui") for it in (ROOT / room).rglob("*.py")]
    assert len(COMMANDS) < len(files)
    for file in files:
        if file == ROOT / "engine/process/exits.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Assign):
                names = [ast.unparse(each) for each in node.targets]
                assert not any("EXIT_" in name for name in names), f"{file}: {names}"
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.exit", "ctx.exit"):
                given = [each for each in node.args if isinstance(each, ast.Constant)]
                assert not given, f"{file}:{node.lineno}"
