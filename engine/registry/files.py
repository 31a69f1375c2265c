"""What files define: clients and tokens, each part as it stands there, or as it stood last.

A part is a client (a table of the settings file, or a file of `clients_dir`) or a file of tokens.
One that is bad leaves the others alone. So whoever mends a slip in one client's file does it while
all go on as before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine import wire
from engine.core.access.client import Client
from engine.core.access.token import Role, Token
from engine.process.config import CLIENTS, Config, settings_in, shown
from engine.process.toml import ConfigError, parse_toml
from engine.registry.look import ENDING, Look
from engine.registry.members import read_client
from engine.registry.registry import BadFile
from engine.registry.secrets import read_tokens

_CLIENT_NAME = re.compile(wire.CLIENT_PATTERN)


class Sources(Struct, frozen=True):
    """Which files define something."""

    settings: Path | None = None
    clients_dir: Path | None = None
    token_files: tuple[tuple[Role, Path], ...] = ()
    """Of tokens that are good for every client."""


def sources_of(config: Config, settings: Path | None) -> Sources:
    """The files that the settings name, and the file that these stand in."""
    named = (
        (Role.ADMIN, config.admin_token_file),
        (Role.OPERATE, config.operate_token_file),
        (Role.READ, config.read_token_file),
    )
    return Sources(
        settings,
        None if config.clients_dir is None else Path(config.clients_dir),
        tuple((role, Path(path)) for role, path in named if path is not None),
    )


class Part(Struct, frozen=True):
    """What one client's definition, or one file of tokens, comes to."""

    of: Path
    """The settings file, the directory or the file of tokens that has it."""
    client: Client | None
    tokens: tuple[Token, ...]


class Defined(Struct, frozen=True):
    """What all files define together."""

    parts: Mapping[str, Part] = {}
    """By where each stands, for people."""
    bad: Mapping[str, BadFile] = {}
    """The same."""
    marks: Mapping[Path, bytes] = {}
    """Of each file that was looked at: another, when what it says is another."""
    settings: Mapping[str, Any] = {}
    """What the settings file sets beside the clients."""

    @property
    def clients(self) -> list[Client]:
        """All of them."""
        return [part.client for part in self.parts.values() if part.client is not None]

    @property
    def tokens(self) -> list[Token]:
        """All of them."""
        return [token for part in self.parts.values() for token in part.tokens]


NOTHING = Defined()


def read_files(sources: Sources, last: Defined = NOTHING, *, now: int = 0) -> Defined:
    """What the files define now; of a part that is bad, what `last` has of it.

    `now`: milliseconds since the epoch, UTC. Waits for the disk.
    """
    return _Reading(sources, last, now).read()


class _Reading:
    """One reading of everything."""

    def __init__(self, sources: Sources, last: Defined, now: int) -> None:
        self._sources, self._last, self._now = sources, last, now
        self._look = Look()
        self._parts: dict[str, Part] = {}
        self._bad: dict[str, BadFile] = {}
        self._settings: Mapping[str, Any] = last.settings

    def read(self) -> Defined:
        for role, path in self._sources.token_files:
            with self._keeping(path, str(path)):
                tokens = read_tokens(self._look, path, role, None, named=f"{role}_token_file")
                self._parts[str(path)] = Part(path, None, tuple(tokens))
        if (settings := self._sources.settings) is not None:
            with self._keeping(settings):
                self._read_settings(settings)
        if (directory := self._sources.clients_dir) is not None:
            with self._keeping(directory):
                for path in self._look.files_in(directory, named="clients_dir"):
                    with self._keeping(directory, str(path)):
                        self._parts[str(path)] = self._read_client_file(directory, path)
        self._refuse_doubles()
        return Defined(self._parts, self._bad, self._look.marks, self._settings)

    @contextmanager
    def _keeping(self, of: Path, place: str | None = None) -> Iterator[None]:
        """What cannot be read is told, and what was there last is kept: the part that stands at a
        place, or without one all parts of a file or directory."""
        try:
            yield
        except ConfigError as error:
            last = self._last.parts
            kept = [
                name for name, part in last.items() if part.of == of and name == (place or name)
            ]
            self._parts |= {name: last[name] for name in kept}
            self._tell_bad(place or str(of), str(error))

    def _tell_bad(self, place: str, why: str) -> None:
        before = self._last.bad.get(place)
        self._bad[place] = BadFile(place, why, self._now if before is None else before.since)

    def _read_settings(self, path: Path) -> None:
        file = parse_toml(str(path), self._look.text(path))
        settings = settings_in(file, path.parent)
        tables = file.members.get(CLIENTS, {})
        if not isinstance(tables, dict):
            raise ConfigError(f"{file.place(CLIENTS)}: clients are tables, `[{CLIENTS}.NAME]`")
        if tables:
            self._look.check_unwritable(path)
        self._settings = settings
        for name, table in tables.items():
            place = f"{path} [{CLIENTS}.{name}]"
            with self._keeping(path, place):
                _check_name(name, file.place(CLIENTS, name))
                if not isinstance(table, dict):
                    named = file.place(CLIENTS, name)
                    raise ConfigError(f"{named}: clients are tables, `[{CLIENTS}.NAME]`")
                found = read_client(self._look, name, file, path.parent, CLIENTS, name)
                self._parts[place] = Part(path, *found)

    def _read_client_file(self, directory: Path, path: Path) -> Part:
        name = path.name.removesuffix(ENDING)
        _check_name(name, f"{path}: its name")
        file = parse_toml(str(path), self._look.text(path))
        self._look.check_unwritable(path)
        return Part(directory, *read_client(self._look, name, file, path.parent))

    def _refuse_doubles(self) -> None:
        """A client that two parts define, or a token that stands in two, is that of the part that
        had it before; the other is bad."""
        last = self._last.parts
        found, self._parts = self._parts, {}
        where: dict[str | bytes, str] = {}

        def double(part: Part) -> str | None:
            if part.client is not None and (other := where.get(part.client.name)):
                return f"client {part.client.name} is defined in {other} as well: keep one"
            for token in part.tokens:
                if other := where.get(token.digest):
                    return f"one of its tokens stands in {other} as well: whose is it?"
            return None

        # what is as it was goes first, then what was there, then what is new
        order = sorted(
            found, key=lambda place: (found[place] != last.get(place), place not in last)
        )
        for place in order:
            part: Part | None = found[place]
            if why := double(found[place]):
                self._tell_bad(place, f"{place}: {why}")
                part = last.get(place)
            if part is None or double(part):
                continue
            self._parts[place] = part
            if part.client is not None:
                where[part.client.name] = place
            where.update(dict.fromkeys((token.digest for token in part.tokens), place))


def _check_name(name: str, place: str) -> None:
    if name in wire.RESERVED_CLIENTS:
        raise ConfigError(f"{place}: {name!r} is a route of the engine, and no client's name")
    if not _CLIENT_NAME.fullmatch(name):
        raise ConfigError(
            f"{place}: {shown(name)} is no client's name: 1 to 64 of letters, digits, `.`, `_` and"
            " `-`, the first a letter or digit"
        )
