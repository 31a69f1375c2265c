"""Access tokens, and what each role allows."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """What an access token allows; each of the last three allows what those before it do."""

    SUBMIT = "submit"
    """To post as one client, and to read the outcomes of its steps."""
    READ = "read"
    """To see everything but bodies."""
    OPERATE = "operate"
    """Bodies, actions, bulk jobs, holds."""
    ADMIN = "admin"
    """Clients, tokens and limits."""


class Token(Struct, frozen=True):
    """An access token, without what it is: that is shown once, and nowhere kept."""

    name: str
    """What people, the log and the record of who acted call it."""
    digest: bytes
    """SHA-256 of the token: of 256 random bits, which no slow hash could protect better."""
    role: Role
    client: str | None = None
    """The only client it is good for; None: every one. A token to submit always has one."""
    expires_at: int | None = None
    """Milliseconds since the epoch, UTC; None: never."""
    defined_in: str = ""
    """The file that has it, for people; empty: it is in the store."""
