"""The port of retention: what has ended goes, and its key stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class Expired(Struct, frozen=True):
    """What is kept of a run that retention removed: who it was, how it ended, and when."""

    run_id: str
    client: str
    workflow: str
    key: str
    state: str
    submitted_at: int
    ended_at: int
    removed_at: int | None = None
    """None: before that was kept."""


class EndedRun(Struct, frozen=True):
    """A run that ended long ago."""

    run_id: str
    steps: int
    """How many it has: what it costs to remove it."""


class Old(Struct, frozen=True):
    """What is of before a time, of all that there is."""

    events: int
    """Those that leave the journal, if that is cut there."""
    bytes: int
    """Of the journal, with the bodies that it has."""
    events_behind: int
    """Those that the journal has behind these."""
    runs: int
    """That began before, whatever became of them."""
    runs_behind: int
    """That began later."""


class Acting(Struct, frozen=True, rename="camel"):
    """How long runs and keys are kept, as it is registered: so a restart neither waits anew nor
    acts sooner, and who checks a file knows what may have gone from it."""

    days: int
    keys_days: int
    acts_at: int
    """From when on, in milliseconds since the epoch."""
    keys_before: int = 0
    """Keys of runs that ended before this may have been forgotten; 0: none ever was."""
    clock_ahead_ms: int = 0
    """By how much the clock of the start that it waits since was ahead of all that was recorded; 0:
    it was not."""


class RetainingStore(Protocol):
    """Where runs go, and keys are kept."""

    @property
    def any_expired(self) -> bool:
        """False: no key of an expired run can be here, so nobody has to look for one."""

    async def expired(self, run_id: str) -> Expired | None:
        """The expired run of this id."""

    async def expired_of_key(
        self, key: str, client: str | None, workflow: str | None, limit: int
    ) -> list[Expired]:
        """Expired runs with this key, whoever's and of whichever workflow unless these are named;
        the latest first."""

    async def ended_runs(
        self, state: str, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[EndedRun]:
        """Runs in this state that ended before a time, by id, from just behind `after`. Only ids
        before `id_before` are looked at: ids rise with the time at which a run began."""

    async def expire(
        self, run_ids: Sequence[str], ended_before: Mapping[str, int], now: int | None = None
    ) -> int:
        """Remove runs that nobody has in memory, durably, and keep their keys, and when that was;
        returns how many went. By state: only those that ended before this time go, whatever was
        asked."""

    async def old_keys(
        self, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[str]:
        """Expired runs that ended before a time, as `ended_runs`, by their ids."""

    async def forget_keys(self, run_ids: Sequence[str], ended_before: int) -> int:
        """Forget the keys of expired runs, durably, and that there were any; returns how many."""

    async def old(self, before: int, id_before: str) -> Old:
        """What there is of before this time. `id_before`: as of `ended_runs`."""

    async def cut_journal(self, before: int) -> int:
        """Take a piece off the beginning of the journal, durably: what was recorded before this
        time, but for what is of runs that are there. Returns how many events went; 0: none is left
        that may go."""
