"""Which requests pass, whichever way they came in: one order of checks, from the head alone.

Health is for anybody. Then: no page of another origin; a token, where the engine asks for tokens,
and what it allows of the route; the name asked for, unless a token was good; the kind of body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from engine.core.access.client import Client
from engine.core.access.roles import ALLOWS
from engine.core.access.token import Role, Token
from engine.core.errors import Problem
from engine.front.access.request import Access, is_health, unfit_form
from engine.front.access.tokens import digest_of_bearer, who_has
from engine.front.access.who import EVERYBODY, Who, who_of
from engine.front.server.reply import Reply
from engine.front.server.strict import HEADS_KEPT_MAX, RawHeaders, RequestHead
from engine.front.show.replies import problem_reply
from engine.registry.registry import Registry
from engine.wire import routes
from engine.wire.routes import PAGES, ROUTES, Route

_ALL = [
    (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", it.path) + "/?"), it)
    for it in (*ROUTES, *PAGES)
]
_POSTED = [(pattern, it) for pattern, it in _ALL if it.method == "POST"]


LoggedIn = Callable[[RawHeaders], Token | None]
"""The token that a login of these headers was begun with; None: they have no good one."""


class Gate:
    """Made once, by the composition root."""

    def __init__(self, access: Access, registry: Registry) -> None:
        self.registry = registry
        self._access = access

    def check(
        self, route: Route[Any] | None, path: str, method: str, headers: RawHeaders, client: str
    ) -> Who | Reply:
        """Who asks, or the refusal. `client`: whose the path says it is; empty: nobody's. No
        `route`: there is nothing there, or not for this method."""
        access, registry = self._access, self.registry
        look = access.look(method, headers)
        if look.foreign is not None:
            return look.foreign
        for_anybody = is_health(path)
        unfit = unfit_form(headers) if route is not None and route.form else look.unfit
        if not registry.asks_token or for_anybody or (route is not None and route.role is None):
            wrong_host = None if for_anybody else look.wrong_host
            return wrong_host or unfit or EVERYBODY
        who = who_has(registry, look.token)
        if isinstance(who, Reply):
            return who
        if route is not None and (why := _why_not(who, route, client, registry.clients)):
            return problem_reply(Problem.FORBIDDEN, why)
        return unfit or who

    def check_page(
        self, route: Route[Any], method: str, headers: RawHeaders, logged_in: LoggedIn
    ) -> Who | Reply:
        """Who asks for a page for people, or the refusal. A link of another page may lead here, if
        nothing is done by it, and beside a token a login opens it; the name asked for must be ours
        in any case."""
        look = self._access.look(method, headers)
        if look.elsewhere is not None and (not look.is_link or route is routes.UI_LOGOUT):
            return look.elsewhere
        if look.wrong_host is not None or route.role is None or not self.registry.asks_token:
            return look.wrong_host or EVERYBODY
        token = logged_in(headers) if look.token is None else None
        who = who_has(self.registry, look.token) if token is None else who_of(token)
        if isinstance(who, Who) and (why := _why_not(who, route, "", self.registry.clients)):
            return problem_reply(Problem.FORBIDDEN, why)
        return who

    def from_elsewhere(self, method: str, headers: RawHeaders) -> Reply | None:
        """The refusal of what a page asks that is none of the engine's own; None: it is not so."""
        return self._access.look(method, headers).elsewhere

    def lapsed(self, who: Who, method: str, headers: RawHeaders) -> Reply | None:
        """The refusal of an answer that was waited for, if the token it was asked with has been
        taken away meanwhile, has run out, or reaches elsewhere now. Who needed none when they
        asked gets what they waited for."""
        if not who.token:
            return None
        now = who_has(self.registry, self._access.look(method, headers).token)
        if isinstance(now, Reply):
            return now
        if (now.role, now.client) == (who.role, who.client):
            return None
        return problem_reply(
            Problem.FORBIDDEN,
            f"The token {now.token!r} was changed while this waited: ask again with it.",
        )

    def token_of(self, authorization: bytes) -> bytes:
        """The digest of the good token in the value of that header; empty: it has none, or none is
        asked for."""
        if not self.registry.asks_token:
            return b""
        digest = digest_of_bearer(authorization)
        return b"" if digest is None or self.registry.good_token(digest) is None else digest

    def owner_of(self, digest: bytes) -> str | None:
        """The client that the token with this digest is bound to; of one that is bound to none its
        own name, told apart by a blank; None: it is not good. Empty: none is asked for."""
        if not self.registry.asks_token:
            return ""
        token = self.registry.good_token(digest)
        if token is None:
            return None
        return f"token {token.name}" if token.client is None else token.client

    def lets_in(self, head: RequestHead) -> bool:
        """Whether a request is answered where others are turned away for want of connections: of
        health by anybody, and of what is not for applications by whoever may look at all of it."""
        path, route = _asked_for(head.method, head.target)
        if is_health(path):
            return head.method != b"POST" and head.body_bytes == 0
        if route is None or route.role is Role.SUBMIT:
            return False
        if not self.registry.asks_token:
            return True
        digest = digest_of_bearer(head.authorization)
        token = None if digest is None else self.registry.good_token(digest)
        return token is not None and token.client is None and Role.READ in ALLOWS[token.role]

    def digest_of(self, headers: RawHeaders) -> bytes | None:
        """The digest of the token in a head; None: it has none. Whether it is good is asked for
        elsewhere."""
        return self._access.look("POST", headers).token

    def whose_token(self, method: str, headers: RawHeaders) -> tuple[str, bool]:
        """What is known of the token in a head: its name, also when it has run out, or what tells
        an unknown one from others; and whether it is known. Empty: there is none, or it was not
        looked at."""
        look = self._access.look(method, headers)
        if look.foreign is not None or look.token is None:
            return "", False
        name = self.registry.name_of(look.token)
        return name or f"unknown token {look.token[:4].hex()}", name is not None

    def check_head(self, method: str, target: bytes, headers: RawHeaders) -> Reply | None:
        """The refusal of a request that has a body, before that is read."""
        route, client, path = posted_to(target)
        if method != "POST":
            route, client = None, ""
        found = self.check(route, path, method, headers, client)
        return found if isinstance(found, Reply) else None


