"""What people say of a run or a cause, and do to a step, in one line: notes, dismissals, repairs;
and who does."""

from __future__ import annotations

import re

REPAIRS = {"set-result": "result set", "skip": "skipped", "rerun": "other payload"}
"""Of a step, what was done in the place of its endpoint, or of who posted it."""
_NAMELESS = re.compile(r"^http:(?=\S)")


def who_text(actor: str) -> str:
    """Who acts or listens, in words: `somebody at 10.1.2.3`, where the engine knows no more of them
    than the address from which they asked (`http:10.1.2.3`)."""
    return _NAMELESS.sub("somebody at ", actor)


def note_text(when: str, actor: str, text: str) -> str:
    """`note 12:00:00 by ana: vendor informed`."""
    return f"note {when} by {actor}: {text}"


def repair_text(act: str, actor: str) -> str:
    """`result set by ana`."""
    return f"{REPAIRS.get(act, act)} by {who_text(actor) or 'somebody'}"


def dismissal_text(when: str, actor: str, reason: str, *, came_again: bool) -> str:
    """`dismissed 2h ago by ana: known`; `came again after ana dismissed it 2h ago: known`."""
    if came_again:
        return f"came again after {actor} dismissed it {when}: {reason}"
    return f"dismissed {when} by {actor}: {reason}"
