"""What is told at the foot for a moment."""

from __future__ import annotations

from tui.boards.cells import Part
from tui.data.clock import Clock
from tui.text.sanitize import safe

FLASH_S = 5.0


class Flash:
    """See the head of this file. `clock` is that of who reads, also where another time is shown."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: Part = ("", "plain")
        self._until = float("-inf")

    @property
    def now(self) -> Part:
        """The message and its style; empty when the moment has passed."""
        return ("", "plain") if self._clock.monotonic() > self._until else self._told

    def tell(self, text: str, style: str) -> None:
        """Tell this. An empty text ends what was told before."""
        self._told, self._until = (safe(text), style), self._clock.monotonic() + FLASH_S

    def end(self, *, alarm: bool = False) -> None:
        """Tell nothing more; `alarm`: if that is what is told."""
        if not alarm or self._told[1] == "alarm":
            self._until = float("-inf")
