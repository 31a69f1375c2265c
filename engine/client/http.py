"""How both clients use httpx: connections, proxies, time-outs."""

from __future__ import annotations

from typing import Any

import httpx

from engine.client.calls import CONNECT_S, WRITE_S, Call
from engine.platform import sockets

USUAL_READ_S = 30.0
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=50)
"""No cap on connections: each waiting post holds one. httpx's own cap of 100 would lock up a
process whose workflows hold a hundred posts and need one more for a step to go on."""


def http_options(engine: httpx.URL) -> dict[str, Any]:
    """What both clients give to httpx.

    On loopback the environment's proxies are not for us: with HTTP_PROXY set and no exception for
    127.0.0.1, every post would go to the company's proxy. Elsewhere they are honoured, and so are
    the certificates that SSL_CERT_FILE names.
    """
    loopback = engine.host in ("localhost", "::1") or engine.host.startswith("127.")
    return {"trust_env": not loopback, "limits": LIMITS, "follow_redirects": False}


def keep_alive() -> list[tuple[int, int, int]]:
    """Socket options that notice a dead peer within two minutes: a hanging post has no time-out."""
    return sockets.keep_alive(idle_s=60, interval_s=15, probes=4)


def timeout_of(call: Call, left_ms: int | None) -> httpx.Timeout:
    """httpx's time-outs for one try."""
    read = call.read_timeout_s(left_ms, USUAL_READ_S)
    return httpx.Timeout(connect=CONNECT_S, write=WRITE_S, read=read, pool=None)
