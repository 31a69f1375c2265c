"""Whether a file's schema is what its migrations make, and nothing beside.

A trigger of somebody else's runs with the engine's statements, a view or a table stands where one
of a later version is to be; a file that was made ready so must not pass for a good one.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from engine.ports.report import RESTORE
from engine.ports.store import StoreError
from engine.store.sqlite.content import MIGRATIONS, versions
from engine.store.sqlite.schema import migrations

_COMMENT = re.compile(r"--[^\n]*")
_WORD = re.compile(r"[(),;]|[^\s(),;]+")
_OF_SQLITE = re.compile(r"sqlite_(stat[1-4]|sequence)")
"""Tables that SQLite makes by itself, or for ANALYZE."""

Shape = dict[tuple[str, str], str]
"""What is said of each thing, by its kind (table, index, trigger, view) and name."""


def strange_in(db: sqlite3.Connection) -> tuple[int, list[tuple[str, str]]]:
    """What of a file's schema its migrations do not make, or make otherwise, and what they make
    and is not there: where, and what is to be said of it. Before that, how much there should be."""
    is_so, should = _shape_of(db), _made_of(versions(db)[0])
    strange: list[tuple[str, str]] = []
    for kind, name in sorted(is_so.keys() | should.keys()):
        place = f"{kind} {name}"
        if (kind, name) not in should:
            strange.append((place, "it is foreign: nothing of Atomic's makes it"))
        elif (kind, name) not in is_so:
            strange.append((place, "it is missing"))
        elif is_so[kind, name] != should[kind, name]:
            strange.append((place, "it is foreign: Atomic makes another of this name"))
    return len(should), strange


def check_shape(db: sqlite3.Connection, path: Path) -> None:
    """Raises StoreError for a schema that is not what its migrations make."""
    _, strange = strange_in(db)
    if strange:
        place, what = strange[0]
        raise StoreError(f"{path}: {place}: {what}. {RESTORE}")


def _made_of(applied: list[str]) -> Shape:
    """By these migrations."""
    with closing(Database(memory=True)) as fresh:
        migrations.ensure_migrations_table(fresh)
        for each in migrations.pending(fresh):
            if each.name in applied:
                each.fn(fresh)
        return _shape_of(fresh.conn)


def _shape_of(db: sqlite3.Connection) -> Shape:
    found = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
    return {
        (kind, name): _meaning(sql)
        for kind, name, table, sql in found
        if not _is_known(kind, table, sql)
    }


def _is_known(kind: str, table: str, sql: str | None) -> bool:
    """What sqlite-utils and SQLite make, which other versions of them make otherwise."""
    if kind == "table":
        return table == MIGRATIONS or _OF_SQLITE.fullmatch(table) is not None
    return kind == "index" and (sql is None or table == MIGRATIONS)


def _meaning(sql: str | None) -> str:
    """A statement without its comments and without how it is spaced, which have changed."""
    return " ".join(_WORD.findall(_COMMENT.sub(" ", sql or "")))
