"""Where in a JSON text masks stand in the place of values: it was read as people are shown it, and
is given back. Whoever were called with it would take `***` for a card's number.

It is read in slices, as `masked_json.py` does it: small pieces of work, and a yield after each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator

from msgspec import Struct

from engine.core.text.masked_json import VALUE_MASK
from engine.core.text.named_values import Names
from engine.core.text.secrets import MASK

NAMED_MAX = 20
"""So many places are told of; who mends these finds the others."""
SIGNS_A_SLICE = 1_000
_SIGN = re.compile(rb'[\[\]{},:]|"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class _Place(Struct):
    """An array or object that is open, and where in it one is."""

    is_object: bool
    token: str = ""
    number: int = 0
    is_name_next: bool = True
    """Of an object: what comes is a member's name."""


def masks_left(text: bytes, names: Names | None) -> Generator[None, None, list[str]]:
    """JSON pointers (RFC 6901) to the values of a JSON text that are a mask, or in which a name is
    given one; the first NAMED_MAX. What is spelled with an escape is meant as it is."""
    found: list[str] = []
    open_at: list[_Place] = []
    for count, sign in enumerate(_SIGN.finditer(text), 1):
        if count % SIGNS_A_SLICE == 0:
            yield
        spelled = sign[0]
        place = open_at[-1] if open_at else None
        if spelled in (b"{", b"["):
            open_at.append(_Place(spelled == b"{"))
        elif spelled in (b"}", b"]"):
            open_at.pop()
        elif spelled == b"," and place is not None:
            place.number += 1
            place.is_name_next = True
        elif spelled == b":" and place is not None:
            place.is_name_next = False
        elif place is not None and place.is_object and place.is_name_next:
            place.token = str(json.loads(spelled, strict=False))
        elif (yield from _is_mask(spelled, names)):
            found.append(_pointer(open_at))
            if len(found) == NAMED_MAX:
                break
    return found


def _is_mask(spelled: bytes, names: Names | None) -> Generator[None, None, bool]:
    if spelled == VALUE_MASK:
        return True
    if names is None or not spelled.endswith(VALUE_MASK[1:]):
        return False
    inner = spelled[1:-1]
    given = yield from names.given_in(inner)
    return given is not None and inner[given:].strip() == MASK.encode()


def _pointer(open_at: list[_Place]) -> str:
    tokens = (it.token if it.is_object else str(it.number) for it in open_at)
    return "".join("/" + it.replace("~", "~0").replace("/", "~1") for it in tokens)
