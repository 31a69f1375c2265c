"""A deadline in real time, for tests whose clock stands still while they wait for bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

HUNG_S = 120.0
"""The longest of them takes some seconds, and was seen to take 26 on two cores at load 10."""


@contextmanager
def not_hung(where: Callable[[], object] = lambda: "here") -> Iterator[None]:
    """Within it a test that waits for what never comes fails, and says `where`: a bug that has
    somebody say nothing would else hold up whoever looks for it."""
    token, scope = trio.lowlevel.current_trio_token(), trio.CancelScope()
    timer = threading.Timer(HUNG_S, token.run_sync_soon, [scope.cancel])
    timer.daemon = True
    timer.start()
    try:
        with scope:
            yield
    finally:
        timer.cancel()
    if scope.cancelled_caught:
        raise AssertionError(f"nothing has come for {HUNG_S:g} s: it hangs {where()}")
