"""What people say of a run or a cause, in one line: notes, dismissals."""

from __future__ import annotations


def note_text(when: str, actor: str, text: str) -> str:
    """`note 12:00:00 by ana: vendor informed`."""
    return f"note {when} by {actor}: {text}"


def dismissal_text(when: str, actor: str, reason: str, *, came_again: bool) -> str:
    """`dismissed 2h ago by ana: known`; `came again after ana dismissed it 2h ago: known`."""
    if came_again:
        return f"came again after {actor} dismissed it {when}: {reason}"
    return f"dismissed {when} by {actor}: {reason}"
