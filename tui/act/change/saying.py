"""What a person says of a run or a cause: a note of it; why a cause is dismissed until it comes
again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from engine.client import Action
from engine.wire import NOTE_BYTES_MAX
from tui.act.change.bulk import Many
from tui.act.change.doing import Doing
from tui.act.change.targets import Target, of_its_run
from tui.act.stage import Stage, TypedLine, telling


class Saying:
    """See the head of this file."""

    def __init__(self, stage: Stage, doing: Doing, many: Many) -> None:
        self._stage, self._doing, self._many = stage, doing, many

    def note(self, targets: Sequence[Target], typed: str = "") -> None:
        """Write a note of these: what is `typed` already, or is asked for."""
        meant = list(dict.fromkeys(of_its_run(self._stage.store, it) for it in targets))
        if typed:
            self._noted(meant, typed)
        else:
            self._stage.ask(TypedLine("note"), partial(self._noted, meant))

    def _noted(self, targets: list[Target], text: str) -> None:
        if (note := self._said("note", text)) is None:
            return
        first = targets[0]
        if first.cause is not None:
            work = partial(self._note_cause, first.name, first.cause, note)
            self._stage.start(telling(self._stage, work), "acting")
        elif len(targets) > 1:
            self._stage.start(self._many.march(Action.NOTE, targets, {"reason": note}), "acting")
        else:
            work = partial(self._doing.act_and_tell, Action.NOTE, first, {"reason": note})
            self._stage.start(work(), "acting")

    async def _note_cause(self, name: str, cause: str, note: str) -> None:
        client = self._stage.client
        assert client is not None
        await client.operate.note_cause(cause, note)
        self._doing.remember([])  # as after any act that is not taken back
        self._doing.read_causes()
        self._stage.tell(f"noted: {name}")

    def dismiss(self, action: Action, target: Target) -> None:
        """Ask why, and dismiss a cause; one that is dismissed is put back at once."""
        if action is Action.DISMISS:
            self._stage.ask(TypedLine("dismissal"), partial(self._dismissed, target))
        else:
            self._stage.start(self._doing.act_and_tell(action, target), "acting")

    def _dismissed(self, target: Target, text: str) -> None:
        if (reason := self._said("dismiss", text)) is not None:
            why = target._replace(reason=reason)
            self._stage.start(self._doing.act_and_tell(Action.DISMISS, why), "acting")

    def _said(self, what: str, text: str) -> str | None:
        """What was typed; None, and it is told, if nothing was, or too much."""
        found = text.strip()
        if found and len(found.encode(errors="replace")) <= NOTE_BYTES_MAX:
            return found
        told = f"nothing was done, it needs a text of at most {NOTE_BYTES_MAX:,} bytes"
        self._stage.tell(f"{what}: {told}", "alarm")
        return None
