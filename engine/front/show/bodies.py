"""Recorded bodies as they are shown: whole, or the range asked for."""

from __future__ import annotations

import re

from engine.front.asked import whole_number
from engine.front.server.reply import Reply
from engine.ports.store import Body

OPERATORS = "/"
"""Whose turn it is to look at bodies, and who has room for them: no client can be called so."""
_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


def raw_body(body: Body, byte_range: str | None, *, redacted: bool) -> Reply:
    """A recorded body as it is shown, or the range asked for (RFC 9110 §14.2; one range).

    Third parties wrote it: the type it came with is said, but not in Content-Type, lest a browser
    act on it.
    """
    size = len(body.data) if body.size < 0 else body.size
    headers = (
        ("content-type", "application/octet-stream"),
        ("accept-ranges", "bytes"),
        ("atomic-content-type", re.sub(r"[^\x20-\x7e]", "?", body.content_type)),
        ("atomic-full-size", str(size)),
        ("atomic-redacted", "true" if redacted else "false"),
    )
    span = _RANGE.fullmatch(byte_range or "")
    if span is None or not (span[1] or span[2]):
        return Reply(200, headers, body.data)
    have = len(body.data)
    first, last = whole_number(span[1]), whole_number(span[2])
    if span[1] and span[2] and first > last:  # invalid, and so to be ignored (§14.1.1)
        return Reply(200, headers, body.data)
    if span[1]:
        start, end = first, min(last if span[2] else have, have - 1)
    else:
        start, end = max(0, have - last), have - 1
    if start > end:
        return Reply(416, (*headers, ("content-range", f"bytes */{have}")), b"")
    part = ("content-range", f"bytes {start}-{end}/{have}")
    return Reply(206, (*headers, part), body.data[start : end + 1])
