"""What runs are looked for by, and loaded, and the rest of the `Reads` of `store/store.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from engine.core.model import Run, run_of
from engine.ports.audit import AuditEntry, AuditQuery
from engine.ports.retention import EndedRun, Expired, Old
from engine.ports.store import Body, Due, Found, HeldCount, HeldStep, Larger, Look, Stopped, Stored
from engine.ports.views import EventRecord
from engine.store.expiry import Cut
from engine.store.tables import cut, expiry
from engine.store.tables.audit import audited_before, find_audited
from engine.store.tables.connection import SQL, Tables, snapshot
from engine.store.tables.reading import bytes_used, events, load_runs, stored_body, who_has
from engine.store.tables.stopped import read_again

T = TypeVar("T")


class Queries:
    """What a run is looked for by, and loaded. How a connection is had is a subclass's."""

    async def read(self, work: Callable[[Tables], T]) -> T:
        """Run `work` on a connection."""
        raise NotImplementedError

    def find_run(self, client: str, workflow: str, key: str, *, or_expired: bool) -> Found | Look:
        """Who has this identity, as far as the tables know it; here, how to ask.

        Always as if a key could be of an expired run: another owner may have removed one.
        """
        look = partial(who_has, identity=(client, workflow, key), or_expired=True)
        return Look(partial(self.read, look))

    async def load_runs(self, run_ids: Sequence[str], until: int) -> list[Stored | Stopped]:
        """The runs, and the small payloads of their steps that are to be called by `until`."""

        return await self.read(lambda db: load_runs(db, run_ids, until))

    async def body(
        self, step_id: str, number: int, *, answer: bool, bytes_max: int | None, entry: int | None
    ) -> Body | Larger | None:
        """`entry` is the journal's where it is known to lie; None: the tables say which."""

        def work(db: Tables) -> Body | Larger | None:
            with snapshot(db):  # its entry may be cut at any moment
                return stored_body(
                    db, step_id, number, answer=answer, bytes_max=bytes_max, entry=entry
                )

        return await self.read(work)

    async def due(self, after: Due, until: int, limit: int) -> list[Due]:
        where = (after.wake_at, after.step_id, until, limit)
        found = await self.read(lambda db: db.execute(SQL["due"], where).fetchall())
        return [Due(row["wake_at"], row["id"], run_of(row["id"])) for row in found]

    async def held(self, after: str, limit: int) -> list[HeldStep]:
        found = await self.read(lambda db: db.execute(SQL["held"], (after, limit)).fetchall())
        return [
            HeldStep(row["id"], run_of(row["id"]), row["client"], row["workflow"], row["url"])
            for row in found
        ]

    async def held_counts(self) -> list[HeldCount]:
        found = await self.read(lambda db: db.execute(SQL["held_counts"]).fetchall())
        return [HeldCount(*row) for row in found]

    async def events(self, after: int, limit: int) -> list[EventRecord]:
        """Events behind a number, in their order."""
        return await self.read(lambda db: events(db, after, limit))


class TableReads:
    """The `Reads` of `store/store.py`: by the tables, and the entries of the journal that they
    name."""

    def __init__(self, readers: Queries, view_readers: Queries) -> None:
        self._readers, self._read_view = readers, view_readers.read
        # Asked for each post and each run that is taken up: without a call in between.
        self.find_run, self.body, self.load_runs = readers.find_run, readers.body, readers.load_runs
        self.due, self.held, self.held_counts = readers.due, readers.held, readers.held_counts

    async def read_again(self, run_id: str) -> Run:
        """A stopped run as it was recorded. Raises whatever reading it raises."""

        def work(db: Tables) -> Run:
            with snapshot(db):  # what it is folded from may be cut at any moment
                return read_again(db, run_id)

        return await self._readers.read(work)

    async def expired(self, run_id: str) -> Expired | None:
        """The expired run of this id."""
        return await self._readers.read(lambda db: expiry.key_of_run(db, run_id))

    async def expired_of_key(
        self, key: str, client: str | None, workflow: str | None, limit: int
    ) -> list[Expired]:
        """Expired runs with this key, the latest first."""
        where = (key, client, workflow, limit)
        return await self._read_view(lambda db: expiry.of_key(db, *where))

    async def ended_runs(
        self, state: str, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[EndedRun]:
        """Runs in this state that ended before a time, by id, from just behind `after`."""
        where = (state, ended_before, id_before, after, limit)
        return await self._read_view(lambda db: expiry.ended_runs(db, *where))

    async def old_keys(
        self, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[str]:
        """Expired runs that ended before a time, by their ids."""
        where = (ended_before, id_before, after, limit)
        return await self._read_view(lambda db: expiry.old_keys(db, *where))

    async def old(self, before: int, id_before: str) -> Old:
        """What there is of before a time."""
        return await self._read_view(lambda db: expiry.old(db, before, id_before))

    async def look_to_cut(self, before: int) -> Cut | None:
        """A piece of the journal's beginning that may go; None: there is none."""
        return await self._read_view(lambda db: cut.look(db, before))

    async def audited_before(self, at: int) -> int:
        """How many durable entries are older than this."""
        return await self._read_view(lambda db: audited_before(db, at))

    async def audited(self, query: AuditQuery) -> list[AuditEntry]:
        """Those that are durable, the newest first."""
        return await self._read_view(lambda db: find_audited(db, query))

    async def bytes_used(self) -> int:
        """What all that it keeps takes."""
        return await self._read_view(bytes_used)
