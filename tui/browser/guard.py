"""Who may see the dashboard in a browser. Decides; `serve.py` asks it before anything else is done.

A server on loopback is reached by every page that the operator's browser shows: a form, a script or
a websocket of theirs arrives with his address. So a request must name this server (a foreign name
that resolves to 127.0.0.1 is a page that rebinds its name), must not come from another origin, and
must carry the cookie that the link was exchanged for. The link works once: what stays behind in a
history or a log opens nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from hmac import compare_digest

from msgspec import Struct

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost", "[::1]")
SECRET_BYTES = 32
ONLY_LINK = (
    "Open the link that `atomic tui --serve` printed. It works once, in one browser; for a new one"
    " end the command (Ctrl-C) and start it again."
)


class WebRequest(Struct, frozen=True, kw_only=True):
    """What counts of a request."""

    hosts: Sequence[str]
    """Every `Host` that it has."""
    origins: Sequence[str] = ()
    cookie: str | None = None
    token: str | None = None
    """Of a link; None if the request is for something else."""
    websocket: bool = False


class TurnedAway(Struct, frozen=True):
    """Why a request is not answered, for the person who sees it."""

    status: int
    detail: str


class Guard:
    """The rules for one server, and its two secrets: of the link, and of the browser it let in."""

    def __init__(self, port: int) -> None:
        behind = "" if port == 80 else f":{port}"  # browsers leave out what is usual
        self._hosts = frozenset(f"{name}{behind}" for name in NAMES)
        self._token: str | None = secrets.token_urlsafe(SECRET_BYTES)
        self._session = secrets.token_urlsafe(SECRET_BYTES)
        self.cookie = f"atomic-{port}"
        """Its name. Cookies know no ports: two servers would take each other's away."""
        self.address = f"http://{ADDRESS}{behind}"
        self.link = f"{self.address}/?token={self._token}"
        """To be opened once."""

    def refusal(self, asked: WebRequest) -> TurnedAway | None:
        """Why this is refused; None if it may be answered. Links are for `exchange`."""
        if len(asked.hosts) != 1 or asked.hosts[0].lower() not in self._hosts:
            return TurnedAway(
                403,
                f"This server is {self.address} and answers to no other name or port. Forward the"
                " same port if it runs on another machine.",
            )
        own = f"http://{asked.hosts[0].lower()}"
        if any(origin != own for origin in asked.origins):
            return TurnedAway(403, f"A page that is not of this server asked for this. {ONLY_LINK}")
        if asked.websocket and not asked.origins:
            return TurnedAway(403, "A websocket must say in `Origin` which page it is of.")
        if asked.token is None and not self.knows(asked.cookie):
            return TurnedAway(401, f"This browser was not let in. {ONLY_LINK}")
        return None

    def knows(self, cookie: str | None) -> bool:
        """Whether the cookie is the one that the link was exchanged for."""
        return cookie is not None and _same(cookie, self._session)

    def exchange(self, token: str) -> str | TurnedAway:
        """The cookie for a link's token, which is void from now on."""
        if self._token is None or not _same(token, self._token):
            return TurnedAway(401, f"This link was used, or is of another server. {ONLY_LINK}")
        self._token = None
        return self._session


def _same(given: str, secret: str) -> bool:
    """In the same time, however much of it is right."""
    return compare_digest(given.encode(errors="replace"), secret.encode())
