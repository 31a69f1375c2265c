"""Bugs in how a store keeps its word on a server that many share (`engine/store/seat.py`), and in
what PostgreSQL is asked."""

from __future__ import annotations

from engine.store.model.database import Server
from engine.store.model.seat import ModelSeat
from engine.store.postgres import database, follow
from engine.store.postgres.wire import Link
from engine.store.replay import _Folded
from engine.store.seat import Seat
from engine.store.tables.views.views import TableViews
from engine.store.writer import Writer
from tests.mutants.catalog import PROPERTY, Planting, plant

DOUBT = "tests/store/contract/test_doubt.py::test_"
ON_SERVER = "tests/store/postgres/test_doubt.py::test_"
SEEN = f"{DOUBT}what_can_be_seen_is_told_when_it_lasts"


@plant("who has lost the database goes on writing to it", by=(PROPERTY,),
       test=f"{DOUBT}who_has_lost_the_database_writes_nothing")  # fmt: skip
def writes_without_a_fence(bug: Planting) -> None:
    bug.rewrite(Server.append,
                "self._row(fence):\n        if commit.entries and self.end().seq != before:",
                "self._row(self.look()):\n        if False:")  # fmt: skip


@plant("what is read may be of before", by=(PROPERTY,),
       test=f"{DOUBT}the_old_primary_is_not_believed")  # fmt: skip
def reads_without_a_fence(bug: Planting) -> None:
    bug.rewrite(Seat.read, "ask(fence, self._end.follows)", "ask(fence, 0)")


@plant("a look says that a commit lasts", by=(PROPERTY,), test=SEEN)
def looks_and_does_not_take(bug: Planting) -> None:
    bug.rewrite(Seat._take, "await self._database.take(seen, fence)", "fence = seen")  # fmt: skip


@plant("events are told that can be seen and may not last", by=(PROPERTY,), test=SEEN)
def seen_events_are_told(bug: Planting) -> None:
    bug.rewrite(TableViews.events, "while found and", "while False and")


@plant("what is in doubt is written again, without the database being taken", by=(PROPERTY,),
       test=f"{DOUBT}a_statement_in_doubt_is_there_once")  # fmt: skip
def asks_again_in_doubt(bug: Planting) -> None:
    bug.rewrite(Seat._or_doubt, "if self._in_doubt:", "if False:")


@plant("the engine goes on with a history that it cannot explain", by=(PROPERTY,),
       test=f"{DOUBT}lost_history_ends_the_engine")  # fmt: skip
def goes_on_with_lost_history(bug: Planting) -> None:
    bug.rewrite(Seat._explain, "if there != (self._end.seq, self._end.entry):",
                "self._end = found\n    if False:")  # fmt: skip


@plant("rows that a server has lost are not missed", by=(PROPERTY,),
       test=f"{DOUBT}lost_rows_are_made_again")  # fmt: skip
def lost_rows_are_not_missed(bug: Planting) -> None:
    bug.rewrite(ModelSeat.fold_again, "fold_again(kept, behind(), end.seq)",
                "self._model.primary.follows = end.follows")  # fmt: skip


@plant("rows that are still to be written are made of the journal, too", by=(PROPERTY,),
       test=f"{DOUBT}lost_rows_are_made_again")  # fmt: skip
def rows_to_come_are_made_again(bug: Planting) -> None:
    bug.rewrite(_Folded.read, "seq < self._until.get(line.run_id, seq + 1)", "True")


@plant("rows are written over those of after", by=(PROPERTY,),
       test=f"{DOUBT}rows_in_doubt_are_written_once")  # fmt: skip
def late_rows_are_written(bug: Planting) -> None:
    bug.rewrite(Server.follow, "self._row(fence):\n        if self.follows != number - 1:",
                "self._row(self.look()):\n        if False:")  # fmt: skip


@plant("runs that went with a commit whose answer was lost are counted on", by=(PROPERTY,),
       test=f"{DOUBT}counts_are_right_behind_a_doubt")  # fmt: skip
def counts_are_not_read_again(bug: Planting) -> None:
    bug.rewrite(Seat._append_again,
                "commit.tally = dict((await self._database.end(self._fence)).tally)",
                "pass")  # fmt: skip


@plant("who waits for what has happened waits for rows", by=(PROPERTY,),
       test=f"{DOUBT}who_waits_does_not_wait_for_rows")  # fmt: skip
def callers_wait_for_rows(bug: Planting) -> None:
    bug.rewrite(Writer._commit_off, "    self._recorded(batch, commit)\n",
                "    if commit.rows.made:\n"
                "        while (error := await self._sink.follow(commit)) is not None:\n"
                "            await self._before_next_try(error)\n"
                "    self._recorded(batch, commit)\n")  # fmt: skip


@plant("an engine that has lost PostgreSQL's seat appends all the same", by=(PROPERTY,),
       test=f"{DOUBT}who_has_lost_the_database_writes_nothing")  # fmt: skip
def appends_without_held(bug: Planting) -> None:
    held = "FROM seat, lasting WHERE id = 0 AND owner = $1 AND epoch = $2 FOR SHARE OF seat"
    bug.replace(database, "SQL_APPEND", _without(database.SQL_APPEND, held, "FROM lasting"))


@plant("an entry is put behind a gap in PostgreSQL's journal", by=(PROPERTY,),
       test=f"{ON_SERVER}lost_history_ends_the_engine")  # fmt: skip
def appends_without_before(bug: Planting) -> None:
    before = "WHERE seq = $3 AND seat = 0 AND seq + events - 1 = $4"
    any_entry = "WHERE seq = (SELECT max(seq) FROM journal) OR $3 + $4 < 0"
    bug.replace(database, "SQL_APPEND", _without(database.SQL_APPEND, before, any_entry))


@plant("a wait for the standby that somebody cancelled is taken for success", by=(PROPERTY,),
       test=f"{ON_SERVER}what_can_be_seen_is_told_when_it_lasts")  # fmt: skip
def warnings_are_not_heard(bug: Planting) -> None:
    bug.rewrite(Link._found, "if self._warnings:", "if False:")


@plant("what is acknowledged is only as durable as the database's default", by=(PROPERTY,),
       test=f"{ON_SERVER}what_was_acknowledged_outlives_a_crash_whatever_the_default")  # fmt: skip
def durable_by_default_alone(bug: Planting) -> None:
    bug.replace(database, "SQL_APPEND", _without(database.SQL_APPEND, "THEN 'on'", "THEN 'off'"))


@plant("late rows are written over those of after, in PostgreSQL", by=(PROPERTY,),
       test=f"{DOUBT}rows_in_doubt_are_written_once")  # fmt: skip
def late_rows_are_written_there(bug: Planting) -> None:
    fence = "AND owner = $1 AND epoch = $2 AND follows = $5 - 1"
    bug.replace(follow, "SQL_HELD", _without(follow.SQL_HELD, fence, "AND ($1, $2) IS NOT NULL"))


def _without(sql: str, was: str, becomes: str) -> str:
    """Raises ValueError when it is not there."""
    if sql.count(was) != 1:
        raise ValueError(f"{was!r} is not there once: plant it anew")
    return sql.replace(was, becomes)
