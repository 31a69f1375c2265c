"""What is told of a payload, or of a result that was set, in the place of its digest.

The record has SHA-256 of it, by which the engine tells one from another. Whoever were shown that
could try values until one fits, also of what they may not see. So what is shown has a key: of one
run it is the same for the same, and it says nothing else.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from typing import Any


class Digests:
    """Makes what is shown of them."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: of the file, so that it stays over restarts, and in copies."""
        self._key = hmac.digest(secret, b"digests that are shown", "sha256")

    def shown(self, run_id: str, digest: bytes) -> bytes:
        """What is told in the place of a digest that a run has."""
        return hmac.digest(self._key, f"{run_id} ".encode() + digest, "sha256")

    def put_in(self, fact: dict[str, Any], run_id: str) -> None:
        """Put what is shown in the place of the digests of a recorded fact, read as JSON."""
        for members in (fact, fact.get("spec") or {}):
            for name in ("fingerprint", "digest"):
                if recorded := members.get(name):
                    found = self.shown(run_id, b64decode(recorded))
                    members[name] = b64encode(found).decode()
