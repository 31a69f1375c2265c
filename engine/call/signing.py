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

SIGNED_AT_ONCE_BYTES_MAX = 262_144
"""Some tenths of a millisecond. Of a larger body so much is signed between others' turns."""


class Signer:
    """Signs the calls of one client."""

    __slots__ = ("_keyed",)

    def __init__(self, secrets: Sequence[bytes]) -> None:
        # Keyed once: what the key costs is half of what a small body does.
        self._keyed = [hmac.new(secret, digestmod="sha256") for secret in secrets]

    async def header_lines(self, own_key: str, now_s: int, body: Sequence[bytes]) -> bytes:
        """The lines of the three headers, each with its CRLF. `body` is in pieces, none of which is
        copied; `now_s` is in seconds since the epoch."""
        start = f"{own_key}.{now_s}.".encode("ascii")
        signatures = []
        for keyed in self._keyed:
            mac = keyed.copy()
            mac.update(start)
            for piece in body:
                if len(piece) <= SIGNED_AT_ONCE_BYTES_MAX:
                    mac.update(piece)
                else:
                    await _update_in_slices(mac, piece)
            signatures.append(b"v1," + b64encode(mac.digest()))
        return b"webhook-id: %b\r\nwebhook-timestamp: %d\r\nwebhook-signature: %b\r\n" % (
            own_key.encode("ascii"),
            now_s,
            b" ".join(signatures),
        )


async def _update_in_slices(mac: hmac.HMAC, piece: bytes) -> None:
    view = memoryview(piece)
    for at in range(0, len(view), SIGNED_AT_ONCE_BYTES_MAX):
        mac.update(view[at : at + SIGNED_AT_ONCE_BYTES_MAX])
        await trio.lowlevel.checkpoint()
