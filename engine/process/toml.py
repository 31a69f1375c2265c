"""TOML files of settings, and where in them something stands: every error names its line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from engine.core.errors import EngineError

NEAR_ENOUGH = 0.75
_WORD = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEY = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER_LINE = re.compile(rf"\s*(\[{{1,2}})\s*({_KEY})\s*\]")
_MEMBER_LINE = re.compile(rf"\s*({_KEY})\s*=")


class ConfigError(EngineError):
    """A setting that cannot be used. The text names the place, the setting and the reason."""


class TomlFile(Struct, frozen=True):
    """What a file says."""

    name: str
    """As people know it."""
    text: str
    members: dict[str, Any]

    def place(self, *keys: str) -> str:
        """Where a member stands, for people: file, line, and its name with that of its tables."""
        line = _line_of(self.text, keys)
        at = f"line {line}: " if line else ""
        return f"{self.name}: {at}`{'.'.join(keys)}`"


def parse_toml(name: str, text: str) -> TomlFile:
    """Read a text. Raises ConfigError."""
    try:
        return TomlFile(name, text, tomllib.loads(text))
    except ValueError as error:  # TOMLDecodeError is one; a number of 5,000 digits is none
        raise ConfigError(f"{name}: is not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: is not TOML: nested too deeply") from error


def resembling(name: str, known: Iterable[str]) -> str | None:
    """The name that was meant, if one is near enough."""
    near = difflib.get_close_matches(name, tuple(known), n=1, cutoff=NEAR_ENOUGH)
    return near[0] if near else None


def _line_of(text: str, keys: tuple[str, ...]) -> int:
    """The line, from 1, of these keys, or of as many of the first of them as stand together; 0:
    of none."""
    table: tuple[str, ...] = ()
    found, depth = 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER_LINE.match(line):
            path = table = _parts(header[2])
        elif member := _MEMBER_LINE.match(line):
            path = (*table, *_parts(member[1]))
        else:
            continue
        shared = min(len(path), len(keys))
        if shared > depth and path[:shared] == keys[:shared]:
            found, depth = number, shared
    return found


def _parts(key: str) -> tuple[str, ...]:
    """`a."b.c"` is two."""
    return tuple(re.sub(r"""^["']|["']$""", "", part.strip()) for part in re.findall(_WORD, key))
