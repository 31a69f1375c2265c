"""Filters find in PostgreSQL what they find in a file: what the same conditions find in Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from unittest import mock

import pytest
import trio

from engine.core.cause import stuck
from engine.store.sqlite.readers import connect_read_only
from engine.store.tables.views import filter as filters
from tests.postgres import Postgres
from tests.store.postgres.copied import connected, copy_rows, reading
from tests.store.shelf import TEXTS, Shelf, fill, found, random_runs, wanted

RUNS = 150


@pytest.fixture(scope="module")
def shelf(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """The runs of the file's tests, in a database."""
    path, runs = tmp_path_factory.mktemp("shelf") / "a.db", random_runs(RUNS)
    trio.run(fill, path, runs)
    with connected(postgres.database()) as connection:
        with closing(connect_read_only(path)) as file:
            copy_rows(file, connection)
        with reading(connection) as db:
            yield Shelf(db, runs)


@pytest.mark.parametrize("negated", ["", "!"], ids=["plain", "negated"])
def test_a_term(shelf: Shelf, negated: str) -> None:
    """Each field, each word, wildcards and what only looks like one."""
    for text in TEXTS:
        assert found(shelf.db, negated + text) == wanted(shelf.runs, negated + text), text


def test_terms_together(shelf: Shelf) -> None:
    """Several at once, by cause, and beside what the query asks for."""
    causes = sorted({need.cause for run in shelf.runs if (need := stuck(run))})
    assert len(causes) > 5
    for text in (
        "is:failed !is:dismissed", "is:live is:stuck", "is:failed is:stuck wf:o*", "is:ended s",
        "is:live is:ended", *(f"cause:{it}" for it in causes),
        *(f"!cause:{it[:3]}? is:stuck" for it in causes),
    ):  # fmt: skip
        assert found(shelf.db, text) == wanted(shelf.runs, text), text
    also = ("run.client = ? AND run.state IN (?)", ("shop", "failed"))
    assert found(shelf.db, "wf:o*", also) == wanted(shelf.runs, "wf:o* client:shop is:failed")


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize(("chunk", "at_most"), [(1, 1), (7, 21), (50, 100)])
def test_pages_find_each_run_once(
    shelf: Shelf, newest_first: bool, chunk: int, at_most: int
) -> None:
    """However few rows are looked at for a page."""
    with mock.patch.multiple(filters, CHUNK_ROWS=chunk, ROWS_LOOKED_AT_MAX=at_most):
        for text in ("", "is:stuck", "is:live", "wf:order", "wf:nothing", "!is:stuck due:>1s"):
            ids = found(shelf.db, text, newest_first=newest_first, limit=3)
            assert ids == wanted(shelf.runs, text, newest_first=newest_first), text
