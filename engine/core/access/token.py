"""Access tokens, and what each role allows."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """What an access token allows; `roles.py` says which of them allows what others do."""

    SUBMIT = "submit"
    """To post as one client, and to read the outcomes of its steps."""
    READ = "read"
    """To see everything but bodies: outcomes are bodies."""
    OPERATE = "operate"
    """What `submit` and `read` allow; bodies, actions, bulk jobs, holds."""
    ADMIN = "admin"
    """Everything: clients, tokens and limits too."""


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
    rotated_digest: bytes | None = None
    """The secret before this one, while both are good."""
    rotated_until: int = 0
    """Until when that is, in milliseconds since the epoch, UTC."""

    def is_good(self, digest: bytes, now: int) -> bool:
        """Whether a secret of this digest, which is one of its two, is good now."""
        if self.expires_at is not None and now >= self.expires_at:
            return False
        return digest == self.digest or now < self.rotated_until
