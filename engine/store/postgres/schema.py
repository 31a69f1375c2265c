"""The schema, as numbered scripts in `migrations/`, each recorded with the transaction that ran it.

An engine that starts runs those that the database has not had. Several may start at once: the lock
of the transaction lets one go first, and the others find nothing left to do.

Expand, then contract: a migration may add; what it no longer needs is dropped a release later.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, Protocol

from engine import __version__
from engine.ports.store import StoreError

VERSION_MIN = 15
"""Of the server."""
LOCK = 0x61746F6D6963
"""Of who migrates: its number among PostgreSQL's advisory locks. It reads `atomic`."""
SQL_RECORD = """
CREATE TABLE IF NOT EXISTS atomic_migration (
    name text COLLATE "C" PRIMARY KEY,
    atomic text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
)
"""
"""`atomic`: the version that ran it."""
SQL_OTHERS = """
SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace
    AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (
        SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
            AND deptype = 'e'
    )
ORDER BY relname LIMIT 4
"""
"""Tables and views in the schema where Atomic's would be, but those of PostgreSQL's extensions."""


class Server(Protocol):
    """A connection that may do anything."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Iterable[Any]:
        """One statement, and the rows that it finds."""

    def script(self, text: str, /) -> None:
        """Statements without values, one behind the other."""


class Migration(NamedTuple):
    """One step of the schema."""

    name: str
    """It begins with its number."""
    text: str


@cache
def known_migrations() -> tuple[Migration, ...]:
    """All of this version, in their order."""
    folder = resources.files("engine.store.postgres") / "migrations"
    scripts = sorted(
        (it for it in folder.iterdir() if it.name.endswith(".sql")), key=lambda it: it.name
    )
    return tuple(Migration(it.name.removesuffix(".sql"), it.read_text()) for it in scripts)


def migrate(db: Server, place: str) -> None:
    """Bring the schema up to this version; a new database gets its name and its secret.

    `place`: the database, for people. Raises StoreError for one that this Atomic must not touch,
    which stays as it was.
    """
    db.script("BEGIN")
    try:
        _check_server(db, place)
        db.execute("SELECT pg_advisory_xact_lock($1)", (LOCK,))
        applied = _applied(db, place)
        db.script(SQL_RECORD)
        for each in known_migrations():
            if each.name not in applied:
                db.script(each.text)
                values = (each.name, __version__)
                db.execute("INSERT INTO atomic_migration (name, atomic) VALUES ($1, $2)", values)
        db.execute(
            "INSERT INTO cluster (id, file_id, secret, began_at, level)"
            " VALUES (1, $1, $2, 0, 0) ON CONFLICT DO NOTHING",
            (secrets.token_hex(4), secrets.token_bytes(32)),
        )
        db.script("COMMIT")
    except BaseException:
        db.script("ROLLBACK")
        raise


def _check_server(db: Server, place: str) -> None:
    """It can keep what is written. Raises StoreError."""
    ((number, version, encoding, schema),) = db.execute(
        "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'),"
        " current_setting('server_encoding'), current_schema()"
    )
    if number < VERSION_MIN * 10_000:
        raise StoreError(
            f"{place} is on PostgreSQL {version}, and Atomic needs {VERSION_MIN} or later."
        )
    if encoding != "UTF8":
        raise StoreError(
            f"{place} keeps text as {encoding}, in which not every name can be written. Create it"
            " with ENCODING 'UTF8'."
        )
    if schema is None:
        raise StoreError(
            f"{place} has no schema that this user may use: its search_path names none that there"
            " is."
        )


def _applied(db: Server, place: str) -> frozenset[str]:
    """The migrations that it has had. Raises StoreError if it is not Atomic's, or of a later
    version."""
    others = [name for (name,) in db.execute(SQL_OTHERS)]
    ((is_ours,),) = db.execute("SELECT to_regclass('atomic_migration') IS NOT NULL")
    if not is_ours:
        if others:
            raise StoreError(
                f"{place} has tables of another program ({', '.join(others[:3])}"
                f"{', …' if len(others) > 3 else ''}). Give this engine a database, or a schema, of"
                " its own."
            )
        return frozenset()
    applied = frozenset(name for (name,) in db.execute("SELECT name FROM atomic_migration"))
    known = [each.name for each in known_migrations()]
    if newer := sorted(applied.difference(known)):
        raise StoreError(
            f"{place} was written by a newer Atomic: its schema is at version"
            f" {_number(newer[-1]) or '?'} ({newer[-1]}), and this Atomic ({__version__}) knows"
            f" versions up to {_number(known[-1])} ({known[-1]}). Start the newer one, or restore"
            " a copy from before it (docs/how-to/upgrade.md)."
        )
    return applied


def _number(migration: str) -> int:
    """Of a version; 0: it has none."""
    found = re.match(r"m(\d{1,9})", migration)
    return int(found[1]) if found else 0
