"""Runs what the documentation shows: fenced `console` blocks, commands after `$ `, then answers.

`python -m tests.walkthrough PAGE` prints the page with the answers as they are now. Commands that
serve (`atomic serve`, the examples) run until the page ends; a page without them gets both.
Addresses are those of the documentation on paper and free ones in fact. An answer `…` stands for
anything: for the rest of its line, or as a line of its own for any number of lines.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).parents[1]
ENGINE, APP = "127.0.0.1:8420", "127.0.0.1:9000"
SERVE, SERVE_APP = "atomic serve", "python docs/examples/first_app.py"
COMMAND_TIMEOUT_S = 60
PATIENCE_S = 30.0
LOOK_LATER = re.compile(r"sleep \d+; (atomic (?:(?:show|runs) .*|holds|status))")
"""What a reader looks at after a while. Nobody waits that long: it is looked at until it is so."""

VARYING = (
    (r"\b01[0-9A-HJKMNP-TV-Z]{24}(-[0-9a-f]{20})?(-r\d+)?", "ID"),
    (r"(\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\b\d+(\.\d+)? (s|ms)\b", "DURATION"),
    (r'("delayMs": ?)\d+', r"\1N"),
    (r"\b[0-9a-f]{64}\b", "SHA-256"),
    (r"\b[0-9a-f]{12}\b", "INSTANCE"),
    (r"\b[0-9a-f]{8}-\d+\b", "SEQUENCE"),
    (r"\bsqlite \d+(\.\d+)+", "sqlite"),
    (r"[├└]─|\|-|`-", "-"),
    (r"[│|] ", "  "),
)


class Block(NamedTuple):
    """A fenced block: its info string, its text, and the line it begins at."""

    language: str
    text: str
    line: int
    source: str | None
    """The file that the comment before it names: `<!-- from FILE -->`."""


class Shown(NamedTuple):
    """A command and the answer that the page shows."""

    command: str
    answer: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text."""
    found = re.finditer(
        r"^(?:<!-- from (\S+) -->\n)?(?P<indent> *)```(\w*)\n(.*?)^(?P=indent)```$",
        text,
        re.MULTILINE | re.DOTALL,
    )
    for match in found:
        line = text.count("\n", 0, match.start(3)) + 1
        indent = match["indent"]
        body = "".join(it.removeprefix(indent) for it in match[4].splitlines(keepends=True))
        yield Block(match[3], body, line, match[1])


def shown(text: str) -> Iterator[Shown]:
    """The commands of a page's console blocks; a command goes on while a quote is open."""
    for block in blocks(text):
        if block.language != "console":
            continue
        lines = block.text.splitlines(keepends=True)
        assert lines[0].startswith("$ "), f"line {block.line}: begin with a command"
        at = 0
        while at < len(lines):
            begin, at = at, at + 1
            while _unfinished("".join(lines[begin:at])):
                at += 1
            command = "".join(lines[begin:at]).removeprefix("$ ").rstrip("\n")
            answer = "".join(takewhile(lambda line: not line.startswith("$ "), lines[at:]))
            yield Shown(command, answer, block.line + 1 + begin)
            at += answer.count("\n")


