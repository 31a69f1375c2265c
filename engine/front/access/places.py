"""Places in the sequence of events, for who sees one client's events alone.

The number of an event says how much happens in all. So who sees one client has ids that say nothing
to anybody but the engine: the number hidden under a random pad, and signed for that client. No two
of them are alike, also of the same place: that nothing else happened meanwhile is not told either.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

_BYTES = 8
"""Of each part: a pad's name, the number under the pad, the signature."""


class Places:
    """Hides and finds them."""

    def __init__(self, file_id: str, secret: bytes, token_bytes: Callable[[int], bytes]) -> None:
        self._file_id, self._token_bytes = file_id, token_bytes
        self._key = hmac.digest(secret, b"places in the sequence of events", "sha256")

    def hidden(self, client: str, seq: int) -> str:
        """An id of this place, for that client alone."""
        name = self._token_bytes(_BYTES)
        body = name + self._padded(client, name, seq.to_bytes(_BYTES))
        return f"{self._file_id}-{(body + self._signature(client, body)).hex()}"

    def found(self, client: str, id: str) -> int | None:
        """The place that an id names; None: it is none of this file's, or not this client's."""
        file_id, _, text = id.rpartition("-")
        try:
            data = bytes.fromhex(text)
        except ValueError:
            return None
        body, signature = data[: 2 * _BYTES], data[2 * _BYTES :]
        if file_id != self._file_id or data.hex() != text:
            return None
        if not hmac.compare_digest(signature, self._signature(client, body)):
            return None
        return int.from_bytes(self._padded(client, body[:_BYTES], body[_BYTES:]))

    def _padded(self, client: str, name: bytes, data: bytes) -> bytes:
        pad = hmac.digest(self._key, b"pad " + client.encode() + b" " + name, "sha256")
        return bytes(a ^ b for a, b in zip(data, pad, strict=False))

    def _signature(self, client: str, body: bytes) -> bytes:
        return hmac.digest(self._key, b"sign " + client.encode() + b" " + body, "sha256")[:_BYTES]
