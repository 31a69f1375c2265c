"""Who is a proxy, what others are told, and whom the proxies speak for."""

from __future__ import annotations

import pytest

from engine.front.access.proxies import Proxies
from engine.front.server.strict import ServerLimits, read_head
from tests.front.raw_http import get, post

PROXIES = Proxies(("10.0.0.5", "10.1.0.0/16", "fd00::/64"))
LIMITS = ServerLimits()


@pytest.mark.parametrize(
    ("peer", "is_stranger"),
    [
        ("10.0.0.5", False), ("::ffff:10.0.0.5", False), ("10.1.255.255", False),
        ("fd00::9", False), ("fd00::9%eth0", False),
        ("10.0.0.6", True), ("10.2.0.1", True), ("127.0.0.1", True), ("::1", True),
        ("fd00:0:0:1::9", True), (None, True),
    ],
)  # fmt: skip
def test_who_is_a_stranger(peer: str | None, is_stranger: bool) -> None:
    """Whoever is not named, this machine too; nobody where no proxies are named."""
    assert PROXIES.is_stranger(peer) is is_stranger
    assert not Proxies(()).is_stranger(peer)


@pytest.mark.parametrize(
    ("raw", "passes"),
    [
        (get("/healthz"), True), (get("/readyz?verbose"), True),
        (get("/healthz").replace(b"GET", b"HEAD"), True),
        (get("/"), False), (get("/healthz/"), False), (get("/healthz/../api/v1/runs"), False),
        (get("/api/v1/status?/healthz"), False), (get("/metrics"), False),
        (post("/healthz", b""), False), (post("/shop", b"{}"), False),
        (get("/healthz", "Content-Length: 5"), False),
    ],
)  # fmt: skip
def test_what_strangers_are_told(raw: bytes, passes: bool) -> None:
    """Health, and else which setting keeps them out, with the address to put there."""
    head = read_head(raw[: raw.index(b"\r\n\r\n") + 4], LIMITS)
    reply = PROXIES.refusal("192.0.2.7", head)
    assert (reply is None) is passes
    if reply is not None:
        assert reply.status == 403
        assert b"192.0.2.7 is none of them" in reply.body
        assert b"`behind_proxy`" in reply.body


def told(peer: str | None, *lines: str) -> str | None:
    """Where a request comes from, by its header lines."""
    headers = tuple(
        (name.lower().encode(), value.strip().encode())
        for name, _, value in (line.partition(":") for line in lines)
    )
    return PROXIES.address(headers, peer)


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        ((), "10.0.0.5"),
        (("X-Forwarded-For: 192.0.2.1",), "192.0.2.1"),
        (("X-Forwarded-For: 6.6.6.6, 192.0.2.1",), "192.0.2.1"),
        (("X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.1.2.3",), "192.0.2.1"),
        (("X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.1"), "192.0.2.1"),
        (("X-Forwarded-For: 192.0.2.1:5555",), "192.0.2.1"),
        (("X-Forwarded-For: 2001:DB8::1",), "2001:db8::1"),
        (("X-Forwarded-For: [2001:db8::1]:80",), "2001:db8::1"),
        (("X-Forwarded-For: ::ffff:192.0.2.1",), "192.0.2.1"),
        (("X-Forwarded-For: 10.1.0.1, 10.1.0.2",), "10.1.0.1"),
        (("X-Forwarded-For: 192.0.2.1, unknown",), "10.0.0.5"),
        (("X-Forwarded-For: 192.0.2.1, 10.1.0.9, nonsense",), "10.0.0.5"),
        (("X-Forwarded-For: , 192.0.2.1 ,",), "192.0.2.1"),
        (("Forwarded: for=192.0.2.1;proto=https;by=10.0.0.5",), "192.0.2.1"),
        (('Forwarded: For="[2001:db8::1]:4711"',), "2001:db8::1"),
        (("Forwarded: for=6.6.6.6, for=192.0.2.1",), "192.0.2.1"),
        (("Forwarded: for=6.6.6.6", "Forwarded: for=192.0.2.1;host=a"), "192.0.2.1"),
        (("Forwarded: for=192.0.2.1, for=10.1.0.1",), "192.0.2.1"),
        (("Forwarded: for=_hidden",), "10.0.0.5"),
        (("Forwarded: for=192.0.2.1, proto=https",), "10.0.0.5"),
        (('Forwarded: for=6.6.6.6;by=", for=192.0.2.1',), "10.0.0.5"),
        (('Forwarded: for=6.6.6.6;by="a, for=7.7.7.7", for=192.0.2.1',), "192.0.2.1"),
        (("Forwarded: nonsense",), "10.0.0.5"),
        (("X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1"), "192.0.2.1"),
        (("X-Forwarded-For: 192.0.2.1", "Forwarded: for=6.6.6.6"), "10.0.0.5"),
    ],
)  # fmt: skip
def test_whom_a_proxy_speaks_for(lines: tuple[str, ...], address: str) -> None:
    """The last address before the proxies; what a client wrote itself is further left, and what is
    malformed, hidden or contradicts itself ends the search."""
    assert told("10.0.0.5", *lines) == address


@pytest.mark.parametrize("peer", ["192.0.2.9", "127.0.0.1", None])
def test_nobody_else_is_believed(peer: str | None) -> None:
    """Nor anybody, where no proxies are named."""
    lines = ("X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6")
    assert told(peer, *lines) == peer
    headers = ((b"x-forwarded-for", b"6.6.6.6"),)
    assert Proxies(()).address(headers, "10.0.0.5") == "10.0.0.5"
