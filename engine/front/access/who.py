"""Who asks, as their token says it."""

from __future__ import annotations

from msgspec import Struct

from engine.core.access.token import Role, Token


class Who(Struct, frozen=True):
    """Who asks, and how far their token reaches."""

    token: str = ""
    """The token's name; empty: none was asked for."""
    role: Role = Role.ADMIN
    client: str | None = None
    """The only client whose runs there are for them; None: every one's."""


EVERYBODY = Who()
"""Where no token is asked for, everybody may do everything."""


def who_of(token: Token) -> Who:
    """Who has this token."""
    return Who(token.name, token.role, token.client)
