"""The parent token of a post: the header `Atomic-Parent`, or the member `parent`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.front.server.strict import RawHeaders

_IN_HEAD = re.compile(rb"\r\natomic-parent:[ \t]*([^\r\n]*)", re.IGNORECASE)
_MEMBER = re.compile(rb'"parent"\s*:\s*"[A-Za-z0-9-]{1,64}\.[0-9]+\.[0-9]+\.[0-9a-f]+"')


def parent_of(headers: RawHeaders) -> str | None:
    """The parent token in the headers; None: there is no such header."""
    found: str | None = None
    for name, value in headers:
        if name == b"atomic-parent":
            found = value.decode("latin1").strip(" \t")
    return found


def parent_in(head: bytes) -> str:
    """The parent token in a head that was not taken apart, as one that is refused; empty: none."""
    found = _IN_HEAD.search(head)
    return "" if found is None else found[1].decode("latin1").strip(" \t")


def looks_posted_by_a_run(fields: RawHeaders, parts: Iterable[bytes]) -> bool:
    """Whether there is a parent token, or a part of the body looks as if it had one. It decides
    who waits, and no more: it may lie in the payload."""
    return bool(parent_of(fields)) or any(_MEMBER.search(part) for part in parts)
