"""What SQLite says, as PostgreSQL says it: the statements of `store/tables/` over a connection.

They are all our own, and use few words that differ. A test has PostgreSQL prepare each of them.
Whole statements are in `queries.sql` beside this, by the name that they have there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

from engine.store.tables.connection import SQL, named_queries

KEPT_MAX = 2_000
"""Statements that were said before. There are some 150, and filters are made of pieces."""
_STEPS = "step.id >= run.id AND step.id < run.id || '.'"
_WORDS = (
    # An unary plus keeps from an index; here what could be null does, as the index has no nulls.
    (r"\+(client|id)\b", r"(\1 || '')"),
    (r"\+(step\.wake_at)\b", r"coalesce(\1, 0)"),
    (r"\b1 << 62\b", str(1 << 62)),
    (r"\b1 << 53\b", str(1 << 53)),
    (r"\bmin\((\w+), ", r"least(\1, "),
    (r"\binstr\(", "strpos("),
    (r"\bjson_each\((\?\d*)\)", r"jsonb_array_elements_text(CAST(\1 AS jsonb))"),
    (r"\bCROSS JOIN\b", "JOIN"),  # which fixes SQLite's order
    (r"\bmain\.run INDEXED BY \w+", "run"),
    (r"\bstep\.run_id\b", "split_part(step.id, '-', 1)"),
    (r"\bCAST\(([\w.]+) AS BLOB\)", r"convert_to(\1, 'UTF8')"),
    (r"\bLIKE\b", "ILIKE"),  # ASCII's letters in any case, as "C" knows no others
    (r" GLOB (\?\d*)", r" LIKE like_of_glob(\1)"),
    # The steps of some runs: for each of them by their range, or all steps that there are are read.
    (
        re.escape(f"JOIN step ON {_STEPS}"),
        f"CROSS JOIN LATERAL (SELECT * FROM step WHERE {_STEPS} OFFSET 0) AS step",
    ),
)
_MARK = re.compile(r"\?(\d*)|(?<!:):([a-z_]+)")
_OWN = {
    SQL[name]: text
    for name, text in named_queries(
        (resources.files("engine.store.postgres") / "queries.sql").read_text()
    ).items()
}


class Statement(NamedTuple):
    """A statement of PostgreSQL's."""

    sql: str
    names: tuple[str, ...] | None
    """Of its values, in their order; None: they come in a sequence."""

    def values(self, values: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any]:
        """In the order of its marks."""
        if self.names is None:
            assert not isinstance(values, Mapping)
            return values
        assert isinstance(values, Mapping)
        return [values[name] for name in self.names]


@lru_cache(KEPT_MAX)
def statement_of(sql: str) -> Statement:
    """A statement of SQLite's in PostgreSQL's words."""
    sql = _OWN.get(sql, sql)
    for what, other in _WORDS:
        sql = re.sub(what, other, sql)
    names: list[str] = []
    count = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal count
        number, name = found.groups()
        if name is not None:
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"
        count += 1
        return f"${number or count}"

    made = _MARK.sub(mark, sql)
    return Statement(made, tuple(names) if names else None)
