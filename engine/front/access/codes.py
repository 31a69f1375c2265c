"""Codes that stand for a token once, for a minute: how a login passes from a shell to a browser."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable

GOOD_MS = 60_000
CODES_MAX = 100
"""That nobody has used yet; for one beyond the oldest is forgotten."""
CODES_OF_TOKEN_MAX = 5
"""Of these of one token; for one beyond its own oldest is forgotten."""
CODE_BYTES = 24


class Codes:
    """Those that are good, in memory alone: a restart ends them."""

    def __init__(self, now_ms: Callable[[], int], token_bytes: Callable[[int], bytes]) -> None:
        """`now_ms`: of a clock that nobody sets."""
        self._now_ms, self._token_bytes = now_ms, token_bytes
        self._kept: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()
        """By a code's digest: that of the token, and until when."""

    def make(self, digest: bytes) -> str:
        """A code for the token of this digest."""
        code = urlsafe_b64encode(self._token_bytes(CODE_BYTES)).decode()
        own = [each for each, (whose, _) in self._kept.items() if whose == digest]
        for each in own[: max(0, len(own) + 1 - CODES_OF_TOKEN_MAX)]:
            del self._kept[each]
        self._kept[_digest(code)] = (digest, self._now_ms() + GOOD_MS)
        while len(self._kept) > CODES_MAX:
            self._kept.popitem(last=False)
        return code

    def take(self, code: str) -> bytes | None:
        """The digest of the token that it stands for, this once; None: it stands for none."""
        digest, until = self._kept.pop(_digest(code), (None, 0))
        return digest if self._now_ms() < until else None


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "replace")).digest()
