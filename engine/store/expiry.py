"""Runs that go, keys that are forgotten, and the beginning of the journal, with a commit: the work
of retention on the file.

What goes was looked for a moment before, so the store looks again as it removes it: only what has
ended long enough ago goes, and only if the tables know all that the journal says of it
(`engine.caught_up`). So a start never finds events of a run that has gone and the rows lack.
For the same reason the journal is never cut beyond that.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from engine.store.journal import Part


class Cut(Struct, frozen=True):
    """The oldest entries of a journal, which are to go."""

    behind: int
    """The floor until now: the last event that went before."""
    floor: int
    """The last event that goes now."""
    carried: tuple[Part, ...] = ()
    """What the entries have of runs that stay."""
    unknown: frozenset[str] = frozenset()
    """Those of which nothing but the journal tells: what it has of them is damage, and stays."""
    pages: int = 0
    """What it adds to the log, about."""


class Expiry(Struct):
    """What is to go with one commit."""

    run_ids: tuple[str, ...] = ()
    ended_before: Mapping[str, int] = field(default_factory=dict)
    """By state: what ended later stays."""
    removed_at: int | None = None
    """What is kept beside their keys."""
    key_ids: tuple[str, ...] = ()
    """Expired runs whose keys are forgotten."""
    keys_before: int = 0
    """Those that ended later stay."""
    cut: Cut | None = None
    gone: int = 0
    """How many runs, keys or events went, once it is made."""
