"""What goes into the store together, as values: nothing that happens meanwhile changes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from engine.core.model import ENDED, Run
from engine.ports.audit import AuditEntry
from engine.ports.registry import Registered
from engine.store import rows
from engine.store.expiry import Expiry
from engine.store.jobs import JobWrite
from engine.store.journal import Entry, JournalRow
from engine.store.pending import RunRows, add_counts
from engine.store.stops import Stop


class RowsOfRun(Struct):
    """The rows of one run, turned into values."""

    of: Run
    first: int
    """The first event that the tables do not know without them."""
    is_new: bool
    run: tuple[Any, ...]
    steps: list[tuple[Any, ...]]
    attempts: list[tuple[Any, ...]]
    ends: list[tuple[Any, ...]]
    outcomes: list[tuple[Any, ...]]
    run_counts: dict[str, int]
    payload: tuple[str, int] | None = None
    """The root and the number of its payload: an earlier one, where there is one, is to be found
    still."""
    bodies: list[tuple[Any, ...]] = []
    """Where others lie than those that rows of steps and attempts name."""

    def of_table(self, name: str) -> list[tuple[Any, ...]]:
        """The rows of one table, of a run that the tables do not know."""
        if name == "run":
            return [self.run]
        named = {"step": self.steps, "attempt": self.attempts, "outcome": self.outcomes}
        return named.get(name, self.bodies)


def tally_rows(some: Iterable[RowsOfRun]) -> list[tuple[str, int]]:
    """How the rows of some runs move the counts of runs by state, together."""
    moved: dict[str, int] = {}
    for each in some:
        add_counts(moved, each.run_counts)
    return [(state, by) for state, by in moved.items() if by]


def _rows_of(it: RunRows, owner: str, epoch: int) -> RowsOfRun:
    return RowsOfRun(
        it.run,
        it.first,
        it.is_new,
        rows.run_row(it.run, it.seq, owner, epoch),
        [
            rows.step_row(it.run, step, it.bodies.get((step.id, False, step.payload_generation)))
            for step in it.steps.values()
        ],
        [rows.attempt_row(record) for record in it.started.values()],
        list(it.ended),
        list(it.outcomes),
        dict(it.run_counts),
        *(_other_bodies(it) if it.is_repaired else ()),
    )


def _other_bodies(it: RunRows) -> tuple[tuple[str, int], list[tuple[Any, ...]]]:
    """Results that were set, and payloads that another was set for."""
    root = it.run.root
    found = [
        (step_id, answer, number, entry)
        for (step_id, answer, number), entry in it.bodies.items()
        if number < (0 if answer else root.payload_generation) and (answer or step_id == root.id)
    ]
    return (root.id, root.payload_generation), found


class Unwritable(Struct, frozen=True):
    """A run whose rows could not be written as they are."""

    run: Run
    first: int
    """The first event that they were to tell of."""
    error: Exception
    lacking: bool
    """Nothing of them was written. Else all that has room in the tables was: what was there already
    stays, though it should not have been there."""
    is_new: bool

    @property
    def is_lost(self) -> bool:
        """The tables know nothing of the run: there is no row to say that it was stopped."""
        return self.lacking and self.is_new

    @property
    def must_be_stopped(self) -> bool:
        """The run is not over, or its rows do not say so."""
        run = self.run
        return self.lacking or run.shown not in ENDED or bool(run.open_steps)


class RowsToWrite:
    """The rows of some runs. What is wrong with those of one is not felt by the others."""

    def __init__(self, pending: Iterable[RunRows], owner: str, epoch: int) -> None:
        self.made: list[RowsOfRun] = []
        self._without: list[Unwritable] = []
        for each in pending:
            try:
                self.made.append(_rows_of(each, owner, epoch))
            except Exception as error:  # noqa: BLE001 - whatever it is must stop this run alone
                known = Unwritable(each.run, each.first, error, True, each.is_new)
                self._without.append(known)
        self.unwritable = self._without
        """Whole when they are written."""

    def __len__(self) -> int:
        """Of how many runs."""
        return len(self.made) + len(self._without)

    def begin(self) -> None:
        """They are to be written, perhaps again."""
        self.unwritable = list(self._without)

    def fail(self, it: RowsOfRun, error: Exception, *, lacking: bool) -> None:
        """The rows of one run were not written as they are."""
        self.unwritable.append(Unwritable(it.of, it.first, error, lacking, it.is_new))


class Commit:
    """What a store writes in one go, whole or not at all: what happened, and rows that follow."""

    def __init__(
        self,
        entries: list[Entry],
        pending: list[RunRows],
        *,
        owner: str,
        epoch: int,
        caught_up: int,
        stops: Sequence[Stop] = (),
        registered: Sequence[Registered] = (),
        audit: Sequence[AuditEntry | int | str] = (),
        expiries: Sequence[Expiry] = (),
        jobs: Sequence[JobWrite] = (),
    ) -> None:
        self.entries, self.stops = entries, stops
        self.registered, self.audit = registered, audit
        self.expiries, self.jobs = expiries, jobs
        self.owner, self.epoch = owner, epoch
        self.rows = RowsToWrite(pending, owner, epoch)
        self._caught_up = caught_up
        self._packed: list[JournalRow] | None = None
        self.moved: dict[str, int] = {}
        """How stops and expiries move the counts of runs by state, once written."""
        self.tally: dict[str, int] | None = None
        """In its place, where the answer that tells it was lost: runs by state, as the tables have
        them with this in them, and without its rows."""
        self.body_bytes = sum(each.bytes for each in entries)
        self.events = sum(len(each.events) for each in entries)

    def packed(self) -> list[JournalRow]:
        """Its entries as rows of the journal. In any thread; made once, and not for each try."""
        if self._packed is None:
            self._packed = [entry.row() for entry in self.entries]
        return self._packed

    @property
    def has_record(self) -> bool:
        """There is something in it beside rows that follow."""
        beside = self.stops or self.registered or self.audit or self.expiries or self.jobs
        return bool(self.entries or beside)

    @property
    def caught_up(self) -> int:
        """Up to where the tables know every event, once it is made."""
        return min([self._caught_up, *(it.first - 1 for it in self.unwritable if it.lacking)])

    @property
    def unwritable(self) -> list[Unwritable]:
        """The runs whose rows this commit could not write, once it is made."""
        return self.rows.unwritable

    def count(self, moved: dict[str, int]) -> None:
        """How one of them moves the counts."""
        add_counts(self.moved, moved)
