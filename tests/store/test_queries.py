"""engine/store/tables/queries.sql: every statement has a name and a user, runs, and the hot ones
use an index."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from engine.store.tables.connection import SQL, named_queries
from tests.store.support import HOT, new_run, parameters, store_at

STORE = Path(__file__).parents[2] / "engine" / "store"


def test_every_statement_is_named() -> None:
    """The file holds nothing that its names do not reach, and no name twice."""
    text = (resources.files("engine.store.tables") / "queries.sql").read_text()
    assert (
        len(SQL)
        == len(re.findall(r";$", text, flags=re.MULTILINE))
        == len(re.findall(r"^-- ", text, flags=re.MULTILINE))
    )
    assert named_queries("-- a: what\nSELECT 1;\n\n-- b: it\nSELECT\n  2;\n") == {
        "a": "SELECT 1",
        "b": "SELECT\n  2",
    }


def test_every_query_is_used() -> None:
    """A statement that nobody asks is deleted; a name that nobody defined is a mistake."""
    code = "".join(path.read_text() for path in STORE.rglob("*.py"))
    assert set(re.findall(r"SQL\[[\"'](\w+)[\"']\]", code)) == set(SQL)


@pytest.mark.parametrize("name", SQL)
async def test_every_query_runs(path: Path, name: str) -> None:
    """Each statement fits today's schema."""
    async with store_at(path) as store:
        await store.write(new_run("k")[1]).wait()
        statement = SQL[name]
        store._connection.execute(statement, parameters(statement)).fetchall()


@pytest.mark.parametrize("name", HOT)
async def test_hot_queries_use_an_index(path: Path, name: str) -> None:
    """No statement on the way of a step reads a whole table, and `due` sorts nothing."""
    async with store_at(path) as store:
        statement = f"EXPLAIN QUERY PLAN {SQL[name]}"
        plan = await store.readers.read(
            lambda db: [row["detail"] for row in db.execute(statement, parameters(SQL[name]))]
        )
    reads = [detail for detail in plan if re.search(r"\b(step|run|journal|attempt)\b", detail)]
    assert reads
    assert all(detail.startswith("SEARCH") for detail in reads), plan
    if name in ("due", "timed_behind", "journal_from"):
        assert not any("TEMP B-TREE" in detail for detail in plan), plan


async def test_late_runs_are_looked_for_among_the_oldest_alone(path: Path) -> None:
    """Of each open state so many are taken in the order of their index; not all that are open are
    read and sorted, which takes tenths of a second where there are a hundred thousand."""
    async with store_at(path) as store:
        statement = f"EXPLAIN QUERY PLAN {SQL['late_runs']}"
        plan = await store.readers.read(
            lambda db: [
                row["detail"] for row in db.execute(statement, parameters(SQL["late_runs"]))
            ]
        )
    by_state = "SEARCH run USING COVERING INDEX run_state (state=? AND id<?)"
    assert [it for it in plan if "run_state" in it] == [by_state] * 4
    assert {it for it in plan if it.endswith(" USING PRIMARY KEY (id=?)")} == {
        "SEARCH run USING PRIMARY KEY (id=?)", "SEARCH step USING PRIMARY KEY (id=?)",
    }  # fmt: skip
