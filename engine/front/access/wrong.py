"""How often an address may try what turns out to be wrong."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

TRIES_MAX = 5
WITHIN_MS = 60_000
ADDRESSES_MAX = 10_000
"""Of which so much is remembered; who was wrong longest ago is forgotten for another."""


class WrongTries:
    """Counts them."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """`now_ms`: of a clock that nobody sets."""
        self._now_ms = now_ms
        self._tries: OrderedDict[str, deque[int]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """How many seconds until it may try again; 0: it may."""
        tries = self._tries.get(address)
        if tries is None or len(tries) < TRIES_MAX:
            return 0
        return max(0, -(-(tries[0] + WITHIN_MS - self._now_ms()) // 1000))

    def was_wrong(self, address: str) -> None:
        """It was, once more."""
        tries = self._tries.setdefault(address, deque(maxlen=TRIES_MAX))
        tries.append(self._now_ms())
        self._tries.move_to_end(address)
        while len(self._tries) > ADDRESSES_MAX:
            self._tries.popitem(last=False)
