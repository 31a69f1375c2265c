"""Calls signed by Standard Webhooks 1.0: an endpoint can tell that a call comes from its engine.

What is signed is `webhook-id`, `webhook-timestamp` and the body, joined by dots, with HMAC-SHA256.
The id is the step's own key, which no dot is in: constant over the step's attempts. The timestamp
is the attempt's, so that one that was recorded elsewhere is not good for long. With two secrets
there are two signatures, and the endpoint needs one of them.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence

import trio

JOINED_BYTES_MAX = 16_384
"""A body of no more bytes is signed in one piece, which takes half as long; the pieces of a larger
one are not copied."""
SIGNED_AT_ONCE_BYTES_MAX = 262_144
"""Some tenths of a millisecond. Of a larger body so much is signed between others' turns."""


class Signer:
    """Signs the calls of one client."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = tuple(secrets)

    async def header_lines(self, own_key: str, now_s: int, body: Sequence[bytes]) -> bytes:
        """The lines of the three headers, each with its CRLF. `body` is in pieces; `now_s` is in
        seconds since the epoch."""
        pieces = (f"{own_key}.{now_s}.".encode("ascii"), *body)
        if sum(map(len, body)) <= JOINED_BYTES_MAX:
            whole = b"".join(pieces)
            digests = [hmac.digest(secret, whole, "sha256") for secret in self._secrets]
        else:
            digests = [await _digest_in_slices(secret, pieces) for secret in self._secrets]
        signatures = [b"v1," + b64encode(digest) for digest in digests]
        return b"webhook-id: %b\r\nwebhook-timestamp: %d\r\nwebhook-signature: %b\r\n" % (
            own_key.encode("ascii"),
            now_s,
            b" ".join(signatures),
        )


async def _digest_in_slices(secret: bytes, pieces: Sequence[bytes]) -> bytes:
    mac = hmac.new(secret, digestmod="sha256")
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), SIGNED_AT_ONCE_BYTES_MAX):
            if at:
                await trio.lowlevel.checkpoint()
            mac.update(view[at : at + SIGNED_AT_ONCE_BYTES_MAX])
    return mac.digest()
