"""Clients and tokens, of files and of the store, as one.

What a file defines holds before what the store has under the same name, and is changed in the file
alone. What is in the store is changed here: durably first, then for all to see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.core.access.client import NO_LIMITS, Client, ClientLimits
from engine.core.access.token import Token
from engine.core.errors import Problem, Refused
from engine.ports.receipt import Receipt
from engine.ports.registry import KIND_CLIENT, KIND_TOKEN, Registered, RegistryStore
from engine.registry.redactions import Redactions

TOKEN_PREFIX = "atomic_"
"""What every token begins with, so that one that has leaked is recognised for what it is."""
TOKEN_BYTES = 32

T = TypeVar("T", Client, Token)


class BadFile(Struct, frozen=True):
    """A file that defines something, and cannot be used as it is: what it defined before holds."""

    file: str
    """The file, or the table in it."""
    why: str
    """What is wrong with it, where, and what to do."""
    since: int
    """When it was first found so, in milliseconds since the epoch, UTC."""


_ENCODE = msgspec.json.encode
_DECODE_CLIENT = msgspec.json.Decoder(Client).decode
_DECODE_TOKEN = msgspec.json.Decoder(Token).decode


def digest_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


class Registry:
    """Made once, by the composition root; asked by whoever lets something pass."""

    def __init__(self, store: RegistryStore, now: Callable[[], int]) -> None:
        """`now`: milliseconds since the epoch, UTC."""
        self._store, self._now = store, now
        self._changing = trio.Lock()
        self._defined_clients: dict[str, Client] = {}
        self._defined_tokens: dict[str, Token] = {}
        self._kept_clients: dict[str, Client] = {}
        self._kept_tokens: dict[str, Token] = {}
        for entry in store.registered:
            assert entry.value is not None
            if entry.kind == KIND_CLIENT:
                self._kept_clients[entry.name] = _DECODE_CLIENT(entry.value)
            elif entry.kind == KIND_TOKEN:
                self._kept_tokens[entry.name] = _DECODE_TOKEN(entry.value)
        self.clients: Mapping[str, Client] = {}
        """By name."""
        self.tokens: Mapping[str, Token] = {}
        """By name."""
        self.limits: Mapping[str, ClientLimits] = {}
        """By client, of those that have any: as it is defined, and as was set at run time."""
        self._set_limits: Mapping[str, Mapping[str, int | float]] = {}
        self.redactions = Redactions(store, now)
        """What of clients' bodies people are not shown."""
        self.version = 0
        """Rises with every change: what was derived from what is here is derived anew."""
        self.bad_files: tuple[BadFile, ...] = ()
        """Files that cannot be used as they are; what they defined before holds."""
        self.asks_token = False
        """Whether requests need a token: as soon as there is one, or a client. Once files have
        defined one, until the process ends: that a directory is gone must open nothing."""
        self._was_defined = False
        self._asks_always = False
        self._by_digest: dict[bytes, Token] = {}
        self._used: dict[bytes, int] = {}
        self._woken: set[trio.CancelScope] = set()
        self._join()

    @property
    def defined_twice(self) -> tuple[str, ...]:
        """Clients that a file defines and a command added: the file's holds, and the other is back
        when the file is gone."""
        return tuple(sorted(self._defined_clients.keys() & self._kept_clients.keys()))

    def ask_always(self) -> None:
        """Others than this machine reach the engine: it opens to nobody, also when the last token
        and client are taken away."""
        self._asks_always = self.asks_token = True

    @contextmanager
    def cancelling(self, scope: trio.CancelScope) -> Iterator[None]:
        """Have a wait end when something changes here: whoever waits may not wait any longer."""
        self._woken.add(scope)
        try:
            yield
        finally:
            self._woken.discard(scope)

    def token_of(self, text: str) -> Token | None:
        """The token that this is, if it is one and has not run out."""
        return self.token_by_digest(digest_of(text))

    def token_by_digest(self, digest: bytes) -> Token | None:
        """The same, by what is kept of it. It counts as used then."""
        token = self._by_digest.get(digest)
        if token is None or not token.is_good(digest, now := self._now()):
            return None
        self._used[digest] = now
        return token

    def good_token(self, digest: bytes) -> Token | None:
        """What `token_by_digest` finds; that it is asked uses no token."""
        token = self._by_digest.get(digest)
        return token if token is not None and token.is_good(digest, self._now()) else None

    def used_at(self, digest: bytes | None) -> int | None:
        """When the secret of this digest was last used since the process began, in milliseconds
        since the epoch, UTC. It is nowhere written: each request would have to."""
        return None if digest is None else self._used.get(digest)

    def name_of(self, digest: bytes) -> str | None:
        """What the token of this digest is called, also if it has run out; None: unknown."""
        token = self._by_digest.get(digest)
        return None if token is None else token.name

    def set_defined(
        self, clients: Iterable[Client], tokens: Iterable[Token], bad: tuple[BadFile, ...] = ()
    ) -> None:
        """What the files say now, instead of what they said before, and which of them are bad."""
        self.bad_files = bad
        self._was_defined = self._was_defined or bool(self._defined_clients or self._defined_tokens)
        self._defined_clients = {client.name: client for client in clients}
        self._defined_tokens = {token.name: token for token in tokens}
        self._join()

    def set_limits(self, by_client: Mapping[str, Mapping[str, int | float]]) -> None:
        """What of a client's limits was set at run time: it wins over what it is defined with."""
        self._set_limits = by_client
        self._join()

    async def put_client(self, client: Client, actor: str) -> None:
        """Set a client of the store, durably. Raises Refused for one that a file defines."""
        await self._put(KIND_CLIENT, self._defined_clients, self._kept_clients, client, actor)

    async def put_token(self, token: Token, actor: str) -> None:
        """The same of a token."""
        await self._put(KIND_TOKEN, self._defined_tokens, self._kept_tokens, token, actor)

    async def put_together(
        self, tokens: Sequence[Token], actor: str, client: Client | None = None
    ) -> None:
        """Set tokens, and a client, durably in one commit. Raises Refused as for each alone, and
        then sets none of them."""
        async with self._changing:
            for token in tokens:
                _refuse_if_defined(KIND_TOKEN, self._defined_tokens, token.name)
            if client is not None:
                _refuse_if_defined(KIND_CLIENT, self._defined_clients, client.name)
            writes = [self._register(KIND_TOKEN, it.name, _ENCODE(it), actor) for it in tokens]
            if client is not None:
                writes.append(self._register(KIND_CLIENT, client.name, _ENCODE(client), actor))
            for write in writes:
                await write.wait()
            self._kept_tokens |= {token.name: token for token in tokens}
            if client is not None:
                self._kept_clients[client.name] = client
            self._join()

    async def remove_client(self, name: str, actor: str) -> None:
        """Take a client out of the store, durably. Raises Refused for one that a file alone
        defines, or that there is not."""
        await self._remove(KIND_CLIENT, self._defined_clients, self._kept_clients, name, actor)

    async def remove_token(self, name: str, actor: str) -> None:
        """The same of a token."""
        await self._remove(KIND_TOKEN, self._defined_tokens, self._kept_tokens, name, actor)

    async def _put(
        self, kind: str, defined: Mapping[str, T], kept: dict[str, T], value: T, actor: str
    ) -> None:
        async with self._changing:
            _refuse_if_defined(kind, defined, value.name)
            await self._register(kind, value.name, _ENCODE(value), actor).wait()
            kept[value.name] = value
            self._join()

    async def _remove(
        self, kind: str, defined: Mapping[str, T], kept: dict[str, T], name: str, actor: str
    ) -> None:
        async with self._changing:
            if name not in kept:
                _refuse_if_defined(kind, defined, name)
                raise Refused(Problem.NOT_FOUND, f"There is no {kind} {name[:64]!r}.")
            await self._register(kind, name, None, actor).wait()
            del kept[name]
            self._join()

    def _register(self, kind: str, name: str, value: bytes | None, actor: str) -> Receipt:
        return self._store.register(Registered(kind, name, value, self._now(), actor))

    def _join(self) -> None:
        self.clients = self._kept_clients | self._defined_clients
        self.tokens = self._kept_tokens | self._defined_tokens
        limits = {
            name: client.limits
            for name, client in self.clients.items()
            if client.limits != NO_LIMITS
        }
        for name, values in self._set_limits.items():
            limits[name] = replace(limits.get(name, NO_LIMITS), **values)
        self.limits = limits
        self.redactions.follow(self.clients)
        asks = self._asks_always or self._was_defined
        self.asks_token = asks or bool(self.clients or self.tokens)
        self._by_digest = {token.digest: token for token in self.tokens.values()}
        self._by_digest |= {
            token.rotated_digest: token
            for token in self.tokens.values()
            if token.rotated_digest is not None
        }
        self._used = {it: at for it, at in self._used.items() if it in self._by_digest}
        self.version += 1
        for scope in self._woken:
            scope.cancel()


_HOW = {
    KIND_CLIENT: "",
    KIND_TOKEN: "For another one add a line, and take the line of the old one out when nobody uses"
    " it any more. ",
}


def _refuse_if_defined(kind: str, defined: Mapping[str, T], name: str) -> None:
    if (it := defined.get(name)) is not None:
        raise Refused(
            Problem.NOT_POSSIBLE,
            f"The {kind} {name!r} is defined in {it.defined_in}: change it there. {_HOW[kind]}The"
            " engine reads it again by itself.",
        )
