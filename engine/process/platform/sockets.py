"""Options of TCP sockets: how the system finds out that the other side is gone.

Each function gives what `setsockopt` takes, as httpx's and our own transports do.
"""

from __future__ import annotations

import socket
import sys

from engine.process.platform import IS_LINUX

Option = tuple[int, int, int]
"""(level, name, value)"""


def keep_alive(idle_s: int, interval_s: int, probes: int) -> list[Option]:
    """While nothing is said: after `idle_s` ask whether the other side is there, every
    `interval_s`, and after `probes` without an answer the connection is gone."""
    idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
    wanted = (
        (idle, idle_s),  # macOS has it under the second name
        (getattr(socket, "TCP_KEEPINTVL", None), interval_s),
        (getattr(socket, "TCP_KEEPCNT", None), probes),
    )
    options = [(socket.IPPROTO_TCP, name, value) for name, value in wanted if name is not None]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *options]


def unacknowledged(seconds: float) -> list[Option]:
    """What was sent and is not acknowledged, or not taken, for so long ends the connection.

    Elsewhere than on Linux nothing, and it is found out later: when the system gives up (minutes),
    or when its buffers are full and a deadline of ours ends the writing.
    """
    if sys.platform == "linux" and IS_LINUX:
        return [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(seconds * 1000)))]
    return []
