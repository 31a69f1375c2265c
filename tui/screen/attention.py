"""What the terminal tells when nobody looks at the dashboard: its title, and a bell.

The bell rings once when something begins to need a person, not again while it goes on.
"""

from __future__ import annotations

from tui.boards.looks import glyph
from tui.data.inputs import LinkState
from tui.data.model import State
from tui.data.store import Store
from tui.text import fmt

KEEP_TITLE, GIVE_TITLE_BACK = "\x1b[22;2t", "\x1b[23;2t"
"""xterm's stack of titles: the shell's comes back at the end. Terminals without one ignore it."""


class Attention:
    """Compares what is with what was last told."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._title = ""
        self._stuck: int | None = None
        self._was_live = False

    def new_title(self) -> str | None:
        """The terminal's title as a control sequence; None: it is as it was."""
        store = self._store
        stuck = store.status.stuck_count or 0
        parts = [
            f"{glyph(state)}{fmt.short(count)}"
            for state, count in (
                (State.FAILED, stuck),
                (State.BACKING_OFF, store.counts.get(State.BACKING_OFF, 0)),
            )
            if count
        ]
        if store.stale:
            parts = ["stale"]
        title = " ".join([*parts, "atomic"])
        if title == self._title:
            return None
        self._title = title
        return f"\x1b]2;{title}\x07"

    def rings(self) -> bool:
        """Whether something has begun to need a person: more is stuck, or the engine has gone."""
        store = self._store
        stuck, before = store.status.stuck_count or 0, self._stuck
        live = store.link.state is LinkState.LIVE
        gone = self._was_live and not live
        self._stuck, self._was_live = stuck, live
        return gone or (before is not None and stuck > before == 0)
