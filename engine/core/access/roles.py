"""What each role may do: which roles of routes it answers for. `docs/reference/protocol.md` §7."""

from __future__ import annotations

from engine.core.access.token import Role

ALLOWS: dict[Role, frozenset[Role]] = {
    Role.SUBMIT: frozenset({Role.SUBMIT}),
    # not to submit: an outcome is a body, and who looks should change nothing
    Role.READ: frozenset({Role.READ}),
    Role.OPERATE: frozenset({Role.SUBMIT, Role.READ, Role.OPERATE}),
    Role.ADMIN: frozenset(Role),
}
"""By a token's role, the roles of the routes that it opens."""
