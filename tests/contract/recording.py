"""The recording: every scene as it was played, and what the command says of itself, in JSON that a
person can read.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import structlog
from click.testing import CliRunner

from engine.cli.main import main
from tests.contract.player import record
from tests.contract.scenes import SCENES

FILE = Path(__file__).with_name("recording.json")
LINE_MAX = 100
COMMANDS = "the commands"


def play(name: str) -> Any:
    """What is recorded under this name, as it is now."""
    return command_helps() if name == COMMANDS else record(SCENES[name])


def play_all() -> dict[str, Any]:
    """The whole recording, as it is now."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    return {name: play(name) for name in (*SCENES, COMMANDS)}


def command_helps() -> dict[str, list[str]]:
    """What `--help` says of each command."""
    found = {}
    for words in _commands(main, ("atomic",)):
        asked = [*words[1:], "--help"]
        said = CliRunner().invoke(main, asked, prog_name="atomic", terminal_width=80)
        found[" ".join(words)] = said.stdout.splitlines()
    return found


def _commands(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            if (below := command.get_command(context, name)) is not None:
                yield from _commands(below, (*words, name))


def text_of(value: Any, indent: int = 0) -> str:
    """JSON with what fits on one line on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= LINE_MAX or not value or not isinstance(value, dict | list):
        return line
    inner = " " * (indent + 1)
    if isinstance(value, dict):
        lines = [f"{json.dumps(name)}: {text_of(it, indent + 1)}" for name, it in value.items()]
    else:
        lines = [text_of(it, indent + 1) for it in value]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return begin + f"\n{inner}" + f",\n{inner}".join(lines) + f"\n{' ' * indent}{end}"


def difference(recorded: Any, played: Any) -> str:
    """What differs, line by line; empty where nothing does."""
    before, after = (text_of(it).splitlines() for it in (recorded, played))
    return "\n".join(difflib.unified_diff(before, after, "recorded", "played", lineterm="", n=8))


def read() -> dict[str, Any]:
    """The recording."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def write(played: dict[str, Any]) -> None:
    """Put another one in its place."""
    FILE.write_text(text_of(played) + "\n")
