"""What is removed, and when: `POST /api/v1/prune`, and what the status says of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

Days = Annotated[int, Meta(ge=1, le=36_500)]


class PruneRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST /api/v1/prune`."""

    dry_run: bool = False
    """Only say what would go."""
    retention_days: Days | None = None
    """Of a dry run: what would go if this were the setting."""
    keys_kept_days: Days | None = None
    """The same."""


class PruneAnswer(Struct, frozen=True, rename="camel"):
    """What goes now, or would."""

    dry_run: bool
    retention_days: int
    keys_kept_days: int | None
    """None: for ever."""
    runs: dict[str, int]
    """By state."""
    keys: int
    """Of runs that have gone, to be forgotten."""
    steps: int | None = None
    """Of these runs: what they were given and what they answered goes too. None, here and below:
    the engine is older, and does not say."""
    events: int | None = None
    """That go from the journal, but for those of runs that stay, which are carried on."""
    bytes_about: int | None = None
    """That get free in the file; estimated."""
    runs_stay: int | None = None
    """All others."""
    runs_carried: int | None = None
    """Of these, those that began before the events that go were recorded: all of them that is
    there is carried on."""
    events_stay: int | None = None
    """In the journal, behind those that go."""
    begins_at: str | UnsetType = UNSET
    """Told where it is no dry run: the pass that does it begins then or later."""


class PruningPass(Struct, frozen=True, rename="camel"):
    """One look at all that has grown old enough, and what went by now."""

    since: str
    runs_expired: int
    keys_forgotten: int
    events_removed: int
    ended_at: str | None = None
    """None: it is at work."""
    took_ms: int | None = None
    error: str | None = None
    """Why it ended before all had gone: the next one goes on."""


class RetentionStatus(Struct, frozen=True, rename="camel"):
    """How long runs and their keys are kept."""

    retention_days: int
    keys_kept_days: int | None
    """None: for ever."""
    acts_at: str | None
    """From when on, where a shorter time still waits for that."""
    runs_expired: int
    """Since the start."""
    keys_forgotten: int
    """Since the start."""
    events_removed: int = 0
    """From the journal, since the start; those of runs that are kept were carried on."""
    under_way: PruningPass | UnsetType = UNSET
    """Told while something is being removed, or is looked for."""
    last_pass: PruningPass | UnsetType = UNSET
    """Told when one has ended since the start."""
