"""Logins of browsers: what a cookie stands for. Kept by the store, hashed.

A login is good as long as the token that it was begun with, and for 12 hours at most. Kept are the
cookie's SHA-256, the token's name, and a digest of both secrets, which tells that the token is
still the one it was.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress

import msgspec
import trio
from msgspec import Struct

from engine.core.access.token import Token
from engine.ports.receipt import Receipt
from engine.ports.registry import KIND_LOGIN, Registered, RegistryStore
from engine.registry.registry import Registry

LOGIN_MS = 12 * 3_600_000
LOGINS_MAX = 1_000
"""Of all people together; the oldest ends for one beyond."""
LOGINS_OF_TOKEN_MAX = 20
"""Of one token; its own oldest ends for one beyond, and nobody else's."""
COOKIE_BYTES = 32


class Login(Struct, frozen=True):
    """One of them, as it is kept."""

    token: str
    """The name of the token that it was begun with."""
    proof: bytes
    until: int
    """Milliseconds since the epoch, UTC."""


_decode = msgspec.json.Decoder(Login).decode


class Logins:
    """Made once, by the composition root."""

    def __init__(
        self,
        store: RegistryStore,
        registry: Registry,
        now: Callable[[], int],
        token_bytes: Callable[[int], bytes],
    ) -> None:
        """`now`: milliseconds since the epoch, UTC. `token_bytes`: so many random ones."""
        self._store, self._registry = store, registry
        self._now, self._token_bytes = now, token_bytes
        self._changing = trio.Lock()
        self._logins: dict[str, Login] = {}
        for entry in store.registered:
            if entry.kind == KIND_LOGIN and entry.value is not None:
                with suppress(msgspec.DecodeError):  # who had it logs in anew
                    self._logins[entry.name] = _decode(entry.value)

    async def begin(self, token: Token, digest: bytes) -> str:
        """Begin one with this token, of which `digest` is the secret's; returns the cookie."""
        cookie = urlsafe_b64encode(self._token_bytes(COOKIE_BYTES)).rstrip(b"=").decode()
        login = Login(token.name, _proof(cookie, digest), self._now() + LOGIN_MS)
        async with self._changing:
            gone = [self._taken(name, "http:login") for name in self._too_many(token.name)]
            for receipt in gone:
                await receipt.wait()
            value = msgspec.json.encode(login)
            await self._register(_name(cookie), value, token.name).wait()
            self._logins[_name(cookie)] = login
        return cookie

    async def end(self, cookie: str) -> None:
        """It opens nothing any more. There need be none."""
        if (login := self._logins.get(_name(cookie))) is not None:
            await self._taken(_name(cookie), login.token).wait()

    def token_of(self, cookie: str) -> Token | None:
        """The token that a cookie stands for; None: for none, or not any more."""
        login = self._logins.get(_name(cookie))
        if login is None or login.until <= self._now():
            return None
        token = self._registry.tokens.get(login.token)
        if token is None:
            return None
        for digest in filter(None, (token.digest, token.rotated_digest)):
            if login.proof == _proof(cookie, digest) and self._registry.good_token(digest):
                return token
        return None

    def _too_many(self, token: str) -> set[str]:
        """Those that end for one more of this token: what has run out, and the oldest."""
        by_age = sorted(self._logins, key=lambda name: self._logins[name].until)
        own = [name for name in by_age if self._logins[name].token == token]
        over = {name for name in by_age if self._logins[name].until <= self._now()}
        over.update(own[: max(0, len(own) + 1 - LOGINS_OF_TOKEN_MAX)])
        left = [name for name in by_age if name not in over]
        return over | set(left[: max(0, len(left) + 1 - LOGINS_MAX)])

    def _taken(self, name: str, actor: str) -> Receipt:
        """It opens nothing from now on, also if nobody waits until that is durable."""
        del self._logins[name]
        return self._register(name, None, actor)

    def _register(self, name: str, value: bytes | None, actor: str) -> Receipt:
        return self._store.register(Registered(KIND_LOGIN, name, value, self._now(), actor))


def _name(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "replace")).hexdigest()


def _proof(cookie: str, digest: bytes) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "replace") + digest).digest()
