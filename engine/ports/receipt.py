"""The promise of a write."""

from __future__ import annotations

from typing import Protocol


class Receipt(Protocol):
    """The promise of a write."""

    @property
    def durable(self) -> bool:
        """Whether the commit has happened."""

    async def wait(self) -> None:
        """Return when it has. If the commit fails for good the engine stops, and this never
        returns."""

    async def wait_unless_away(self) -> bool:
        """Return when it has (True), or when the store is away (False)."""
