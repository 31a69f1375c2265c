"""A gate before clients and tokens that a test defines, and the heads that come to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.core.access.client import Client
from engine.core.access.token import Role, Token
from engine.front.access.gate import Gate
from engine.front.access.request import Access
from engine.front.server.strict import RawHeaders
from engine.ports.registry import Registered
from engine.registry.registry import Registry, digest_of

HOST, JSON = (b"host", b"localhost"), (b"content-type", b"application/json")
NOW = [1_000]


class Kept:
    """What a registry of nothing but files needs of a store."""

    registered: tuple[Registered, ...] = ()

    def register(self, entry: Registered) -> Any:
        raise AssertionError(entry)


def token(name: str, role: Role, client: str | None = None, **more: Any) -> Token:
    """A token whose secret is its name."""
    return Token(name, digest_of(f"atomic_{name}"), role, client, **more)


def bearing(name: str, *more: tuple[bytes, bytes]) -> RawHeaders:
    return (HOST, JSON, (b"authorization", b"Bearer atomic_" + name.encode()), *more)


def gate_of(*tokens: Token, clients: Iterable[Client] = (Client("shop"), Client("cafe"))) -> Gate:
    registry = Registry(Kept(), lambda: NOW[0])
    registry.set_defined(clients, tokens)
    return Gate(Access(()), registry)
