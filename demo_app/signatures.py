"""Whether a call is the engine's: Standard Webhooks (standardwebhooks.com), a receiver's side.

The engine signs `{webhook-id}.{webhook-timestamp}.{body}` with each of the client's secrets: while
one is exchanged for another a call has two signatures, and a file two secrets. One that fits is
enough.
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path

TOLERANCE_S = 300
SECRET = re.compile(r"^whsec_([A-Za-z0-9+/]{32,}=*)\s*$", re.MULTILINE)
"""A line with 24 bytes or more: of half a file, or a comment, no key is made."""


class BadSignature(Exception):
    """Whoever calls has not shown to be the engine. The message is for a person."""


def read_secrets(file: Path) -> list[bytes]:
    """The keys in a file, one a line. Raises OSError, ValueError."""
    return [b64decode(found) for found in SECRET.findall(file.read_text())]


def check_signature(
    secrets: list[bytes], headers: Mapping[str, str], body: bytes, now_s: float
) -> None:
    """Raises BadSignature unless one of the secrets signed this at most five minutes ago."""
    headers = {name.lower(): value for name, value in headers.items()}
    own_key, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if len(at) > 12 or not at.isdecimal() or abs(now_s - int(at)) > TOLERANCE_S:
        raise BadSignature("webhook-timestamp is missing, or five minutes off our clock")
    signed = f"{own_key}.{at}.".encode() + body
    good = [b"v1," + b64encode(hmac.digest(secret, signed, "sha256")) for secret in secrets]
    given = [each.encode() for each in headers.get("webhook-signature", "").split()]
    if not any(hmac.compare_digest(one, other) for one in good for other in given):
        raise BadSignature("webhook-signature is missing, or made with another secret")
