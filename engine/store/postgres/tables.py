"""The tables within a transaction of PostgreSQL's: what `store/tables/` reads and writes by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.store.postgres.values import Found
from engine.store.postgres.wire import Blocking, Said
from engine.store.postgres.words import statement_of
from engine.store.seat import Fenced, NoReply

OF_VALUES = ("22", "23")
"""SQLSTATEs that begin so speak of the values that a statement was given."""


class OfValues(Said):
    """What the server says of values."""


class Transaction:
    """An open transaction. Whoever has opened it ends it."""

    in_transaction = True
    Error = (Said, NoReply, Fenced)
    IntegrityError = DataError = ProgrammingError = OfValues

    def __init__(self, connection: Blocking) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Any = (), /) -> Found:
        """One statement of SQLite's, in PostgreSQL's words. Raises NoReply, Said, and OfValues."""
        statement = statement_of(sql)
        try:
            return self._connection.execute(statement.sql, statement.values(values))
        except Said as error:
            if error.state.startswith(OF_VALUES):
                raise OfValues(error.state, str(error)) from error
            raise

    def executemany(self, sql: str, rows: Iterable[Any], /) -> None:
        """The same for each of the rows."""
        for row in rows:
            self.execute(sql, row)
