"""Copies of the record: what is asked for, and how they are."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class BackupRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST /api/v1/backups`: make a copy under this path of the engine's machine."""

    file: Annotated[
        str, Meta(min_length=1, max_length=4_096, extra_json_schema={"format": "file-path"})
    ]


class BackupRow(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One that was made, or failed."""

    file: str
    ended_at: str
    took_ms: int
    actor: str
    """Who asked for it; `engine`: it was made by itself."""
    bytes: int = 0
    error: str | None = None
    """Why there is none."""


class BackupProgress(Struct, frozen=True, rename="camel"):
    """One that is being made."""

    file: str
    since: str
    actor: str
    pages_done: int
    pages: int
    """0: not known yet."""


class BackupStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    """How copies of the record are."""

    under_way: BackupProgress | None = None
    last: BackupRow | None = None
    last_good: BackupRow | None = None
    """The last of which there is a copy."""
    next_at: str | None = None
    """When the next is made by itself."""
