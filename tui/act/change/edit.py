"""A JSON document in the operator's own `$EDITOR`, which comes back there until it is JSON.

What is said of it stands above it, in lines that begin with `#`, as no JSON does: they are left
out of what is taken. The file is as those of `outside.py`: its owner's alone, and gone afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from engine.wire import json_fault
from tui.act.outside import USUAL, private_file, words_of
from tui.act.stage import Terminal
from tui.text.sanitize import safe

TAKES_A_LINE = frozenset({"vi", "vim", "nvim", "nano", "emacs", "emacsclient", "micro", "kak"})
"""Editors that begin at line 3 when they are given `+3`."""
_AT = re.compile(r"not JSON at byte (\d+) \((.*)\)")
SIGN = "# "


class NotEdited(Exception):
    """There is no document; the message says why. `text`: what was written all the same."""

    def __init__(self, why: str, text: str = "") -> None:
        super().__init__(why)
        self.text = text


def edited(terminal: Terminal, about: Sequence[str], text: str, draft: str | None = None) -> str:
    """What became of a text in `$EDITOR`, once it is JSON. `about`: what is said above it.

    `draft`: what somebody has made of the text before. It is what they find, and may stay as it is.

    Raises NotEdited when nothing was changed or nothing is left, NoTerminal, OSError, ValueError
    (the variable cannot be read).
    """
    program = words_of("EDITOR", USUAL["EDITOR"])
    given, head, line = text if draft is None else draft, list(about), 0
    same = text
    while True:
        found = _edited_once(terminal, program, given, head, line)
        if not found.strip():
            raise NotEdited("the document is empty: nothing was done")
        if found.strip() == same.strip():
            if not line:
                raise NotEdited("nothing was changed: nothing was done")
            why = f"nothing was changed, and it is still not JSON: {head[-1]}: nothing was done"
            raise NotEdited(why, found)
        fault = fault_of(found)
        if fault is None:
            return found
        number, why = fault
        same, given, head = found, found, [*about, f"line {number}: {why}"]
        line = number + len(head)


def _edited_once(
    terminal: Terminal, program: Sequence[str], text: str, head: Sequence[str], line: int
) -> str:
    content = "".join(f"{SIGN}{each}\n" for each in head) + text
    at = [f"+{line}"] if line and Path(program[0]).name in TAKES_A_LINE else []
    with private_file(content.encode(errors="surrogateescape"), ".json") as path:
        terminal.run_program([*program, *at, str(path)])
        found = path.read_bytes().decode(errors="surrogateescape")
    lines = found.splitlines(keepends=True)
    while lines and lines[0].startswith("#"):
        del lines[0]
    return "".join(lines)


def fault_of(text: str) -> tuple[int, str] | None:
    """In which line, from 1, a document is no JSON, and why; None: it is JSON."""
    data = text.encode(errors="surrogateescape")
    fault = json_fault(data)
    if fault is None:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return data.count(b"\n", 0, error.start) + 1, "it is not UTF-8"
        return None
    found = _AT.fullmatch(fault)
    if found is None:
        return 1, safe(fault)
    at = min(int(found[1]), len(data.rstrip()))
    return data.count(b"\n", 0, at) + 1, safe(found[2])
