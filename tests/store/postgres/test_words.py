"""engine/store/postgres/words.py: SQLite's statements are PostgreSQL's, and the hot ones use an
index there too."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from engine.core.filter import parse
from engine.store.postgres.schema import migrate
from engine.store.postgres.tables import OfValues, Transaction
from engine.store.postgres.wire import Blocking, Said, connect, place_of
from engine.store.postgres.words import _OWN, statement_of
from engine.store.tables import audit, jobs, registry, writing
from engine.store.tables.connection import SQL
from engine.store.tables.views.filter import condition
from engine.store.tables.views.of_client import _OWN_TIMED
from tests.postgres import Postgres
from tests.store.shelf import NOW, TEXTS
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
RANGES = ("remove_attempts", "remove_outcomes", "remove_bodies", "remove_steps")
"""They look for the rows of each run, and not through all for those of some."""


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
    for name in (*HOT, *RANGES):
        sql = statement_of(SQL[name]).sql
        nulls = ",".join(["NULL"] * max(map(int, re.findall(r"\$(\d+)", sql)), default=0))
        connection.script(f"PREPARE it AS {sql}")
        execute = f"EXECUTE it({nulls})" if nulls else "EXECUTE it"
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {execute}"))
        connection.script("DEALLOCATE it")
        assert "Index" in plan, (name, plan)
        assert not re.search(r"Seq Scan on (run|step|attempt|outcome|body|journal)", plan), (
            name,
            plan,
        )
        assert name not in RANGES or not re.search("Hash|Merge|Semi", plan), (name, plan)
        assert name not in IN_ORDER or "Sort" not in plan, (name, plan)


async def test_filters_look_at_the_steps_of_a_run_alone(connection: Blocking) -> None:
    """By their ids: not at all steps that there are, nor at all that have a time."""
    connection.script("SET enable_seqscan = off; SET enable_bitmapscan = off")
    tables = Transaction(connection)
    looks = 0
    for text in TEXTS:
        where, values = condition(parse(text)[0], NOW)
        sql = f"EXPLAIN SELECT run.id FROM run WHERE {where}"
        plan = "\n".join(row[0] for row in tables.execute(sql, values))
        looks += "on step" in plan
        assert set(re.findall(r"(\w+) on step", plan)) <= {"step_pkey"}, (text, plan)
        assert "Join" not in plan or "job_run" in plan, (text, plan)
    assert looks > 20
    own = _OWN_TIMED.format(runs=9)
    sql = f"EXPLAIN SELECT 1 FROM {own} WHERE +step.wake_at >= ? AND +step.wake_at < ?"
    plan = "\n".join(row[0] for row in tables.execute(sql, ("shop", 1, 2)))
    assert re.findall(r"using (\w+) on step", plan) == ["step_pkey"], plan


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
        ("+step.wake_at < 1 << 62", "coalesce(step.wake_at, 0) < 4611686018427387904"),
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
