"""A line that a person types, or pastes: what a terminal would obey is left out of it."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

from tui.text.sanitize import safe


class Typed(Input):
    """An input that takes only what can be printed, in the order in which it is typed."""

    def replace(self, text: str, start: int, end: int) -> None:
        """Replace a stretch; everything that is typed or pasted comes by here."""
        super().replace("".join(c for c in text if c == safe(c)), start, end)

    async def _on_key(self, event: events.Key) -> None:
        """Edit at once: a binding waits until its key has bubbled up to the app, and what is typed
        behind it in one piece (a slow link, a script) would overtake it."""
        bindings = self._bindings.key_to_bindings.get(event.key, [])
        if bindings and not event.is_printable:
            event.stop()
            event.prevent_default()
            await self.run_action(bindings[0].action)
        else:
            await super()._on_key(event)
