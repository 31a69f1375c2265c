"""engine/store/postgres/words.py: SQLite's statements are PostgreSQL's, and the hot ones use an
index there too."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from engine.store.postgres.schema import migrate
from engine.store.postgres.tables import OfValues, Transaction
from engine.store.postgres.wire import Blocking, Said, connect, place_of
from engine.store.postgres.words import _OWN, statement_of
from engine.store.tables import audit, jobs, registry, writing
from engine.store.tables.connection import SQL
from tests.postgres import Postgres
from tests.store.support import HOT

EVERY = {
    **SQL,
    **{
        f"{module.__name__}.{name}": it
        for module in (audit, jobs, registry, writing)
        for name, it in vars(module).items()
        if name.startswith("SQL_")
    },
    **{
        f"{name} {count}": it.statement(count)
        for name, it in vars(writing).items()
        if isinstance(it, writing.Table)
        for count in (1, 2)
    },
}

IN_ORDER = ("due", "timed_behind", "journal_from")
"""They sort nothing."""


@pytest.fixture
async def connection(postgres: Postgres) -> AsyncIterator[Blocking]:
    """To a database with tables, and nothing in them."""
    connection = (await connect(place_of(postgres.database()))).into_thread()
    migrate(connection, "the test's database")
    yield connection
    connection.close()


async def test_every_statement_is_one_of_postgresqls(connection: Blocking) -> None:
    """It knows each, and the types of its values, by itself."""
    assert len(EVERY) >= 120
    wrong: dict[str, str] = {}
    for name, sql in EVERY.items():
        try:
            connection.script(f"PREPARE it AS {statement_of(sql).sql}; DEALLOCATE it")
        except Said as error:
            wrong[name] = str(error)
    assert wrong == {}


async def test_hot_statements_use_an_index(connection: Blocking) -> None:
    """None has to read a whole table, however much there is in it."""
    connection.script(
        "SET enable_seqscan = off; SET enable_bitmapscan = off;"
        " SET plan_cache_mode = force_generic_plan"
    )
    for name in HOT:
        sql = statement_of(SQL[name]).sql
        nulls = ",".join(["NULL"] * max(map(int, re.findall(r"\$(\d+)", sql)), default=0))
        connection.script(f"PREPARE it AS {sql}")
        execute = f"EXECUTE it({nulls})" if nulls else "EXECUTE it"
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {execute}"))
        connection.script("DEALLOCATE it")
        assert "Index" in plan, (name, plan)
        assert not re.search(r"Seq Scan on (run|step|attempt|journal)", plan), (name, plan)
        assert name not in IN_ORDER or "Sort" not in plan, (name, plan)


def test_own_statements_are_of_shared_ones() -> None:
    """Each in `queries.sql` beside the words stands for one that there is."""
    assert _OWN
    assert all(sql != own for sql, own in _OWN.items())


@pytest.mark.parametrize(
    ("sqlite", "postgres"),
    [
        ("SELECT ? + ?2", "SELECT $1 + $2"),
        ("SELECT :a, :b, :a || '://'", "SELECT $1, $2, $1 || '://'"),
        ("a.b LIKE ? ESCAPE '\\'", "a.b ILIKE $1 ESCAPE '\\'"),
        ("a.b GLOB ?", "a.b LIKE like_of_glob($1)"),
        ("+step.wake_at < 1 << 62", "+step.wake_at < 4611686018427387904"),
        ("ORDER BY +id", "ORDER BY (id || '')"),
        ("instr(url, '/') + 2 + instr(url, 'x')", "strpos(url, '/') + 2 + strpos(url, 'x')"),
        ("min(rev, 1 << 53), min(due_at)", "least(rev, 9007199254740992), min(due_at)"),
        ("json_each(?3) AS a", "jsonb_array_elements_text(CAST($3 AS jsonb)) AS a"),
    ],
)
def test_words(sqlite: str, postgres: str) -> None:
    """What differs, and what only looks as if it did."""
    assert statement_of(sqlite).sql == postgres


async def test_patterns_mean_the_same(connection: Blocking) -> None:
    """`*` is any text in a pattern of GLOB, and all else is itself; letters have their case."""
    found = connection.execute(
        "SELECT text LIKE like_of_glob(pattern) FROM (VALUES ('a%_\\[?]b', 'a%_\\[[][?]]b'),"
        " ('axb', 'a*b'), ('aXB', 'a*b'), ('a%b', 'a[?]b'), ('abc', 'a_c')) AS it(text, pattern)"
    ).fetchall()
    assert [it[0] for it in found] == [True, True, False, False, False]
    found = connection.execute("SELECT lower_case('STRASSE \u00dcBER')").fetchall()
    assert [it[0] for it in found] == ["strasse \u00fcber"]


async def test_values_by_name_and_of_a_wrong_kind(connection: Blocking) -> None:
    """Names are looked up, whatever else is given; what the values are to blame for says so."""
    connection.script("BEGIN")
    tables = Transaction(connection)
    found = tables.execute("SELECT :b || :a, :a", {"a": "x", "b": "y", "c": "z"}).fetchall()
    assert [tuple(row) for row in found] == [("yx", "x")]
    with pytest.raises(OfValues):
        tables.execute("SELECT CAST(? AS bigint)", ("x",))
    connection.script("ROLLBACK; BEGIN")
    with pytest.raises(Said) as told:
        tables.execute("SELECT nothing_of_the_kind")
    assert not isinstance(told.value, OfValues)
