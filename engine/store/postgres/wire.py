"""Connections to PostgreSQL: libpq itself, by psycopg's public layer over it (`psycopg.pq`).

Nothing else of the engine imports psycopg. `Connection` waits on Trio's loop, `Blocking` in a
thread; both send one statement at a time, without a name, so that any pooler may stand between.
A statement is never cancelled: who stops waiting for it closes its connection, and does not know
what has become of it. So does who is told of success and warned beside it: a wait for the standby
that somebody cancelled ends so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import psycopg
import trio
from psycopg import pq

from engine.core.errors import EngineError
from engine.ports.store import StoreError
from engine.store.postgres.place import SCHEMES, Place
from engine.store.postgres.values import BINARY, Found, Param, plain
from engine.store.seat import NoReply

_READING, _WRITING = pq.PollingStatus.READING, pq.PollingStatus.WRITING
_GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
NOT_NOW = ("08", "25006", "25P03", "40", "53", "55P03", "57", "58", "XX")
"""SQLSTATEs, or their beginnings, of a server that could do it another time, or another server:
connections lost, one that cannot be written, no room, locks, one that stops or starts, its disk."""
LOST = "08006"
_BY_THE_WAY = re.compile(
    r"^[a-z ]+ failed: |\s*(This probably means|Is the server running).*|^[A-Z]+: +", re.DOTALL
)
"""What psycopg and libpq put before and behind what has happened."""


class Said(EngineError):
    """What the server says of a statement that it did not carry out, and would not another time."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state
        """SQLSTATE."""


class NotNow(NoReply):
    """It was not carried out, or that is not known; another time it may be."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


def place_of(url: str) -> Place:
    """An address that people wrote. Raises StoreError."""
    right = "it begins as postgresql://USER:PASSWORD@HOST:PORT/DATABASE does"
    if not url.startswith(SCHEMES):
        raise StoreError(f"store: this is no address of a PostgreSQL database: {right}.")
    try:
        found = pq.Conninfo.parse(url.encode())
        known = {it.keyword.decode(): it.val.decode() for it in found if it.val}
        secret = frozenset(it.keyword.decode() for it in found if it.dispchar == b"*")
        return Place(known, secret)
    except (psycopg.Error, ValueError):  # what they say may have the password in it
        raise StoreError(
            f"store: this address of a PostgreSQL database cannot be read: {right}, and in its"
            " parts what is no letter, digit, '-', '.', '_' or '~' is written as % and two digits."
        ) from None


class Link:
    """What both kinds of connections are."""

    def __init__(self, pgconn: pq.abc.PGconn, place: Place) -> None:
        self._pg, self._place = pgconn, place
        self._warnings: list[str] = []
        pgconn.notice_handler = self._noticed

    @property
    def is_lost(self) -> bool:
        """Nothing can be asked any more."""
        return self._pg.status != pq.ConnStatus.OK

    @property
    def backend_pid(self) -> int:
        """The process that serves it; 0 once it is closed."""
        return 0 if self.is_lost else self._pg.backend_pid

    def close(self) -> None:
        """What is under way may be carried out or not."""
        if self._pg.status == pq.ConnStatus.OK:
            trio.lowlevel.notify_closing(self._pg.socket)
        self._pg.finish()

    def _noticed(self, notice: pq.abc.PGresult) -> None:
        if notice.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) == b"WARNING":
            self._warnings.append(_message(notice))

    def _found(self, result: pq.abc.PGresult) -> Found:
        """What came of a statement. Raises Said and NoReply."""
        if result.status not in _GOOD:
            raise self._error(result)
        if self._warnings:
            warned = self._place.without_secrets(self._warnings[0])
            self._warnings.clear()
            raise NotNow("01000", f"it says that it has done it, and warns: {warned}")
        return Found(result)

    def _error(self, result: pq.abc.PGresult) -> Exception:
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode() or LOST
        message = self._place.without_secrets(_message(result))
        return (NotNow if state.startswith(NOT_NOW) else Said)(state, message)

    def _lost(self, error: psycopg.Error) -> NotNow:
        self._pg.finish()
        return NotNow(LOST, self._place.without_secrets(_BY_THE_WAY.sub("", str(error))))


def _message(result: pq.abc.PGresult) -> str:
    """Without the lines that may quote what was to be written."""
    primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
    return result.get_error_message() if primary is None else primary.decode(errors="replace")


class Connection(Link):
    """One that is waited for on Trio's loop."""

    async def run(self, sql: str, params: Sequence[Param] = ()) -> Found:
        """One statement, its values `$1`, `$2`. Raises NoReply, and Said."""
        if self.is_lost:
            raise NotNow(LOST, "the connection is lost")
        self._warnings.clear()
        is_whole = False
        try:
            self._pg.send_query_params(
                sql.encode(),
                [it.data for it in params],
                [it.type for it in params],
                [it.format for it in params],
                BINARY,
            )
            await self._send()
            result = await self._last_result()
            is_whole = True
        except psycopg.Error as error:
            raise self._lost(error) from None
        finally:
            if not is_whole:
                self.close()
        return self._found(result)

    async def _send(self) -> None:
        while self._pg.flush():
            async with trio.open_nursery() as either:  # it may have to speak before it reads on
                either.start_soon(self._hear, either.cancel_scope)
                await trio.lowlevel.wait_writable(self._pg.socket)
                either.cancel_scope.cancel()

    async def _hear(self, either: trio.CancelScope) -> None:
        await trio.lowlevel.wait_readable(self._pg.socket)
        self._pg.consume_input()
        either.cancel()

    async def _last_result(self) -> pq.abc.PGresult:
        """All of them are to be taken; one is wanted: the error, if there is one."""
        wanted: pq.abc.PGresult | None = None
        while True:
            while self._pg.is_busy():
                await trio.lowlevel.wait_readable(self._pg.socket)
                self._pg.consume_input()
            result = self._pg.get_result()
            if result is None:
                assert wanted is not None
                return wanted
            if wanted is None or wanted.status in _GOOD:
                wanted = result

    def into_thread(self) -> Blocking:
        """The same connection, from now on for who may block."""
        self._pg.nonblocking = 0
        return Blocking(self._pg, self._place)


