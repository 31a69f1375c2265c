"""A file with a schema that its migrations do not make passes for no good one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from engine.ports.audit import AuditEntry
from engine.ports.store import StoreError
from engine.store.sqlite.backup.restore import restore
from engine.store.sqlite.content import strange_in
from engine.store.sqlite.schema import migrations
from engine.store.sqlite.verify.verify import verify
from tests.store.support import change_file, history, rows, store_at

ACT = AuditEntry("01", 7, "ada", None, "restore", "b.db")
FOREIGN = "it is foreign: nothing of Atomic's makes it"
ANOTHER = "it is foreign: Atomic makes another of this name"
STRANGE = {
    "a trigger": (
        "CREATE TRIGGER quiet AFTER INSERT ON journal BEGIN DELETE FROM audit; END",
        "trigger quiet", FOREIGN,
    ),
    "a trigger on the migrations": (
        "CREATE TRIGGER later AFTER INSERT ON _sqlite_migrations BEGIN DELETE FROM audit; END",
        "trigger later", FOREIGN,
    ),
    "a view": ("CREATE VIEW timer AS SELECT 1", "view timer", FOREIGN),
    "a table": ("CREATE TABLE timer (id TEXT)", "table timer", FOREIGN),
    "an index": ("CREATE INDEX slow ON run (progress)", "index slow", FOREIGN),
    "another column": ("ALTER TABLE tally ADD COLUMN x TEXT", "table tally", ANOTHER),
    "no index": ("DROP INDEX run_state", "index run_state", "it is missing"),
}  # fmt: skip


@pytest.fixture
async def whole(tmp_path: Path) -> Path:
    """A file in which all is well."""
    async with store_at(tmp_path / "a.db") as store:
        history(store)
    return tmp_path / "a.db"


@pytest.mark.parametrize("case", STRANGE)
async def test_what_the_migrations_do_not_make_is_named(
    whole: Path, tmp_path: Path, case: str
) -> None:
    """By `verify`, and by `restore`, which makes nothing of it."""
    statement, place, what = STRANGE[case]
    change_file(whole, statement)
    faults = [(it.place, it.what) for it in verify(whole).faults]
    assert (place, what) in faults
    kind, _, name = place.partition(" ")
    mend = f". If it is your own: `DROP {kind.upper()} {name}`" if what == FOREIGN else ". Restore"
    with pytest.raises(StoreError, match=f"{place}: {what}{mend}"):
        restore(whole, tmp_path / "b.db", [], ACT, lambda *step: None)
    assert not [it for it in tmp_path.iterdir() if it.name.startswith("b.db")]


async def test_a_trigger_of_our_name_that_does_something_else_is_named(whole: Path) -> None:
    """It is what a trigger does that counts."""
    change_file(whole, "DROP TRIGGER outcome_is_final")
    change_file(
        whole,
        "CREATE TRIGGER outcome_is_final BEFORE UPDATE ON outcome"
        " BEGIN SELECT RAISE(IGNORE) -- RAISE(ABORT, 'an outcome is written once')\n; END",
    )
    assert [(it.place, it.what) for it in verify(whole).faults] == [
        ("trigger outcome_is_final", ANOTHER)
    ]


async def test_what_sqlite_and_other_spacing_bring_along_is_not_strange(whole: Path) -> None:
    """Statistics of ANALYZE; comments and blanks, as engines of before had them in the schema."""
    change_file(whole, "ANALYZE")
    change_file(whole, "DROP INDEX run_state")
    change_file(whole, "CREATE INDEX run_state ON run -- of the board\n (\n  state,id )")
    report = verify(whole)
    assert report.faults == []
    assert any(it.name == "schema" and it.done for it in report.checked)


def migration_names() -> list[str]:
    """All there are, in their order."""
    with closing(Database(memory=True)) as fresh:
        return [it.name for it in migrations.pending(fresh)]


@pytest.mark.parametrize("last", migration_names())
def test_every_earlier_schema_is_what_its_migrations_make(path: Path, last: str) -> None:
    """A file that no later engine has opened yet, too; what a later one adds is foreign to it."""
    names = migration_names()
    later = names[names.index(last) + 1 :]
    with closing(sqlite3.connect(path)) as db:
        migrations.apply(Database(db), stop_before=later[:1])
        count, strange = strange_in(db)
        assert count > 10
        assert strange == []
        db.execute("CREATE TABLE later (id TEXT)")
        assert strange_in(db)[1] == [("table later", FOREIGN)]


async def test_a_table_that_was_made_otherwise_for_some_hours_passes(whole: Path) -> None:
    """It was clustered by run; whatever reads and writes it finds no difference."""
    ((made,),) = rows(whole, "SELECT sql FROM sqlite_schema WHERE name = 'carried'")
    change_file(whole, "DROP TABLE carried")
    change_file(whole, f"{made}, WITHOUT ROWID")
    assert verify(whole).faults == []
