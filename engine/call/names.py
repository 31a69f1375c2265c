"""Names to addresses: the system's resolver, in threads that no slow name can use up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from socket import SOCK_STREAM, getaddrinfo
from typing import cast
from weakref import WeakValueDictionary

import trio

LOOKUPS_MAX = 32
"""Worker threads inside the system's resolver, for all hosts together."""
LOOKUPS_PER_HOST_MAX = 4
Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""Host name → IP addresses, best first. Raises OSError (`socket.gaierror`) or UnicodeError."""


class _HostPlaces:
    """The limiter of one host inside the limiter of all; kept until the thread is really done."""

    def __init__(self, host: trio.CapacityLimiter, everyone: trio.CapacityLimiter) -> None:
        self._host, self._everyone = host, everyone

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        await self._host.acquire_on_behalf_of(borrower)
        try:
            await self._everyone.acquire_on_behalf_of(borrower)
        except BaseException:
            self._host.release_on_behalf_of(borrower)
            raise

    def release_on_behalf_of(self, borrower: object) -> None:
        self._everyone.release_on_behalf_of(borrower)
        self._host.release_on_behalf_of(borrower)


class SystemResolver:
    """`getaddrinfo` in worker threads, at most `LOOKUPS_PER_HOST_MAX` for one host."""

    def __init__(self, lookup: Callable[[str], Sequence[str]] | None = None) -> None:
        self._lookup = lookup or _getaddrinfo
        self._everyone = trio.CapacityLimiter(LOOKUPS_MAX)
        # A limiter lives as long as a look-up of its host waits or runs: no host is remembered.
        self._hosts: WeakValueDictionary[str, trio.CapacityLimiter] = WeakValueDictionary()

    async def __call__(self, host: str) -> Sequence[str]:
        """Resolve; cancelling leaves the thread to itself."""
        limiter = self._hosts.get(host)
        if limiter is None:
            limiter = self._hosts[host] = trio.CapacityLimiter(LOOKUPS_PER_HOST_MAX)
        places = _HostPlaces(limiter, self._everyone)
        return await trio.to_thread.run_sync(
            self._lookup,
            host,
            limiter=cast(trio.CapacityLimiter, places),  # documented as duck-typed
            abandon_on_cancel=True,
        )


def _getaddrinfo(host: str) -> list[str]:
    found = getaddrinfo(host, None, type=SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
