"""What a replay finds in the tables of a database, and in its journal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from engine.core.model import Run
from engine.store.commit import Commit
from engine.store.tables.connection import SQL, Tables
from engine.store.tables.reading import entries_behind, stored_run


class TableKept:
    """How the last owner left it. How a commit is written is a subclass's."""

    def __init__(self, db: Tables) -> None:
        self._db = db
        self.not_of_a_run = db.Error
        found = db.execute("SELECT caught_up, owner, epoch FROM engine").fetchone()
        self.caught_up, self.owner, self.epoch = found

    def journal(self) -> Iterable[tuple[int, bytes]]:
        """Its entries behind what the tables know, each with the number of its first event."""
        return entries_behind(self._db, self.caught_up)

    def run(self, run_id: str) -> tuple[Run, int] | Literal["stopped"] | None:
        """The run as its rows have it, and the last event that they know."""
        row = self._db.execute(SQL["run"], (run_id,)).fetchone()
        if row is None:
            return None
        if row["engine_error"]:
            return "stopped"
        found = stored_run(self._db, run_id)
        assert found is not None
        return found.run, found.seq

    def write(self, commit: Commit) -> None:
        """Commit."""
        raise NotImplementedError
