"""Posts that are answered at the connection, and who answers them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from msgspec import Struct

from engine.front.server.reply import Reply
from engine.front.server.strict import HEADS_KEPT_MAX, BadRequest, RawHeaders, RequestHead
from engine.process.budget import Parcel
from engine.wire import RESERVED_CLIENTS

_TARGET = re.compile(rb"/([A-Za-z0-9][A-Za-z0-9._-]{0,63})")
_ELSEWHERE = frozenset({b"transfer-encoding", b"expect"})
_RESERVED = frozenset(name.encode() for name in RESERVED_CLIENTS)


class Post(Struct, frozen=True):
    """A post's head, taken apart."""

    client: str
    fields: RawHeaders
    close: bool
    """The client wants the connection closed afterwards."""


@lru_cache(maxsize=HEADS_KEPT_MAX)
def read_post(head: RequestHead) -> Post | None:
    """The head as a post that the door answers, or None."""
    target = _TARGET.fullmatch(head.target)
    if target is None or head.method != b"POST" or not head.is_http11 or target[1] in _RESERVED:
        return None
    close = False
    for name, value in head.fields:
        if name in _ELSEWHERE:
            return None
        if name == b"connection":
            close = close or b"close" in value.lower()
    return Post(target[1].decode(), head.fields, close)


Stranger = Callable[[RequestHead], Reply | None]
"""Of a connection from elsewhere: the refusal of a request, or None."""


Peer = Callable[[], str | None]
"""Tells the address that a connection comes from; None: it has gone."""


class Door(Protocol):
    """Answers posts."""

    @property
    def asks_token(self) -> bool:
        """Whether heads are to be looked at (`denied`) before the body is read."""
        ...

    @property
    def has_proxies(self) -> bool:
        """Whether it matters where a connection comes from (`stranger`)."""
        ...

    def stranger(self, peer: str | None) -> Stranger | None:
        """What refuses the requests of a connection from this address; None: it is a proxy's."""
        ...

    def token_of(self, authorization: bytes) -> bytes:
        """What tells a good token in the value of that header from others; empty: it has none."""
        ...

    def owner_of(self, token: bytes) -> str | None:
        """Whose a request is that came with this: connections are shared out by that. The same for
        all where no tokens are asked for; None: it is not good (any more)."""
        ...

    def denied(self, head: RequestHead, peer: Peer) -> Reply | None:
        """The refusal of a request, of whatever path, before its body is read."""
        ...

    def lets_in(self, head: RequestHead) -> bool:
        """Whether a request is answered although there are as many connections as may be: of who
        looks after the engine, and not of who posts to it."""
        ...

    async def answer(self, client: str, headers: RawHeaders, body: Parcel, peer: Peer) -> Reply:
        """The answer to a post. Raises nothing but a cancel."""
        ...

    def refused_for_good(self, head: RequestHead | None, refusal: BadRequest) -> None:
        """A request was refused before it was read, for what it is (400, 413, 431).

        `head` is the current request's, unless the refusal has it as it came.
        """
        ...

    def refused(self, limit: str, head: RequestHead | None) -> None:
        """A request was refused before it was read: for want of room (503). None: nothing of it is
        known, as of a connection that was closed without a word."""
        ...
