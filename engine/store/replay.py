"""At the start: fold what the journal knows and the tables do not, and write the rows.

Only the end of the journal is read, from where the tables are complete. A run's own
row says how far it got (`run.seq`), so an event is never folded twice.

A server that others take over may lose rows amid a life, and no event: then the same is done for
those alone (`fold_again`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, Protocol

from engine.core.errors import what_was_wrong
from engine.core.model import Run, StepState, run_of
from engine.ports.store import Stopped, StoreStopped
from engine.store.commit import Commit
from engine.store.folding import fold, new_run
from engine.store.journal import BodyLine, Entry, EventLine, unpack
from engine.store.pending import Pending, RunRows
from engine.store.stops import Stop, stop_lines


class Kept(Protocol):
    """What there is in a store, and how its last owner left it."""

    caught_up: int
    """Up to which event the tables are complete."""
    owner: str
    epoch: int
    not_of_a_run: type[Exception] | tuple[type[Exception], ...]
    """What it raises that is not the fault of one run."""

    def journal(self) -> Iterable[tuple[int, bytes]]:
        """Its entries behind `caught_up`, packed, each with the number of its first event."""

    def run(self, run_id: str) -> tuple[Run, int] | Literal["stopped"] | None:
        """The run as its rows have it, and the last event that they know. None: they know nothing
        of it. One that is recorded as stopped is not read."""

    def write(self, commit: Commit) -> None:
        """Commit."""


def replay(kept: Kept) -> None:
    """Bring the tables up to the journal's end.

    A crash within it leaves everything as it was, or as it was before the last stops. A run whose
    events do not fold, or whose rows cannot be read or written, is stopped (`stops.py`), and the
    others go on.
    """
    found = _Folded(kept)
    stops = _Stops(found.read())
    for run_id, (error, behind, at) in found.broken.items():
        stops.add(run_id, error, behind, at)
    commit = stops.commit(kept, found.pending.take(0.0, at_most=None))
    stops = _Stops(stops.seq)
    for it in commit.unwritable:
        if it.is_lost:
            raise it.error
        if it.must_be_stopped:
            lacks = it.first if it.lacking else None
            stops.add(it.run.id, what_was_wrong(it.error), lacks, found.latest)
    stops.commit(kept, [])


def fold_again(kept: Kept, until: Mapping[str, int], last: int) -> None:
    """Have tables that lost rows, amid a life, know again what they knew: all up to event `last`,
    but of these runs only what is before these events. The rest their owner has still to write.

    Raises StoreStopped where the rows of a run cannot be made: a start tells what is wrong with it.
    """
    found = _Folded(kept, until)
    found.read(last)
    caught_up = min([last, *(first - 1 for first in until.values())])
    rows = found.pending.take(0.0, at_most=None)
    commit = Commit([], rows, owner=kept.owner, epoch=kept.epoch, caught_up=caught_up)
    if not found.broken:
        kept.write(commit)
    if cannot := [*found.broken, *(it.run.id for it in commit.unwritable)]:
        raise StoreStopped(
            f"The database has lost rows of run {cannot[0]}, and they cannot be made again of the"
            " journal. The next start stops that run alone, and says why."
        )


class _Stops:
    """What records of runs that they are stopped here, behind event `seq`."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self._entries: list[Entry] = []
        self._stops: list[Stop] = []

    def add(self, run_id: str, error: str, behind: int | None, at: int) -> None:
        """`behind` is the first event that the rows of the run lack."""
        stopped = Stopped(run_id, "", StepState.RUNNING, 0, StepState.RUNNING, 0, error)
        entry, first = Entry(self.seq + 1), self.seq + 1
        entry.events = stop_lines(stopped, at)
        self.seq += len(entry.events)
        self._entries.append(entry)
        self._stops.append(Stop(stopped, at, first, self.seq, behind))

    def commit(self, kept: Kept, pending: list[RunRows]) -> Commit:
        """Stop them, and write these rows."""
        commit = Commit(
            self._entries,
            pending,
            owner=kept.owner,
            epoch=kept.epoch,
            caught_up=self.seq,
            stops=self._stops,
        )
        if pending or self._stops:
            kept.write(commit)
        return commit


class _Folded:
    """Runs as their events make them."""

    def __init__(self, kept: Kept, until: Mapping[str, int] = MappingProxyType({})) -> None:
        """`until`: of these runs only what is before these events."""
        self.pending = Pending()
        self._kept, self._until = kept, until
        self._runs: dict[str, tuple[Run, int] | None] = {}
        """Each with the last event that its row knew; None: a bug stopped it."""
        self.broken: dict[str, tuple[str, int, int]] = {}
        """Runs that a bug stops here: what was wrong, the first event that the rows lack, when."""
        self.latest = 0
        """When the last event was."""

    def read(self, last: int | None = None) -> int:
        """Fold what the journal has behind what the tables know, up to this event; returns which
        was the last."""
        caught_up = seq = self._kept.caught_up
        for first, packed in self._kept.journal():
            if last is not None and first > last:
                break
            events, bodies = unpack(packed)
            by_run: dict[str, list[BodyLine]] = {}
            for body in bodies:
                by_run.setdefault(run_of(body.step_id), []).append(body)
            for seq, line in enumerate(events, first):
                if seq > caught_up and seq < self._until.get(line.run_id, seq + 1):
                    self.fold(seq, line, first, by_run.get(line.run_id, []))
        return seq

    def fold(self, seq: int, line: EventLine, entry: int, bodies: list[BodyLine]) -> None:
        """Fold one event, if the run's row does not know it yet."""
        self.latest = line.event.at
        try:
            self._fold(seq, line, entry, bodies)
        except Exception as error:
            if isinstance(error, self._kept.not_of_a_run):
                raise
            run_id = line.run_id
            self.pending.withhold(run_id)
            first = self.pending.first_withheld(run_id)
            self.broken[run_id] = (
                what_was_wrong(error), seq if first is None else first, line.event.at
            )  # fmt: skip
            self._runs[run_id] = None

    def _fold(self, seq: int, line: EventLine, entry: int, bodies: list[BodyLine]) -> None:
        run_id = line.run_id
        if run_id not in self._runs:
            self._runs[run_id] = self._known(line)
        found = self._runs[run_id]
        if found is not None and seq > found[1]:
            fold(self.pending, found[0], seq, line, entry, bodies, self._kept.epoch)

    def _known(self, line: EventLine) -> tuple[Run, int] | None:
        found = self._kept.run(line.run_id)
        if found == "stopped":
            return None
        return (new_run(line), 0) if found is None else found
