"""Watches all connections for clients that leave, while nobody reads from them.

It costs a request next to nothing, where a second task for each would cost more than to read and
answer it.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Callable
from typing import Protocol

import trio

from engine.process.platform import IS_LINUX

Left = Callable[[], None]
SWEEP_S = 0.02
"""How late the sweep may tell: well below the 100 ms for which the engine waits for the hang-up of
a function whose post was cut, before it judges the function's answer (`runs/open/request.py`)."""
SWEEP_S_FOR_EACH = 10e-6
"""And later by so much for each socket, so that a sweep takes a few hundredths of the time."""


class HangUps(Protocol):
    """Says when the other side of a socket has closed it, also while nobody reads from it."""

    def watch(self, fd: int, left: Left) -> None:
        """Call `left` once, when the other side closes or resets, until `forget`."""
        ...

    def forget(self, fd: int) -> None:
        """Must come before the descriptor is closed: its number is given to another one."""
        ...

    async def run(self) -> None:
        """Watch until cancelled."""
        ...

    def close(self) -> None:
        """Give back what the watching itself needed."""
        ...


def hang_ups() -> HangUps:
    """This system's way."""
    if sys.platform == "linux" and IS_LINUX:
        return EpollHangUps()
    return SweptHangUps()


if sys.platform == "linux":

    class EpollHangUps:
        """The kernel keeps the sockets in a set of their own, whose one descriptor becomes readable
        when one of them was closed. Unread bytes before the end hide nothing."""

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._left: dict[int, Left] = {}

        def watch(self, fd: int, left: Left) -> None:
            """See `HangUps`."""
            self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLONESHOT)
            self._left[fd] = left

        def forget(self, fd: int) -> None:
            """See `HangUps`."""
            del self._left[fd]
            self._epoll.unregister(fd)

        async def run(self) -> None:
            """See `HangUps`."""
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for fd, _ in self._epoll.poll(0):
                    self._left[fd]()

        def close(self) -> None:
            """Give the set's own descriptor back."""
            self._epoll.close()


class SweptHangUps:
    """A look at all sockets every so often: one call tells which have something to be read, and of
    these a byte is peeked at. Where there is none it is the end.

    An end behind bytes that nobody reads yet is told when they are read, or when the system calls
    it a hang-up by itself (Linux does after a reset, BSD's after any end).
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: dict[int, tuple[socket.socket, Left]] = {}
        self._hung_up: set[int] = set()
        self._some = trio.Event()

    def watch(self, fd: int, left: Left) -> None:
        """See `HangUps`."""
        self._poll.register(fd, select.POLLIN)
        # Family and type are not looked at by what it is used for, and to ask costs three calls.
        looking = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)
        self._watched[fd] = (looking, left)
        self._some.set()

    def forget(self, fd: int) -> None:
        """See `HangUps`."""
        looking, _ = self._watched.pop(fd)
        looking.detach()  # else its end would close the descriptor
        if fd in self._hung_up:
            self._hung_up.discard(fd)
        else:
            self._poll.unregister(fd)

    async def run(self) -> None:
        """See `HangUps`."""
        while True:
            await self._some.wait()
            await trio.sleep(SWEEP_S + len(self._watched) * SWEEP_S_FOR_EACH)
            self._sweep()
            if not self._watched:
                self._some = trio.Event()

    def _sweep(self) -> None:
        for fd, how in self._poll.poll(0):
            if fd in self._watched and (how & ~select.POLLIN or self._is_at_end(fd)):
                self._poll.unregister(fd)
                self._hung_up.add(fd)
                self._watched[fd][1]()

    def _is_at_end(self, fd: int) -> bool:
        try:
            return not self._watched[fd][0].recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False  # read meanwhile
        except OSError:
            return True

    def close(self) -> None:
        """See `HangUps`."""
