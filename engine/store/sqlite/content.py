"""What is in the file, looked at before anything is written: Atomic's, of a schema known, whole.

For a copy that others may have prepared also: the schema is what its migrations make, and nothing
beside. A trigger of somebody else's runs with the engine's statements, and a view or a table stands
where one of a later version is to be.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlite_utils import Database

from engine import __version__
from engine.ports.report import RESTORE
from engine.ports.store import BadFile, StoreError
from engine.store.sqlite.schema import migrations
from engine.store.sqlite.tables import check_tables

MIGRATIONS = "_sqlite_migrations"
SQL_APPLIED = f"SELECT name FROM {MIGRATIONS} WHERE migration_set = ? ORDER BY name"
OURS = frozenset({"engine", "journal", "outcome_is_final"})
WHOLE_BYTES_MAX = 32 << 20
"""A file up to here is looked through at each start (a tenth of a second); a larger one is not, and
what is damaged in it shows when it is read."""
_COMMENT = re.compile(r"--[^\n]*")
_WORD = re.compile(r"[(),;]|[^\s(),;]+")
_OF_SQLITE = re.compile(r"sqlite_(stat[1-4]|sequence)")
"""Tables that SQLite makes by itself, or for ANALYZE."""

Shape = dict[tuple[str, str], str]
"""What is said of each thing, by its kind (table, index, trigger, view) and name."""


def is_ours(connection: sqlite3.Connection) -> bool:
    """The file has the tables of Atomic."""
    return _names(connection) >= OURS


def check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """The file is empty, or Atomic's and of a schema that this version knows. Writes nothing.

    The first start may have ended between sqlite-utils' table of migrations and ours. Raises
    StoreError.
    """
    names = _names(connection)
    if names - {MIGRATIONS} and not names >= OURS:
        raise BadFile(
            f"{path} is another program's database, or of an Atomic before its first release. Give"
            " this engine another --db."
        )
    if MIGRATIONS in names:
        check_version(connection, path)


def _names(connection: sqlite3.Connection) -> set[str]:
    """Of tables, indexes and triggers; those of the table of migrations by its own name."""
    found = connection.execute("SELECT name, tbl_name FROM sqlite_schema").fetchall()
    return {MIGRATIONS if table == MIGRATIONS else name for name, table in found}


def misnamed_versions(connection: sqlite3.Connection) -> list[str]:
    """Recorded migrations of a number that is known, and with another name: damage."""
    applied, known = versions(connection)
    return [name for name in applied if name not in known and _number(name) <= _number(known[-1])]


def versions(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """Those of the file, and those that are known."""
    applied = [name for (name,) in connection.execute(SQL_APPLIED, (migrations.name,))]
    with closing(Database(memory=True)) as fresh:
        return applied, [each.name for each in migrations.pending(fresh)]


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """The schema is none of a later version. Raises StoreError."""
    applied, known = versions(connection)
    newer = sorted(set(applied) - set(known))
    if newer:
        raise StoreError(
            f"{path} was written by a newer Atomic: its schema is at version"
            f" {_number(newer[-1]) or '?'} ({newer[-1]}), and this Atomic ({__version__}) knows"
            f" versions up to {_number(known[-1])} ({known[-1]}). Start the newer one, or restore"
            " a copy from before it (docs/how-to/upgrade.md)."
        )


def _number(migration: str) -> int:
    """Of a version; 0: it has none."""
    found = re.match(r"m(\d{1,9})", migration)
    return int(found[1]) if found else 0


def check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """The tables are as they must be; a small file is looked through. Raises as `check_tables`."""
    check_tables(connection, path)
    if _bytes(path) <= WHOLE_BYTES_MAX:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise BadFile(f"{path} is damaged: {' '.join(found.split())}. {RESTORE}")


def _bytes(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


_ONCE: Shape = {
    ("table", "carried"): "CREATE TABLE carried ( run_id TEXT NOT NULL , entry INTEGER NOT NULL ,"
    " size INTEGER NOT NULL , packed BLOB NOT NULL , large BLOB , PRIMARY KEY ( run_id , entry ) )"
    " STRICT , WITHOUT ROWID",
}
"""As the engine made it for some hours before; it is as good."""


FOREIGN = "it is foreign: nothing of Atomic's makes it"


def strange_in(db: sqlite3.Connection) -> tuple[int, list[tuple[str, str]]]:
    """What of a file's schema its migrations do not make, or make otherwise, and what they make
    and is not there: where, and what is to be said of it. Before that, how much there should be."""
    is_so, should = _shape_of(db), _made_of(versions(db)[0])
    strange: list[tuple[str, str]] = []
    for kind, name in sorted(is_so.keys() | should.keys()):
        place = f"{kind} {name}"
        if (kind, name) not in should:
            strange.append((place, FOREIGN))
        elif (kind, name) not in is_so:
            strange.append((place, "it is missing"))
        elif is_so[kind, name] not in (should[kind, name], _ONCE.get((kind, name))):
            strange.append((place, "it is foreign: Atomic makes another of this name"))
    return len(should), strange


def check_shape(db: sqlite3.Connection, path: Path) -> None:
    """Raises StoreError for a schema that is not what its migrations make."""
    _, strange = strange_in(db)
    if strange:
        place, what = strange[0]
        kind, _, name = place.partition(" ")
        own = (
            f"If it is your own: `DROP {kind.upper()} {name}` in a copy of the file, and take that."
        )
        raise BadFile(f"{path}: {place}: {what}. {own if what == FOREIGN else RESTORE}")


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
