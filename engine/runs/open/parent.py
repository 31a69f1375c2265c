"""The parent token of an attempt (`Atomic-Parent`): which step posts, and from which attempt.

Opaque, signed, so that nobody makes one up, and never issued twice: attempt numbers only rise, and
the epoch (which rises with every start of the engine) tells a number that a crash let be used
again.
"""

from __future__ import annotations

import hashlib
import hmac

from msgspec import Struct

from engine.core.model import run_of
from engine.core.rules.post import Parent


class ParentToken(Struct, frozen=True):
    """What a parent token says."""

    step_id: str
    attempt: int
    epoch: int

    @property
    def run_id(self) -> str:
        """A step's id begins with its run's."""
        return run_of(self.step_id)


class ParentTokens:
    """Issues and reads parent tokens with one secret."""

    def __init__(self, secret: bytes, epoch: int) -> None:
        self._secret = secret
        self.epoch = epoch

    def issue(self, step_id: str, attempt: int) -> str:
        """The parent token of one attempt."""
        text = f"{step_id}.{attempt}.{self.epoch}"
        return f"{text}.{self._sign(text)}"

    def read(self, parent_token: str) -> ParentToken | None:
        """What the parent token says, or None if this engine never issued it."""
        text, _, signature = parent_token.rpartition(".")
        if not text or not hmac.compare_digest(self._sign(text).encode(), signature.encode()):
            return None
        step_id, attempt, epoch = text.split(".")
        return ParentToken(step_id, int(attempt), int(epoch))

    def parent(self, parent_token: ParentToken | None) -> Parent | None:
        """Which step a post with this parent token comes from; None: one without a parent token."""
        if parent_token is None:
            return None
        return Parent(parent_token.step_id, parent_token.attempt, parent_token.epoch == self.epoch)

    def _sign(self, text: str) -> str:
        return hashlib.blake2b(text.encode(), key=self._secret, digest_size=10).hexdigest()
