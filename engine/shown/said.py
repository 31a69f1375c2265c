"""What people say of a run or a cause, in one line: notes, dismissals; and who says it."""

from __future__ import annotations

import re

_NAMELESS = re.compile(r"^http:(?=\S)")


def who_text(actor: str) -> str:
    """Who acts or listens, in words: `somebody at 10.1.2.3`, where the engine knows no more of them
    than the address from which they asked (`http:10.1.2.3`)."""
    return _NAMELESS.sub("somebody at ", actor)


def note_text(when: str, actor: str, text: str) -> str:
    """`note 12:00:00 by ana: vendor informed`."""
    return f"note {when} by {actor}: {text}"


def dismissal_text(when: str, actor: str, reason: str, *, came_again: bool) -> str:
    """`dismissed 2h ago by ana: known`; `came again after ana dismissed it 2h ago: known`."""
    if came_again:
        return f"came again after {actor} dismissed it {when}: {reason}"
    return f"dismissed {when} by {actor}: {reason}"