class Blocking(Link):
    """One for work in a thread: each call returns when it is answered."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Found:
        """One statement, its values `$1`, `$2`, of types that the server knows. Raises NoReply, and
        Said."""
        params = [plain(value) for value in values]
        self._begin()
        try:
            result = self._pg.exec_params(
                sql.encode(),
                [it.data for it in params],
                [it.type for it in params],
                [it.format for it in params],
                BINARY,
            )
        except psycopg.Error as error:
            raise self._lost(error) from None
        return self._found(result)

    def script(self, text: str, /) -> None:
        """Statements without values, one behind the other. Raises NoReply, and Said."""
        self._begin()
        try:
            result = self._pg.exec_(text.encode())
        except psycopg.Error as error:
            raise self._lost(error) from None
        if result.status != pq.ExecStatus.EMPTY_QUERY:
            self._found(result)

    def _begin(self) -> None:
        if self.is_lost:
            raise NotNow(LOST, "the connection is lost")
        self._warnings.clear()


async def connect(place: Place) -> Connection:
    """To the first of its addresses that is as it should be. Raises NoReply, which says of each why
    it is not."""
    try:
        attempts = await place.attempts()
    except OSError as error:
        raise NotNow(LOST, str(error)) from None
    reasons: list[str] = []
    for where, conninfo in attempts:
        with trio.move_on_after(place.connect_s):
            try:
                return Connection(await _connect(conninfo), place)
            except psycopg.Error as error:
                reasons.append(place.without_secrets(_BY_THE_WAY.sub("", str(error))))
                continue
        reasons.append(f"{where} does not answer within {place.connect_s} s")
    raise NotNow("08001", "; ".join(dict.fromkeys(reasons)))


async def _connect(conninfo: bytes) -> pq.abc.PGconn:
    """Raises psycopg.Error."""
    pgconn = pq.PGconn.connect_start(conninfo)
    try:
        while pgconn.status != pq.ConnStatus.BAD:
            status = pgconn.connect_poll()
            if status == pq.PollingStatus.OK:
                pgconn.nonblocking = 1
                return pgconn
            if status == _READING:
                await trio.lowlevel.wait_readable(pgconn.socket)
            elif status == _WRITING:
                await trio.lowlevel.wait_writable(pgconn.socket)
            else:
                break
        raise psycopg.OperationalError(pgconn.get_error_message())
    except BaseException:
        pgconn.finish()
        raise
