"""Ports on 127.0.0.1 for what cannot say which one it took, or comes back on the one it had."""

from __future__ import annotations

import os
import random
import socket

PORTS = range(20_000, 32_000)
"""Below the ports that the system gives to who asks for any, and to clients: a caller that knocks
while nobody listens on a port of that range may at last be connected with itself."""


def free_port() -> int:
    """A port that nobody listens on, and that no other worker of pytest-xdist will choose."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        port = random.choice(PORTS[worker::workers])
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
