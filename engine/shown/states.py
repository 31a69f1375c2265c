"""The sign of each state, and the one in ASCII: the same on the command line, the dashboard and the
pages.

All are one cell wide everywhere (East Asian width neutral, and none is an emoji).
"""

from __future__ import annotations

SIGNS = {
    "pending": ("◌", "."),
    "running": ("▸", ">"),
    "backing-off": ("↻", "r"),
    "waiting": ("◷", "w"),
    "paused": ("◫", "="),
    "completed": ("✓", "+"),
    "failed": ("✗", "X"),
    "cancelled": ("⊘", "~"),
}
UNKNOWN_SIGN = ("?", "?")
SET_BY = {
    "policy": "the retry policy",
    "retry-after": "Retry-After",
    "interrupted": "an interruption, which costs no retry",
    "child-ended": "the end of a step below",
    "operator": "an operator",
}
"""What set the time of a next attempt (`delayBy`)."""
