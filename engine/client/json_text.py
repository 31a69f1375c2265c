"""JSON in and out of the client, lone surrogates included.

`"\\ud83d"`, half a character, is JSON, and JavaScript writes it when it cuts a text there. Python
has a `str` for it, msgspec has not.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from engine.wire import StandIns

T = TypeVar("T")


def encode(payload: Any) -> Raw:
    """The payload as JSON. Raises ValueError for NaN: msgspec alone would quietly post `null`."""
    if isinstance(payload, Raw):
        return payload
    plain = msgspec.to_builtins(payload, str_keys=True)
    text = json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    try:
        return Raw(text.encode())
    except UnicodeEncodeError:  # a lone surrogate: only as an escape
        return Raw(json.dumps(plain, separators=(",", ":")).encode())


def decode(text: Raw, type: type[T]) -> T:
    """JSON as `type`. Raises msgspec.ValidationError when it does not fit."""
    try:
        return msgspec.json.decode(text, type=type)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(bytes(text)), type)


def decode_with_raw(content: bytes, member: str, type: type[T]) -> T:
    """A struct whose `member` is Raw, and as it came. Raises msgspec.DecodeError."""
    try:
        return msgspec.json.decode(content, type=type)
    except msgspec.DecodeError:
        stand_ins = StandIns(content)
        if not stand_ins.found:
            raise
    value = msgspec.json.decode(stand_ins.text, type=type)
    as_sent = Raw(stand_ins.original(bytes(getattr(value, member))))
    changed: T = msgspec.structs.replace(value, **{member: as_sent})  # type: ignore[type-var]
    return changed
