"""Answers of the engine with hostile text wherever there can be text, made from the wire's types.

A member that is added to one of them is filled too, without a line here.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

HOSTILE = "\x1b]52;c;aGk=\x07\x9b31m\u202eevil\u200b\u2066\ufeff\x00\r\n\ud800"
"""What a terminal would obey, hide or turn round; and half a character."""
WHOLE = HOSTILE.removesuffix("\ud800")
"""The same of whole characters, as JSON must have them."""


def hostile(kind: Any, text: str = HOSTILE, *, sparse: bool = False) -> Any:
    """A value of a type with hostile texts wherever there must be a text; if it is not `sparse`,
    also wherever there can be one."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    options, origin = get_args(kind), get_origin(kind)
    if kind is Any or kind is str:
        return text
    if origin is Literal:
        return options[0]
    if origin is tuple:
        return tuple(hostile(each, text, sparse=sparse) for each in options if each is not Ellipsis)
    if origin is dict:
        return {text: hostile(options[1], text, sparse=sparse)}
    if sparse and type(None) in options:
        return None
    if options:  # a union: whatever holds the most
        chosen = [each for each in options if each not in (type(None), msgspec.UnsetType)]
        return hostile(chosen[0], text, sparse=sparse)
    if issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        return kind(
            **{name: hostile(hints[name], text, sparse=sparse) for name in kind.__struct_fields__}
        )
    if issubclass(kind, Enum):
        return next(iter(kind))
    return {int: 1, float: 1.0, bool: True, msgspec.Raw: msgspec.Raw(b'"\\u001b[2J"')}[kind]


def texts(value: Any) -> list[str]:
    """Every text in a value."""
    if isinstance(value, str):
        return [] if isinstance(value, Enum) else [value]
    if isinstance(value, msgspec.Struct):
        return [t for name in value.__struct_fields__ for t in texts(getattr(value, name))]
    if isinstance(value, dict):
        return [t for pair in value.items() for each in pair for t in texts(each)]
    if isinstance(value, (list, tuple)):
        return [t for each in value for t in texts(each)]
    return []
