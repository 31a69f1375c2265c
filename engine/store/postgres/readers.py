"""Reads in threads: each work within a transaction of its own, on a connection that it has alone.

What it reads is of one moment, at which the fence held and the tables had had all the follows that
are known here. No state is left on the connection, so that any pooler may stand between.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from engine.core.errors import Problem, Refused
from engine.store.postgres.borrowing import Borrowing
from engine.store.postgres.tables import Transaction
from engine.store.postgres.wire import Blocking
from engine.store.seat import Fence, Fenced, NoReply, Seat
from engine.store.tables.connection import Tables
from engine.store.tables.reads import Queries

T = TypeVar("T")
RETRY_AFTER_S = 1
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off"
"""Steps of a run are a range of ids, of which the planner thinks that it is long: it would compile
what takes a millisecond."""
SQL_FENCE = (
    "SELECT seat.owner, seat.epoch, mark.follows FROM seat JOIN mark ON mark.seat = seat.id"
    " WHERE seat.id = 0"
)


def read_fenced(connection: Blocking, fence: Fence, follows: int, work: Callable[[Tables], T]) -> T:
    """What `work` finds where the fence holds and the tables have had so many follows."""
    connection.script(BEGIN)
    owner, epoch, had = connection.execute(SQL_FENCE).fetchall()[0]
    if (owner, epoch) != fence:
        raise Fenced(f"{owner} may write, of epoch {epoch}")
    if had < follows:
        raise Fenced(f"the tables have had {had} follows, and should have {follows}")
    found = work(Transaction(connection))
    connection.script("ROLLBACK")
    return found


class SeatQueries(Queries):
    """Reads by the fence of a seat."""

    def __init__(self, seat: Seat, borrowing: Borrowing, *, patient: bool = True) -> None:
        """Who is not patient is told when the database does not answer; else it is asked again."""
        self._seat, self._borrowing, self._patient = seat, borrowing, patient

    async def read(self, work: Callable[[Tables], T]) -> T:
        """Run `work` in a thread. Raises Refused for who is not patient."""

        async def ask(fence: Fence, follows: int) -> T:
            asked = partial(read_fenced, fence=fence, follows=follows, work=work)
            try:
                return await self._borrowing.read(asked)
            except NoReply as error:
                if self._patient:
                    raise
                raise Refused(
                    Problem.STORE_UNAVAILABLE,
                    f"The database does not answer for now ({error}).",
                    retryAfter=RETRY_AFTER_S,
                ) from error

        return await self._seat.read(ask)