def _unfinished(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return True
    return command.endswith("\\\n")


class Shell:
    """The terminals of somebody who follows a page, in a directory of their own."""

    def __init__(
        self, stack: ExitStack, directory: Path, *, curl: bool = True, at: Path | None = None
    ) -> None:
        """`at`: where commands are run, if it is not where the engine has its file."""
        self._stack = stack
        self._directory, self._at = directory, at or directory
        self._addresses: dict[str, str] = {}
        commands = directory / "commands"
        commands.mkdir()
        _script(commands / "atomic", f'exec {sys.executable} -m engine.cli "$@"')
        _script(commands / "python", f'exec {sys.executable} "$@"')
        _script(commands / "gunicorn", f'exec {sys.executable} -m gunicorn "$@"')
        if not curl:
            stand_in = ROOT / "tests" / "curl_stand_in.py"
            _script(commands / "curl", f'exec {sys.executable} {stand_in} "$@"')
        (directory / "docs").symlink_to(ROOT / "docs")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("ATOMIC_", "APP_"))}
        self.environ = clean | {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "TERM": "xterm",
            "ATOMIC_PORT": "0",
            "APP_PORT": "0",
            "ATOMIC_LOG_FORMAT": "json",
        }

    def stands_for(self, documented: str, real: str, environ: dict[str, str]) -> None:
        """An address of the page and the one it is in fact, and variables that say so."""
        self._addresses[documented] = real
        self.environ |= environ

    def serve(self, command: str) -> None:
        """Start what serves, and wait until it does."""
        errors = subprocess.STDOUT if command.startswith(SERVE) else None
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self._directory,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        self._stack.callback(_stop, process, process.stdout)
        if command.startswith(SERVE):
            url = _url_of_engine(process.stdout)
            self._addresses[ENGINE] = url.removeprefix("http://")
            self.environ["ATOMIC_URL"] = url
        else:
            self._addresses[APP] = process.stdout.readline().split("http://")[1].strip()

    def real(self, text: str) -> str:
        """The text with the addresses that are served at."""
        for documented, real in self._addresses.items():
            text = text.replace(documented, real)
        return text

    def run(self, command: str) -> str:
        """What the command prints, standard output and errors together."""
        done = subprocess.run(
            ["sh", "-c", self.real(command)],
            cwd=self._at,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        answer = done.stdout.replace("\r\n", "\n")
        for documented, real in self._addresses.items():
            answer = answer.replace(real, documented)
        return answer if answer.endswith("\n") or not answer else answer + "\n"


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o700)


def _stop(process: subprocess.Popen[str], output: IO[str]) -> None:
    process.terminate()
    with output:
        output.read()
    process.wait(COMMAND_TIMEOUT_S)


def _url_of_engine(log: IO[str]) -> str:
    for line in log:
        record = json.loads(line)
        if record["event"] == "listening":
            return str(record["url"])
    raise AssertionError("the engine has not started")


def serves(command: str) -> bool:
    """Whether it is one of the commands that run on."""
    return command.startswith((SERVE, "python docs/examples/"))


def follow(text: str, directory: Path, *, curl: bool = True) -> Iterator[tuple[Shown, str]]:
    """Do what a page says: each command with the answer it really gets."""
    page = list(shown(text))
    with ExitStack() as stack:
        shell = Shell(stack, directory, curl=curl)
        if not any(serves(it.command) for it in page):
            shell.serve(SERVE)
            shell.serve(SERVE_APP)
        for it in page:
            if serves(it.command):
                shell.serve(it.command)
            elif later := LOOK_LATER.fullmatch(it.command):
                yield it, _look_until(it.answer, partial(shell.run, later[1]))
            else:
                yield it, shell.run(it.command)


def _look_until(documented: str, look: Callable[[], str]) -> str:
    """What one sees when it is as the page says; else what one saw last, after PATIENCE_S."""
    until = time.monotonic() + PATIENCE_S
    while not agree(documented, seen := look()) and time.monotonic() < until:
        pass  # each look is a process of its own, which takes a moment
    return seen


def normalised(answer: str) -> str:
    """The answer without what is another each time."""
    for pattern, name in VARYING:
        answer = re.sub(pattern, name, answer)
    return re.sub(r" +$", "", answer, flags=re.MULTILINE)


def agree(documented: str, real: str) -> bool:
    """Whether the page tells the truth. The order of a tree's branches is nobody's promise, nor
    that of the steps which a dry run names: they may have been posted side by side."""
    if "─ " in documented or "would change" in documented:
        return sorted(normalised(documented).split("\n")) == sorted(normalised(real).split("\n"))
    pattern = re.escape(normalised(documented))
    pattern = re.sub(r"(?m)^…\n", lambda _: r"(?:.*\n)*?", pattern.replace("\\\n", "\n"))
    return re.fullmatch(pattern.replace("…", ".*"), normalised(real)) is not None


def main() -> None:
    """Print a page with its answers as they are now."""
    page = Path(sys.argv[1])
    text = page.read_text()
    with tempfile.TemporaryDirectory() as directory:
        for it, answer in follow(text, Path(directory), curl=shutil.which("curl") is not None):
            if it.answer == "…\n" or not agree(it.answer, answer):
                before = f"$ {it.command}\n"
                text = text.replace(before + it.answer, before + answer, 1)
    print(text, end="")


if __name__ == "__main__":
    main()
