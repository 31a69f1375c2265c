"""The sign of each state, and the one in ASCII: the same on the command line and the dashboard.

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
