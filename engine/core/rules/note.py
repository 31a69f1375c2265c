"""What people write of a run or a cause (`vendor informed, ticket 4711`), or dismiss one for."""

from __future__ import annotations

from engine.core.errors import Problem, Refused

NOTE_BYTES_MAX = 1_024
"""Of UTF-8."""
NOTES_MAX = 20
"""Of one run, or one cause."""


def check_note(text: str | None, member: str, what: str = "A note") -> str:
    """The text of a note, or of `what` else, from this member. Raises Refused for none, or one that
    is too long."""
    if text is None or not text.strip():
        detail = f"{what} needs `{member}`: what there is to say."
        raise Refused(Problem.INVALID_REQUEST, detail, member=member)
    size = len(text.encode())
    if size > NOTE_BYTES_MAX:
        detail = f"`{member}` has at most {NOTE_BYTES_MAX:,} bytes of UTF-8; this one has {size:,}."
        raise Refused(Problem.INVALID_REQUEST, detail, member=member)
    return text
