"""Watches all connections for clients that leave, while nobody reads from them.

It costs a request next to nothing, where a second task for each would cost more than to read and
answer it.
"""

from __future__ import annotations

import select
from collections.abc import Callable

import trio

POLLRDHUP = getattr(select, "EPOLLRDHUP", 0x2000)


class HangUps:
    """Says when the other side of a socket has closed it, also while nobody reads from it.

    The kernel keeps the sockets in a set of their own, whose one descriptor becomes readable when
    one of them was closed. Unread bytes before the end hide nothing.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._left: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, left: Callable[[], None]) -> None:
        """Call `left` once, when the other side closes or resets, until `forget`."""
        self._epoll.register(fd, POLLRDHUP | select.EPOLLONESHOT)
        self._left[fd] = left

    def forget(self, fd: int) -> None:
        """Must come before the descriptor is closed: its number is given to another one."""
        del self._left[fd]
        self._epoll.unregister(fd)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0):
                self._left[fd]()

    def close(self) -> None:
        """Give the set's own descriptor back."""
        self._epoll.close()
