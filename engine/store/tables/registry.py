"""What people set at run time, in its table: `engine.ports.registry`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec.structs import replace

from engine.ports.registry import KIND_ALERTS, Registered
from engine.store.tables.connection import Tables

REGISTRY_COLUMNS = ("kind", "name", "value", "at", "actor")
SQL_READ = f"SELECT {','.join(REGISTRY_COLUMNS)} FROM registry ORDER BY kind, name"
SQL_SET = (
    f"INSERT INTO registry ({','.join(REGISTRY_COLUMNS)}) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (kind, name) DO UPDATE"
    " SET value = excluded.value, at = excluded.at, actor = excluded.actor"
)
SQL_TAKE_AWAY = "DELETE FROM registry WHERE kind = ? AND name = ?"


def read_registered(db: Tables) -> tuple[Registered, ...]:
    """All of it."""
    return tuple(
        Registered(kind, name, value.encode(), at, actor)
        for kind, name, value, at, actor in db.execute(SQL_READ)
    )


def write_registered(db: Tables, entry: Registered) -> None:
    """Set or take away, within the caller's transaction."""
    if entry.value is None:
        db.execute(SQL_TAKE_AWAY, (entry.kind, entry.name))
    else:
        values = (entry.kind, entry.name, entry.value.decode(), entry.at, entry.actor)
        db.execute(SQL_SET, values)


def rename_causes(db: Tables, renamed: Mapping[str, str]) -> None:
    """Have what alerts remember be of causes by their new names, within the caller's transaction.
    In its own words, as a schema's step is to do the same for ever."""
    for entry in read_registered(db):
        if entry.kind != KIND_ALERTS or entry.value is None:
            continue
        remembered = json.loads(entry.value)
        for incident in remembered.get("incidents", ()):
            trouble = incident["latest"]
            trouble["cause"] = renamed.get(trouble["cause"], trouble["cause"])
        write_registered(db, replace(entry, value=json.dumps(remembered).encode()))
