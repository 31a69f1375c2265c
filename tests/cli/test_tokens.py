"""`atomic token` and `whoami`: what is said of tokens."""

from __future__ import annotations

import pytest

from tests.client.fake_engine import Atomic, answer, refusal

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


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"token": {"name": "ada", "role": "operate", "client": None}},
         "ada, of the role operate, for all clients."),
        ({"token": {"name": "shop", "role": "submit", "client": "shop"}},
         "shop, of the role submit, for the client shop alone."),
        ({"token": {"name": "t", "role": "read", "client": "shop"}},
         "t, of the role read, for the client shop alone."),
        ({"token": {"name": "shop.0b70a1b2", "role": "submit", "client": "shop"}},
         "shop.0b70a1b2, of the role submit, for the client shop alone.\n"
         "It stands in a file, which gives it no name: it is called so after its client or role and"
         " the beginning of its SHA-256, here, in `atomic token ls` and in the audit."),
        ({"token": {"name": "admin.later", "role": "admin", "client": None}},
         "admin.later, of the role admin, for all clients."),
        ({}, "Nobody in particular: this engine asks for no token."),
    ],
)  # fmt: skip
def test_whoami(atomic: Atomic, status: dict[str, object], told: str):
    """Which token this is, when one has several: its name, what it allows, and for whom."""
    done = atomic("whoami", answers=[answer(status)])
    assert (done.exit_code, done.stdout) == (0, f"{told}\n")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_whoami_at_an_engine_of_before(atomic: Atomic, options: tuple[str, ...]):
    """It has not the address, and tells those who may read by its status; a refusal is one."""
    unknown = refusal("not-found", "Nothing is at this address.")
    status = {"token": {"name": "ada", "role": "read", "client": None}}
    done = atomic("whoami", *options, answers=[unknown, answer(status)])
    assert done.exit_code == 0
    assert "ada" in done.stdout
    why = "This needs the role read; the token 'shop' has submit."
    assert atomic("whoami", answers=[unknown, refusal("forbidden", why)]).exit_code == 4
    for problem in ("forbidden", "unauthorized"):
        assert atomic("whoami", *options, answers=[refusal(problem, "No.")]).exit_code == 4
