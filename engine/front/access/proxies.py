"""The proxies before the engine (`behind_proxy`): whoever else asks gets health alone, and they
alone are believed for whom they ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from engine.core.errors import Problem
from engine.front.access.request import is_health
from engine.front.server.reply import Reply
from engine.front.server.strict import RawHeaders, RequestHead
from engine.front.show.replies import problem_reply

IPAddress = IPv4Address | IPv6Address
PEERS_KEPT_MAX = 1_024
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(rf'[ \t]*({_TOKEN})=("(?:[^"\\]|\\.)*"|[^ \t",;]+)[ \t]*([;,]|$)')
_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+)(?::[0-9]+)?|([0-9A-Fa-f:.]+)")


class Proxies:
    """Whose addresses are the proxies'. Without any everybody is answered, and nobody believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Addresses and networks as in the settings, where they were checked."""
        self._networks = tuple(ip_network(it) for it in networks)
        self.are_known = bool(self._networks)
        """Whether there are any."""

    def is_stranger(self, peer: str | None) -> bool:
        """Whether a connection comes from elsewhere than the proxies there are."""
        return self.are_known and not self._is_proxy(peer or "")

    def refusal(self, peer: str | None, head: RequestHead) -> Reply | None:
        """Of what a stranger asks: all but health."""
        path = head.target.partition(b"?")[0].decode("latin1")
        if is_health(path) and head.method in (b"GET", b"HEAD") and head.body_bytes == 0:
            return None
        return problem_reply(
            Problem.FORBIDDEN,
            f"This engine answers only its proxies, and {peer} is none of them: ask through one, or"
            " add the address to `behind_proxy` in the configuration.",
        )

    def address(self, headers: RawHeaders, peer: str | None) -> str | None:
        """Where a request comes from: the peer, or what the proxies say (`X-Forwarded-For`, or
        `Forwarded` of RFC 7239): the last address before them.

        If both are there and differ, a proxy has passed one on as it came, from whoever wrote it:
        then neither is believed.
        """
        if peer is None or not self.are_known or not self._is_proxy(peer):
            return peer
        told = {
            self._before_the_proxies(chain, peer)
            for chain in (_forwarded_for(headers), _forwarded(headers))
            if chain
        }
        return told.pop() if len(told) == 1 else peer

    def _before_the_proxies(self, chain: list[str], peer: str) -> str:
        at = peer
        for node in reversed(chain):
            address = _address_in(node)
            if address is None:
                break  # it is hidden, or no address: who said so is the last that is known
            at = str(address)
            if not self._is_proxy(at):
                break
        return at

    @lru_cache(maxsize=PEERS_KEPT_MAX)  # noqa: B019 - it lives as long as the server
    def _is_proxy(self, address: str) -> bool:
        found = _address_in(address)
        return found is not None and any(found in network for network in self._networks)


def _forwarded_for(headers: RawHeaders) -> list[str]:
    lines = [value.decode("latin1") for name, value in headers if name == b"x-forwarded-for"]
    return [node.strip(" \t") for node in ",".join(lines).split(",") if node.strip(" \t")]


def _forwarded(headers: RawHeaders) -> list[str]:
    """The `for` of each element, from the client on; empty text for what says nothing. A line that
    is malformed says nothing at all: what a client wrote in it may have swallowed the rest."""
    chain: list[str] = []
    for name, value in headers:
        if name == b"forwarded":
            chain += _elements(value.decode("latin1").strip(" \t,"))
    return chain


def _elements(line: str) -> list[str]:
    elements, at = [""], 0
    while at < len(line):
        pair = _PAIR.match(line, at)
        if pair is None:
            return [""]
        if pair[1].lower() == "for":
            elements[-1] = pair[2].strip('"')
        if pair[3] == ",":
            elements.append("")
        at = pair.end()
    return elements


def _address_in(node: str) -> IPAddress | None:
    """The address of `1.2.3.4:80`, `[2001:db8::1]:80` and the like; None: it is none."""
    found = _NODE.fullmatch(node.partition("%")[0])
    try:
        address = ip_address((found[1] or found[2] or found[3]) if found else "")
    except ValueError:
        return None
    return (address.version == 6 and address.ipv4_mapped) or address
