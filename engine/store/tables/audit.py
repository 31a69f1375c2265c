"""What people did, in its table: `engine.ports.audit`."""

from __future__ import annotations

from msgspec.structs import astuple, fields

from engine.ports.audit import AuditEntry, AuditQuery
from engine.store.tables.connection import Tables

AUDIT_COLUMNS = tuple(field.name for field in fields(AuditEntry))
_NAMES = ",".join(AUDIT_COLUMNS)
FORGOTTEN_AT_ONCE = 500
"""In one commit: some milliseconds of it."""
SQL_KEEP = (
    f"INSERT INTO audit ({_NAMES}) VALUES ({','.join('?' * len(AUDIT_COLUMNS))})"
    f" ON CONFLICT (id) DO UPDATE SET {','.join(f'{it}=excluded.{it}' for it in AUDIT_COLUMNS)}"
)
SQL_FORGET = (
    "DELETE FROM audit WHERE id IN"
    f" (SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT {FORGOTTEN_AT_ONCE})"
)
SQL_FIND = f"""SELECT {_NAMES} FROM audit WHERE at >= :since
AND (CAST(:actor AS text) IS NULL OR actor = :actor
    OR substr(actor, 1, length(:actor) + 2) = :actor || ' (')
AND (CAST(:act AS text) IS NULL OR act = :act)
AND (CAST(:what AS text) IS NULL OR what = :what OR key = :what)
AND (CAST(:cursor AS text) IS NULL OR id < :cursor) ORDER BY id DESC LIMIT :limit"""


def write_audit(db: Tables, entry: AuditEntry | int | str) -> None:
    """Keep an entry, or take away that of an id, or old ones, within the caller's transaction."""
    if isinstance(entry, int):
        db.execute(SQL_FORGET, (entry,))
    elif isinstance(entry, str):
        db.execute("DELETE FROM audit WHERE id = ?", (entry,))
    else:
        db.execute(SQL_KEEP, astuple(entry))


def audited_before(db: Tables, at: int) -> int:
    """How many entries are older than this."""
    found: int = db.execute("SELECT count(*) FROM audit WHERE at < ?", (at,)).fetchone()[0]
    return found


def find_audited(db: Tables, query: AuditQuery) -> list[AuditEntry]:
    """The entries of a page."""
    values = {name: getattr(query, name) for name in query.__struct_fields__}
    return [AuditEntry(*row) for row in db.execute(SQL_FIND, values)]
