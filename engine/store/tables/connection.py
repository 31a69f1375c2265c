"""A connection to the tables, whatever database they are in, and the statements by their names.

The SQL here is SQLite's. What PostgreSQL says otherwise its connection says so (`store/postgres/
words.py`): SQLite's own connection is one of these as it is, and its reads cost nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any, Protocol, TypeAlias

Errors: TypeAlias = type[Exception] | tuple[type[Exception], ...]


class Found(Protocol):
    """What a statement found. Rows have their values by place and by name."""

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...

    @property
    def rowcount(self) -> int:
        """How many rows it wrote or removed."""


class Row(Protocol):
    """Values by place and by name."""

    def __getitem__(self, which: Any, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


class Tables(Protocol):
    """A connection to the tables, for one thread at a time."""

    def execute(self, sql: str, values: Any = ..., /) -> Found:
        """One statement of SQLite's."""

    def executemany(self, sql: str, rows: Iterable[Any], /) -> object:
        """The same for each of the rows."""

    @property
    def in_transaction(self) -> bool:
        """What is read now is of one moment, and what is written is so together."""

    @property
    def Error(self) -> Errors:
        """Of the database; it is no run's fault, but for the three below. (PEP 249's names.)"""

    @property
    def IntegrityError(self) -> Errors: ...

    @property
    def DataError(self) -> Errors: ...

    @property
    def ProgrammingError(self) -> Errors: ...


def named_queries(text: str) -> dict[str, str]:
    """Statements by the name in the comment above each."""
    found = re.findall(r"^-- (\w+):[^\n]*\n(.*?);\s*$", text, flags=re.MULTILINE | re.DOTALL)
    return dict(found)


SQL = named_queries((resources.files("engine.store.tables") / "queries.sql").read_text())


@contextmanager
def snapshot(db: Tables) -> Iterator[None]:
    """All that is read within it is of one moment; what it does to the temporary schema is undone.

    For a connection that cannot write.
    """
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def is_of_the_store(db: Tables, error: Exception) -> bool:
    """Whether the database speaks of itself, and not of the values that it is given."""
    if isinstance(error, db.IntegrityError) or isinstance(error, db.DataError):  # noqa: SIM101
        return False
    return isinstance(error, db.Error) and not isinstance(error, db.ProgrammingError)
