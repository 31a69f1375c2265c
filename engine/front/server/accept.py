"""Accepts connections: all that wait with one turn, and not one with each.

`trio.serve_listeners` takes a turn of the loop for each connection. While turns are long that is
fifty a second, and clients beyond find the backlog full and try again seconds later.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

import trio

ACCEPTED_AT_ONCE_MAX = 64
"""With one turn: who floods us starves nobody. Fewer where there are few descriptors, as each
holds one until its task has looked whether there is room for it."""
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
NO_ROOM_WAIT_S = 0.1
FATAL = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP, errno.EFAULT})
"""Anything else is about one connection that has gone already (accept(2))."""


async def accept_all(
    listener: trio.SocketListener,
    start: Callable[[trio.SocketStream], None],
    no_room: Callable[[OSError], None],
    at_once_max: int = ACCEPTED_AT_ONCE_MAX,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Hand each connection to `start`, until cancelled; then close the listener.

    When the system has no descriptor or memory for one, `no_room` is told, and it tries again a
    moment later. Raises OSError if the listener itself is broken.
    """
    async with listener:
        with socket.socket(fileno=os.dup(listener.socket.fileno())) as waiting:
            waiting.setblocking(False)
            task_status.started()
            while True:
                await trio.lowlevel.wait_readable(waiting)
                try:
                    for _ in range(at_once_max):
                        start(_accept_one(waiting))
                except BlockingIOError:
                    continue
                except OSError as error:
                    if error.errno in FATAL:
                        raise
                    if error.errno in NO_ROOM:
                        no_room(error)
                        await trio.sleep(NO_ROOM_WAIT_S)


def _accept_one(waiting: socket.socket) -> trio.SocketStream:
    accepted, _ = waiting.accept()
    try:
        accepted.setblocking(False)
        return trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
    except BaseException:
        accepted.close()
        raise
