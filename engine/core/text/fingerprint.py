"""The fingerprint of a payload: SHA-256 of its canonical JSON.

Canonical: members sorted, no white space, numbers by their exact value (`1`, `1.0` and `10e-1` are
one number), an absent payload is `null`. RFC 8785 in spirit, with exact numbers, not doubles; and a
lone surrogate, which no UTF-8 can hold, stays an escape, in lower case: `\\ud83d`.
"""

from __future__ import annotations

import decimal
import hashlib
import re
from typing import Any

import msgspec

from engine.core.text.json_text import with_marks, without_marks

DIGITS_INLINE_MAX = 20
"""Numbers with more digits than this before the point are written with an exponent."""

DIGITS_READ_MAX = 4_300
"""The interpreter makes no number of more digits, as that takes it the square of their time."""


def _exact(text: str) -> int | msgspec.Raw:
    """One spelling for each value of a JSON number that has a point or an exponent.

    Of its digits no number is made, and few copies: there may be a million.
    """
    at = max(text.find("e"), text.find("E"))
    mantissa, exponent_text = (text, "0") if at < 0 else (text[:at], text[at + 1 :])
    whole, _, fraction = mantissa.partition(".")
    sign = "-" if whole.startswith("-") else ""
    whole = whole.removeprefix("-")
    digits = (fraction if whole == "0" else whole + fraction).lstrip("0")
    stripped = digits.rstrip("0")
    if not stripped:
        return 0
    exponent = _sum(exponent_text, len(digits) - len(stripped) - len(fraction))
    if isinstance(exponent, int) and 0 <= exponent <= DIGITS_INLINE_MAX - len(stripped):
        return int(sign + stripped + "0" * exponent)
    return msgspec.Raw(f"{sign}{stripped}e{exponent}".encode())


def _sum(digits: str, number: int) -> int | str:
    """The sum; as a text where the interpreter makes no number of so many digits."""
    if len(digits) <= DIGITS_READ_MAX:
        return int(digits) + number
    context = decimal.Context(
        prec=len(digits) + DIGITS_INLINE_MAX, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN
    )
    found = f"{context.add(context.create_decimal(digits), number):f}"
    return found if len(found) > DIGITS_READ_MAX else int(found)


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
_UNREAD_INTEGER = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|([^"0-9.eE+-]-?|^-?)([0-9]{%d,}+)(?![.eE])'
    % (DIGITS_READ_MAX + 1)
)
"""Strings, to pass over them, and integers that the decoder takes for none."""


def fingerprint(payload: bytes) -> bytes:
    """The 32 bytes that tell one payload from another.

    Raises msgspec.DecodeError for what is not JSON (NaN among it), UnicodeDecodeError for what is
    not UTF-8, RecursionError when it is nested beyond what the interpreter takes.
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
    try:
        value = _decode(text)
    except msgspec.ValidationError:  # an integer that it does not make
        value = _decode(_UNREAD_INTEGER.sub(_with_exponent, text))
    if len(text) > DIGITS_INLINE_MAX and _LONG_NUMBER in text.translate(_DIGITS_TO_ZERO):
        value = _long_ints(value)
    return value


def _with_exponent(found: re.Match[bytes]) -> bytes:
    """An integer as a number that is handed over as it is written."""
    return found[0] if found[2] is None else found[0] + b"e0"
