"""Clients and tokens, of files and of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.access.client import Client
from engine.core.access.token import Role, Token
from engine.core.errors import Problem, Refused
from engine.ports.registry import KIND_HOLD, KIND_TOKEN, Registered
from engine.registry.registry import Registry, digest_of
from tests.store.support import store_at

NOW = 1_000


def token(name: str, text: str, expires_at: int | None = None, defined_in: str = "") -> Token:
    return Token(name, digest_of(text), Role.READ, None, expires_at, defined_in)


async def test_what_was_registered_is_there_at_the_next_start(path: Path) -> None:
    """Clients and tokens of the store outlive the engine, and what was taken away does not."""
    shop, old = Client("shop", ("http://shop:9000/",)), Client("old")
    async with store_at(path) as store:
        registry = Registry(store, lambda: NOW)
        await registry.put_client(shop, "ada")
        await registry.put_client(old, "ada")
        await registry.put_token(token("ci", "atomic_1"), "ada")
        await registry.remove_client("old", "ada")
        assert registry.asks_token
    async with store_at(path) as store:
        registry = Registry(store, lambda: NOW)
        assert registry.clients == {"shop": shop}
        assert registry.token_of("atomic_1") == token("ci", "atomic_1")
        assert registry.token_of("atomic_2") is None
        found = {(each.kind, each.name, each.at, each.actor) for each in store.registered}
        assert found == {("client", "shop", NOW, "ada"), ("token", "ci", NOW, "ada")}


async def test_nothing_is_registered_before_it_is_durable(path: Path) -> None:
    """The receipt of an entry is that of a commit, with runs or without; kinds that are not the
    registry's are kept too, and the later of one name holds."""
    async with store_at(path) as store:
        first = store.register(Registered(KIND_HOLD, "host:a", b'{"a":1}', NOW, "ada"))
        assert not first.durable
        await first.wait()
        await store.register(Registered(KIND_HOLD, "host:a", b'{"a":2}', NOW + 1, "bob")).wait()
    async with store_at(path) as store:
        assert store.registered == (Registered(KIND_HOLD, "host:a", b'{"a":2}', NOW + 1, "bob"),)
        assert Registry(store, lambda: NOW).version == 1


async def test_what_is_written_last_is_durable_when_the_store_is_closed(path: Path) -> None:
    """Nobody has to wait for it."""
    async with store_at(path) as store:
        store.register(Registered(KIND_TOKEN, "ci", b"{}", NOW, "ada"))
    async with store_at(path) as store:
        assert [each.name for each in store.registered] == ["ci"]


async def test_a_token_is_good_until_it_runs_out(path: Path) -> None:
    """To the millisecond; none of it is kept that one could present."""
    async with store_at(path) as store:
        times = iter([NOW, NOW + 4, NOW + 5])
        registry = Registry(store, lambda: next(times))
        await registry.put_token(token("ci", "atomic_secret", NOW + 5), "ada")
        assert registry.token_of("atomic_secret") is not None
        assert registry.token_of("atomic_secret") is None
    kept = b"".join(each.read_bytes() for each in path.parent.iterdir() if each.is_file())
    assert b"atomic_secret" not in kept


async def test_what_a_file_defines_is_changed_there(path: Path) -> None:
    """It holds before what the store has, comes and goes with the file, and is refused by name; of
    what the store has under that name too, that alone can be taken away."""
    async with store_at(path) as store:
        registry = Registry(store, lambda: NOW)
        kept = Client("shop", ("http://kept/",))
        await registry.put_client(kept, "ada")
        before = registry.version
        defined = Client("shop", ("http://defined/",), defined_in="clients/shop.toml")
        registry.set_defined([defined], [token("f", "atomic_f", defined_in="clients/shop.toml")])
        assert registry.version > before
        assert registry.clients["shop"] == defined
        assert registry.token_of("atomic_f") is not None
        for change in (registry.put_client(kept, "a"), registry.remove_token("f", "a")):
            with pytest.raises(Refused, match=r"defined in clients/shop\.toml") as refused:
                await change
            assert refused.value.problem is Problem.NOT_POSSIBLE
        registry.set_defined([], [])
        assert registry.clients["shop"] == kept
        registry.set_defined([defined], [])
        assert list(registry.defined_twice) == ["shop"]
        await registry.remove_client("shop", "a")
        assert (list(registry.defined_twice), registry.clients["shop"]) == ([], defined)
        with pytest.raises(Refused, match=r"defined in clients/shop\.toml"):
            await registry.remove_client("shop", "a")
        registry.set_defined([], [])
        assert registry.clients == {}
        assert registry.token_of("atomic_f") is None
        with pytest.raises(Refused, match="no token 'f'"):
            await registry.remove_token("f", "ada")


async def test_tokens_are_asked_for_once_there_is_a_client(path: Path) -> None:
    """Who sets nothing needs none."""
    async with store_at(path) as store:
        registry = Registry(store, lambda: NOW)
        assert not registry.asks_token
        registry.set_defined([Client("shop")], [])
        assert registry.asks_token, "a client of a file"


async def test_an_engine_that_others_reach_asks_always(path: Path) -> None:
    """Also when the last token is taken away: an operator's slip opens it to nobody."""
    async with store_at(path) as store:
        registry = Registry(store, lambda: NOW)
        await registry.put_token(token("only", "atomic_1"), "ada")
        registry.ask_always()
        await registry.remove_token("only", "ada")
        assert registry.asks_token
    async with store_at(path) as store:
        assert not Registry(store, lambda: NOW).asks_token
