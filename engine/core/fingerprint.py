"""The fingerprint of a payload: SHA-256 of its canonical JSON.

Canonical: members sorted, no white space, numbers by their exact value (`1`, `1.0` and `10e-1` are
one number), an absent payload is `null`. RFC 8785 in spirit, with exact numbers, not doubles; and a
lone surrogate, which no UTF-8 can hold, stays an escape, in lower case: `\\ud83d`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from engine.core.json_text import with_marks, without_marks

DIGITS_INLINE_MAX = 20
"""Numbers with more digits than this before the point are written with an exponent."""


def _exact(text: str) -> int | msgspec.Raw:
    """One spelling for each value of a JSON number that has a point or an exponent."""
    mantissa, _, exponent_text = text.lower().partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(exponent_text or "0") - len(fraction)
    stripped = digits.rstrip("0")
    if not stripped:
        return 0
    exponent += len(digits) - len(stripped)
    if exponent >= 0 and len(stripped) + exponent <= DIGITS_INLINE_MAX:
        return int(sign + stripped + "0" * exponent)
    return msgspec.Raw(f"{sign}{stripped}e{exponent}".encode())


def _long_ints(value: Any) -> Any:
    """Bring integers of more than DIGITS_INLINE_MAX digits to the same spelling as the rest."""
    if isinstance(value, dict):
        return {key: _long_ints(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_long_ints(item) for item in value]
    if isinstance(value, int) and abs(value) >= 10**DIGITS_INLINE_MAX:
        return _exact(f"{value}e0")
    return value


_decode = msgspec.json.Decoder(float_hook=_exact).decode
encode = msgspec.json.Encoder(order="sorted").encode
"""A value of `canonical_value` in its canonical form."""
# A row of zeros, where each digit is made one, is found much faster than a pattern is.
_DIGITS_TO_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_LONG_NUMBER = b"0" * (DIGITS_INLINE_MAX + 1)


def fingerprint(payload: bytes) -> bytes:
    """The 32 bytes that tell one payload from another.

    Raises msgspec.DecodeError or msgspec.ValidationError for what is not JSON (NaN and integers of
    more than 4,300 digits among it), UnicodeDecodeError for what is not UTF-8, RecursionError when
    it is nested beyond what the interpreter takes.
    """
    return hashlib.sha256(canonical(payload)).digest()


def canonical(text: bytes) -> bytes:
    """The canonical form of a JSON text. Raises as `fingerprint` does."""
    try:
        return encode(canonical_value(text))
    except msgspec.DecodeError:
        if rb"\u" not in text:
            raise
        return without_marks(encode(canonical_value(with_marks(text))))


def canonical_value(text: bytes) -> Any:
    """What to encode for it. Raises as `fingerprint` does, and for lone surrogates."""
    value = _decode(text)
    if len(text) > DIGITS_INLINE_MAX and _LONG_NUMBER in text.translate(_DIGITS_TO_ZERO):
        value = _long_ints(value)
    return value