@lru_cache(maxsize=HEADS_KEPT_MAX)
def _asked_for(method: bytes, target: bytes) -> tuple[str, Route[Any] | None]:
    """The path, and what is there for this method; HEAD is what GET is."""
    path = unquote(target.partition(b"?")[0].decode("latin1"))
    asked = "GET" if method == b"HEAD" else method.decode("latin1")
    found = (it for pattern, it in _ALL if it.method == asked and pattern.fullmatch(path))
    return path, next(found, None)


@lru_cache(maxsize=HEADS_KEPT_MAX)
def posted_to(target: bytes) -> tuple[Route[Any] | None, str, str]:
    """The route of a post, the client that its path names, and the path."""
    path = unquote(target.partition(b"?")[0].decode("latin1"))
    for pattern, route in _POSTED:
        if found := pattern.fullmatch(path):
            return route, found.groupdict().get("client", ""), path
    return None, "", path


def _why_not(who: Who, route: Route[Any], client: str, clients: Mapping[str, Client]) -> str | None:
    """Why a token does not reach so far; None: it does."""
    if route.opens_to(who.role):
        if who.client is not None and route.of_all:
            return (
                f"This tells of all clients, and the token {who.token!r} is bound to"
                f" {who.client!r}: it needs a token of the role {route.role} that is bound to none."
            )
        return _why_not_post(who, client, clients) if route is routes.SUBMIT else None
    return f"This needs the role {route.role}; the token {who.token!r} has {who.role}."


def _why_not_post(who: Who, client: str, clients: Mapping[str, Client]) -> str | None:
    if who.client not in (None, client):
        return (
            f"The token {who.token!r} is bound to the client {who.client!r}: it posts to"
            f" /{who.client}, and not to /{client[:64]}."
        )
    known = clients.get(client)
    if known is None:
        return (
            f"There is no client {client[:64]!r} here (any more): `atomic client ls` has those"
            " that there are, and `atomic client add` makes one."
        )
    if known.disabled:
        if known.defined_in:
            return f"The client {client!r} is disabled: {known.defined_in} says so."
        return f"The client {client!r} is disabled: `atomic client enable {client}` takes it back."
    return None
