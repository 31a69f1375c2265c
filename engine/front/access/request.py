"""Who may ask at all: the name asked for, the page that asks, the kind of body. `protocol.md` §7.

A web page in somebody's browser can send requests to loopback. It cannot forge `Host` of its own
name's requests, `Origin`, `Sec-Fetch-Site`, nor send JSON across origins unasked.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from engine.core.errors import Problem
from engine.front.access.tokens import digest_of_bearer
from engine.front.server.reply import Reply
from engine.front.server.strict import HEADS_KEPT_MAX, RawHeaders
from engine.front.show.replies import problem_reply
from engine.wire import routes

HEALTH_PATHS = frozenset({routes.HEALTH.path, routes.READY.path})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
OWN_SITES = frozenset({"", "none", "same-origin"})
"""`Sec-Fetch-Site` of a page of ours, of an address that somebody typed, and of a program."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM = "application/x-www-form-urlencoded"
FORM_BYTES_MAX = 8_192


class Look(NamedTuple):
    """What a head says, each refusal by itself: they are told in an order, and not all always."""

    foreign: Reply | None
    """A page of another origin asks, which a browser sends in its reader's name."""
    wrong_host: Reply | None
    """Another name is asked for."""
    unfit: Reply | None
    """The kind of body."""
    is_link: bool
    """A person follows a link of another page: the browser says so of no other request."""
    elsewhere: Reply | None
    """A page that is none of the engine's own asks, be it of another port or name beside it: to
    these a browser gives its cookies, too."""
    token: bytes | None
    """The digest of its token, which is remembered in the place of that; None: it has none."""


class Access:
    """The checks that every request passes, whichever way it came in."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = LOOPBACK_NAMES | {host.lower() for host in hosts}

    def check(self, method: str, headers: RawHeaders, *, any_name: bool = False) -> Reply | None:
        """None, or the refusal. With `any_name` it does not matter which name was asked for."""
        look = self.look(method, headers)
        return look.foreign or (None if any_name else look.wrong_host) or look.unfit

    @lru_cache(maxsize=HEADS_KEPT_MAX)  # noqa: B019 - it lives as long as the server
    def look(self, method: str, headers: RawHeaders) -> Look:
        """What is to be said against a head, and whose token it has."""
        host = origin = site = mode = destination = content_type = encoding = ""
        bearers: list[bytes] = []
        for name, value in headers:
            if name == b"host":
                host = value.decode("latin1").strip(" \t").lower()
            elif name == b"origin":
                origin = value.decode("latin1").strip(" \t").lower()
            elif name == b"sec-fetch-site":
                site = value.decode("latin1").strip(" \t").lower()
            elif name == b"sec-fetch-mode":
                mode = value.decode("latin1").strip(" \t").lower()
            elif name == b"sec-fetch-dest":
                destination = value.decode("latin1").strip(" \t").lower()
            elif name == b"content-type":
                content_type = value.decode("latin1")
            elif name == b"content-encoding":
                encoding = value.decode("latin1").strip(" \t")
            elif name == b"authorization":
                bearers.append(value)
        foreign = origin and origin not in (f"http://{host}", f"https://{host}")
        follows = (mode, destination) == ("navigate", "document") and method == "GET"
        return Look(
            _foreign() if foreign or site == "cross-site" else None,
            None if host_name(host) in self._hosts else _wrong_host(host),
            None if method in SAFE_METHODS else _unfit(content_type, encoding),
            follows and not foreign,
            _foreign() if foreign or site not in OWN_SITES else None,
            digest_of_bearer(bearers[0]) if len(bearers) == 1 else None,
        )


def _foreign() -> Reply:
    return problem_reply(Problem.FORBIDDEN, "Requests of pages from other origins are not taken.")


def _wrong_host(host: str) -> Reply:
    return problem_reply(
        Problem.WRONG_HOST,
        f"This engine does not answer to the name {host_name(host)[:100]!r}; add it to"
        " `hosts` in the configuration.",
    )


def _unfit(content_type: str, encoding: str) -> Reply | None:
    if not is_json(content_type):
        return problem_reply(
            Problem.UNSUPPORTED_MEDIA_TYPE,
            f"Send `Content-Type: application/json`; it was {content_type[:100]!r}.",
        )
    if encoding.lower() not in ("", "identity"):
        return problem_reply(
            Problem.UNSUPPORTED_MEDIA_TYPE,
            f"Send the body as it is: `Content-Encoding: {encoding[:100]}` is not taken.",
        )
    return None


def unfit_form(headers: RawHeaders) -> Reply | None:
    """The refusal of what is no form, or a longer one than any of ours; None: it may be read."""
    kind, size = "", b"0"
    for name, value in headers:
        if name == b"content-type":
            kind = value.decode("latin1").partition(";")[0].strip(" \t").lower()
        elif name == b"content-length":
            size = value.strip(b" \t")
        elif name == b"transfer-encoding":
            size = b""  # who sends it does not say
    if kind != FORM:
        return problem_reply(Problem.UNSUPPORTED_MEDIA_TYPE, f"Send `Content-Type: {FORM}`.")
    if not size.isdigit() or int(size[:18]) > FORM_BYTES_MAX:
        detail = f"Send a form of at most {FORM_BYTES_MAX:,} bytes, and Content-Length with it."
        return problem_reply(Problem.TOO_LARGE, detail)
    return None


def is_health(path: str) -> bool:
    """Whether a path is that of a health route: these answer to any name and address, without a
    token, as a prober knows neither (a kubelet asks by the pod's address)."""
    return path in HEALTH_PATHS


def host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def is_json(content_type: str) -> bool:
    """Whether the media type is application/json, whatever its parameters."""
    return content_type.partition(";")[0].strip(" \t").lower() == "application/json"
