"""`atomic token`: what a list of tokens says."""

from __future__ import annotations

from tests.client.fake_engine import Atomic, answer

AT = "2026-11-23T12:00:00.000Z"
ROW = {
    "name": "shop", "role": "submit", "client": "shop", "expiresAt": None, "oldSecretUntil": None,
    "definedIn": None,
}  # fmt: skip


def test_a_list_says_what_can_be_taken_out(atomic: Atomic) -> None:
    """When each was used last, and of a rotated one whether its old secret is; of an engine that
    does not say, nothing. One that has run out is marked, one that has not is not."""
    soon = "2026-11-24T12:00:00.000Z"
    rows = [
        ROW | {"lastUsedAt": AT, "oldSecretUntil": soon, "oldSecretUsedAt": AT},
        ROW | {"oldSecretUntil": soon, "expiresAt": AT, "expired": True},
        ROW | {"expiresAt": soon},
    ]
    done = atomic("token", "ls", answers=[answer({"tokens": rows})])
    head, first, second, third = done.stdout.splitlines()
    assert "LAST USED" in head
    assert first.count("2026-11-23 12:00:00Z") == 2
    assert "last used 2026-11-23 12:00:00Z" in first
    assert "2026-11-23 12:00:00Z, is over" in second
    assert ", unused" in second
    assert "over" not in third
