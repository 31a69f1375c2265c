"""Read-only connections, and what is read through them.

They see what is committed and nothing else, never checkpoint, and have a limiter of their own, so
that neither a slow listing nor a stuck resolver takes a place from the writer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from engine.core.errors import Problem, Refused, RefusedForDamage
from engine.ports.report import RESTORE
from engine.ports.store import Found, StoreError
from engine.store.offload import Offload, threads
from engine.store.sqlite.file.words import is_damage, primary_code
from engine.store.sqlite.tables import check_tables
from engine.store.tables.reading import DAMAGED_RETRY_AFTER_S, who_has
from engine.store.tables.reads import Queries

T = TypeVar("T")
READERS_MAX = 3
UNREADABLE_RETRY_AFTER_S = 5
_OF_THE_FILE = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }
)
"""What keeps a file from being read. Other errors are of the statement, and so of ours."""


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, also not by mistake."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.row_factory = sqlite3.Row
        add_functions(connection)
        connection.execute("PRAGMA query_only=1")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()  # opens the log too
    except BaseException:
        connection.close()
        raise
    return connection


def open_resting(path: Path) -> sqlite3.Connection:
    """A reader of a file that no engine has open. Beside one without a log nothing is made."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        return connect_read_only(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None
    )
    connection.row_factory = sqlite3.Row
    return connection


def add_functions(connection: sqlite3.Connection) -> None:
    """What statements over the rows need beside SQLite's own: `lower_case(text)`."""
    connection.create_function("lower_case", 1, _lower_case, deterministic=True)


def _lower_case(text: str | None) -> str | None:
    """SQLite's own `lower` knows ASCII alone."""
    return None if text is None else text.lower()


def _is_of_the_file(error: sqlite3.Error) -> bool:
    """And not of the statement. One that writes, here, is told `SQLITE_READONLY` and no more."""
    return primary_code(error) in _OF_THE_FILE and error.sqlite_errorcode != sqlite3.SQLITE_READONLY


class Readers(Queries):
    """A stack of read-only connections; each query borrows one.

    `at_once`: so many queries run at a time. All are opened here: later there might be no
    descriptor for one, and what reads the store is not to fail for that.
    """

    def __init__(
        self,
        path: Path,
        offload: Offload,
        at_once: int,
        log: Callable[..., None] = lambda event, **values: None,
    ) -> None:
        self._path, self._offload, self._log = path, offload, log
        self._damage: set[str] = set()
        """What was said of it, and of why it could not be read."""
        self._all: list[sqlite3.Connection] = []
        try:
            for _ in range(at_once + 1):
                self._all.append(connect_read_only(path))
        except BaseException:
            self.close()
            raise
        self._own, *self._idle = self._all

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a read-only connection, off Trio's thread."""

        def borrowed() -> T:
            connection = self._idle.pop()
            try:
                with self._names_damage(connection):
                    return work(connection)
            finally:
                self._idle.append(connection)

        return await self._offload(borrowed)

    def close(self) -> None:
        for connection in self._all:
            connection.close()

    def find_run(self, client: str, workflow: str, key: str, *, or_expired: bool) -> Found:
        """One look into one index, on Trio's own thread: it takes some 10 µs, the way to a worker
        thread and back ten times that, and every new run is looked for first."""
        try:
            return who_has(self._own, (client, workflow, key), or_expired=or_expired)
        except sqlite3.Error as error:
            self._refuse_if_damaged(error, self._own)
            raise

    @contextmanager
    def _names_damage(self, connection: sqlite3.Connection) -> Iterator[None]:
        """A file that turns out to be damaged, or cannot be read, is called so: nobody is told of
        a bug."""
        try:
            yield
        except sqlite3.Error as error:
            self._refuse_if_damaged(error, connection)
            raise

    def _refuse_if_damaged(self, error: sqlite3.Error, connection: sqlite3.Connection) -> None:
        """Raises Refused, and logs it once, if the error is of the file."""
        words = f"{error}, {error.sqlite_errorname}" if primary_code(error) else str(error)
        if is_damage(error) or self._is_changed(error, connection):
            self._say("store-damaged", words, mend=RESTORE)
            raise RefusedForDamage(
                Problem.STORE_UNAVAILABLE,
                f"The database is damaged where this is kept ({words}); its operator must restore a"
                " copy.",
                retryAfter=DAMAGED_RETRY_AFTER_S,
            ) from error
        if _is_of_the_file(error):
            self._say("store-unreadable", words)
            raise Refused(
                Problem.STORE_UNAVAILABLE,
                f"The database cannot be read where this is kept ({words}).",
                retryAfter=UNREADABLE_RETRY_AFTER_S,
            ) from error

    def _is_changed(self, error: sqlite3.Error, connection: sqlite3.Connection) -> bool:
        """A statement does not fit the tables, as they are not what the engine made."""
        if primary_code(error) != sqlite3.SQLITE_ERROR:
            return False
        try:
            check_tables(connection, self._path)
        except StoreError:
            return True
        except sqlite3.Error as other:
            return is_damage(other)
        return False

    def _say(self, event: str, words: str, **values: str) -> None:
        if words not in self._damage:
            self._damage.add(words)
            self._log(event, db=str(self._path), error=words, **values)


@contextmanager
def reading(
    path: Path, offload: Offload | None, log: Callable[..., None], after: ExitStack
) -> Iterator[tuple[Readers, Readers]]:
    """The engine's and the operators'. Closed before the writer; or after it, with an error.

    The last connection of all puts the log into the file when it closes, if it may write. After an
    error nobody shall: the log may be the matter, and both are read at the next start.
    """
    with ExitStack() as undo:
        found = []
        for _ in range(2):
            found.append(Readers(path, offload or threads(READERS_MAX), READERS_MAX, log))
            undo.callback(found[-1].close)
        try:
            yield found[0], found[1]
        except BaseException:
            after.push(undo.pop_all())
            raise
