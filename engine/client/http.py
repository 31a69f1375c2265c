"""How both clients use httpx: requests, sockets and time-outs."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache

import httpx

from engine import __version__
from engine.client.bearer import TokenFile
from engine.client.tries import Call
from engine.process.platform import sockets

CONNECT_S = 5.0
WRITE_S = 30.0
USUAL_READ_S = 30.0


class Requests:
    """Makes the requests to one engine for the client's own transport.

    What `httpx.Client` does for each request (defaults merged, cookies, redirects, hooks) costs
    three times what it costs to send one, and an engine needs none of it.
    """

    def __init__(self, engine: httpx.URL, token: TokenFile | None = None) -> None:
        self._engine, self._token = engine, token
        self._url = lru_cache(maxsize=64)(self._parsed)
        self._headers = httpx.Headers(
            {
                "Host": engine.netloc.decode("ascii"),
                "Accept": "*/*",
                "Accept-Encoding": "gzip, deflate",
                "User-Agent": f"atomic-client/{__version__}",
            }
        )
        if engine.userinfo:  # a proxy in front of the engine may ask for it (RFC 7617)
            user = f"{engine.username}:{engine.password}".encode()
            self._headers["Authorization"] = f"Basic {b64encode(user).decode()}"

    def of(self, call: Call, left_ms: int | None) -> tuple[httpx.Request, bytes]:
        """One try of a call, and its content."""
        url, content = self._url(call.path), call.content(left_ms) or b""
        headers = self._headers.copy()
        if self._token is not None:
            headers.update(self._token.headers())
        headers.update(call.head(left_ms))
        request = httpx.Request(
            call.method,
            url.copy_merge_params(call.query) if call.query else url,
            headers=headers,
            stream=httpx.ByteStream(content),  # `content=` would look at the headers anew
            extensions={"timeout": timeout_of(call, left_ms).as_dict()},
        )
        return request, content

    def _parsed(self, path: str) -> httpx.URL:
        return httpx.URL(f"{self._engine}{path}")


def keep_alive() -> list[tuple[int, int, int]]:
    """Socket options that notice a dead peer within two minutes: a hanging post has no time-out."""
    return sockets.keep_alive(idle_s=60, interval_s=15, probes=4)


def timeout_of(call: Call, left_ms: int | None) -> httpx.Timeout:
    """httpx's time-outs for one try."""
    read = call.read_timeout_s(left_ms, USUAL_READ_S)
    return httpx.Timeout(connect=CONNECT_S, write=WRITE_S, read=read, pool=None)
