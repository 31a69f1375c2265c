"""Why the database cannot be written, in words for people: `Words` of `store/away.py`."""

from __future__ import annotations

from engine.store.postgres.place import Place
from engine.store.postgres.wire import NotNow
from engine.store.seat import Fenced

BY_STATE = {
    "01000": "its standby has not confirmed what was written",
    "25006": "it takes nothing that is written: it is a standby, or was made read-only",
    "53100": "its disk is full",
    "53200": "it has no memory left",
    "53300": "it has no connection to spare (max_connections)",
    "55P03": "somebody holds a lock that is needed",
    "57P01": "it is being stopped, or somebody ended the session",
    "57P02": "it has crashed",
    "57P03": "it is starting, or stopping",
}
"""What is meant by SQLSTATE."""


class ServerWords:
    """Of a server. Who keeps it away, if anybody does, only its operators can see."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def why_not(self, error: Exception) -> str:
        """As a sentence."""
        return f"{self.place}: {_why(error)}."

    def who_keeps_it_away(self, error: Exception) -> str | None:
        """Nobody, as far as is known."""
        return None


def _why(error: Exception) -> str:
    said = str(error).rstrip(".")
    if isinstance(error, Fenced):
        return f"it is not as this engine left it ({said}); who may write is asked again"
    meant = BY_STATE.get(error.state) if isinstance(error, NotNow) else None
    return f"{meant} ({said})" if meant else said
