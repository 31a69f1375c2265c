"""Logins: how long one is good, how many there are, and what is kept of them."""

from __future__ import annotations

from itertools import count
from typing import Any
from unittest import mock

import pytest
import trio

from engine.core.access.token import Role, Token
from engine.ports.registry import KIND_LOGIN, Registered
from engine.registry.logins import LOGIN_MS, LOGINS_MAX, LOGINS_OF_TOKEN_MAX, Logins
from engine.registry.registry import Registry, digest_of

SECRET = "atomic_secret"
TOKEN = Token("reader", digest_of(SECRET), Role.READ)
NOW = [1_000]


class Kept:
    """A store of the registry's in memory."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Registered] = {}

    @property
    def registered(self) -> tuple[Registered, ...]:
        return tuple(self.entries.values())

    def register(self, entry: Registered) -> Any:
        if entry.value is None:
            del self.entries[entry.kind, entry.name]
        else:
            self.entries[entry.kind, entry.name] = entry
        return mock.AsyncMock()


class World:
    """Logins, their store, and the time."""

    def __init__(self) -> None:
        self.store = Kept()
        self.registry = Registry(self.store, lambda: NOW[0])
        self.registry.set_defined((), (TOKEN,))
        self.chance = (n.to_bytes(32) for n in count(1))
        self.logins = self.opened()

    def opened(self) -> Logins:
        """As a start finds them."""
        return Logins(self.store, self.registry, lambda: NOW[0], lambda n: next(self.chance))


async def test_twelve_hours_and_no_longer() -> None:
    """Good to the last millisecond; gone with the next, and from the store with the next login."""
    world = World()
    cookie = await world.logins.begin(TOKEN, TOKEN.digest)
    began = NOW[0]
    NOW[0] = began + LOGIN_MS - 1
    assert world.logins.token_of(cookie) == TOKEN
    NOW[0] = began + LOGIN_MS
    assert world.logins.token_of(cookie) is None
    await world.logins.begin(TOKEN, TOKEN.digest)
    assert len(world.store.entries) == 1


async def test_one_beyond_ends_the_oldest() -> None:
    """As many as there may be are good together."""
    world = World()
    many = [Token(f"t{n}", digest_of(f"{n}"), Role.READ) for n in range(LOGINS_MAX + 1)]
    world.registry.set_defined((), many)
    cookies = [await world.logins.begin(token, token.digest) for token in many[:-1]]
    assert all(world.logins.token_of(cookie) for cookie in cookies)
    await world.logins.begin(many[-1], many[-1].digest)
    assert [world.logins.token_of(cookie) for cookie in cookies].count(None) == 1
    assert len(world.store.entries) == LOGINS_MAX


async def test_one_token_ends_its_own_alone() -> None:
    """Twenty of it are good together; for one beyond its oldest ends, and nobody else's."""
    world = World()
    other = Token("other", digest_of("other"), Role.READ)
    world.registry.set_defined((), (TOKEN, other))
    another = await world.logins.begin(other, other.digest)
    cookies = []
    for _ in range(LOGINS_OF_TOKEN_MAX + 1):
        NOW[0] += 1
        cookies.append(await world.logins.begin(TOKEN, TOKEN.digest))
    good = [world.logins.token_of(cookie) is not None for cookie in cookies]
    assert good == [False, *[True] * LOGINS_OF_TOKEN_MAX]
    assert world.logins.token_of(another) == other


async def test_a_logout_that_is_cut_off_holds() -> None:
    """It is so before the store has it."""
    world = World()
    cookie = await world.logins.begin(TOKEN, TOKEN.digest)
    with trio.CancelScope() as scope, mock.patch.object(world.store, "register") as register:
        register.return_value.wait = trio.sleep_forever
        scope.cancel()
        await world.logins.end(cookie)
    assert register.called
    assert world.logins.token_of(cookie) is None


async def test_one_that_cannot_be_read_keeps_nobody_out() -> None:
    """The engine starts, and knows the others."""
    world = World()
    cookie = await world.logins.begin(TOKEN, TOKEN.digest)
    for name, value in (("a", b"{"), ("b", b'{"token":1}')):
        world.store.register(Registered(KIND_LOGIN, name, value, 1, "x"))
    assert world.opened().token_of(cookie) == TOKEN


async def test_a_start_finds_them() -> None:
    """By what is kept, which is neither cookie nor token."""
    world = World()
    cookie = await world.logins.begin(TOKEN, TOKEN.digest)
    assert world.opened().token_of(cookie) == TOKEN
    (entry,) = world.store.registered
    assert entry.value is not None
    for secret in (cookie.encode(), SECRET.encode()):
        assert secret not in entry.value + entry.name.encode()


@pytest.mark.parametrize(
    "tokens",
    [(), (Token("reader", digest_of("another"), Role.READ),),
     (Token("reader", TOKEN.digest, Role.READ, expires_at=1),)],
    ids=["taken away", "another of its name", "run out"],
)  # fmt: skip
async def test_it_ends_with_its_token(tokens: tuple[Token, ...]) -> None:
    """Whatever becomes of that."""
    world = World()
    cookie = await world.logins.begin(TOKEN, TOKEN.digest)
    world.registry.set_defined((), tokens)
    assert world.logins.token_of(cookie) is None
    assert world.logins.token_of("x" + cookie) is None


async def test_while_two_secrets_are_good_it_goes_on() -> None:
    """A login that was begun with the old one ends with that."""
    world = World()
    cookie = await world.logins.begin(TOKEN, TOKEN.digest)
    until = NOW[0] + 10
    rotated = Token("reader", digest_of("new"), Role.READ, rotated_digest=TOKEN.digest,
                    rotated_until=until)  # fmt: skip
    world.registry.set_defined((), (rotated,))
    assert world.logins.token_of(cookie) == rotated
    NOW[0] = until
    assert world.logins.token_of(cookie) is None
