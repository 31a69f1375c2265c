"""What a person says of a run or a cause: a note of it; why a cause is dismissed until it comes
again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from engine.client import Action
from engine.wire import NOTE_BYTES_MAX
from tui.act.change.bulk import Many
from tui.act.change.doing import Doing
from tui.act.change.drafts import KEPT, Act, Drafts, act_of
from tui.act.change.targets import Target, of_its_run
from tui.act.stage import Stage


class Saying:
    """See the head of this file."""

    def __init__(self, stage: Stage, doing: Doing, many: Many, drafts: Drafts) -> None:
        self._stage, self._doing, self._many, self._drafts = stage, doing, many, drafts

    def note(self, targets: Sequence[Target], typed: str = "") -> None:
        """Write a note of these: what is `typed` already, or is asked for."""
        meant = list(dict.fromkeys(of_its_run(self._stage.store, it) for it in targets))
        act = act_of("note", meant)
        if typed:
            self._drafts.keep(act, "note", typed)
            self._noted(act, meant, typed)
        else:
            self._drafts.line(act, "note", partial(self._noted, act, meant))

    def _noted(self, act: Act, targets: list[Target], text: str) -> None:
        if (note := self._said("note", text)) is None:
            return
        first, done = targets[0], partial(self._drafts.done, act)
        given = {"reason": note}
        if len(targets) > 1:
            self._stage.start(self._many.march(Action.NOTE, targets, given, done), "acting")
        else:
            first = first._replace(reason=note)
            work = self._doing.act_and_tell(Action.NOTE, first, given, done)
            self._stage.start(work, "acting")

    def dismiss(self, action: Action, target: Target) -> None:
        """Ask why, and dismiss a cause; one that is dismissed is put back at once."""
        if action is Action.DISMISS:
            act = act_of("dismiss", [target])
            self._drafts.line(act, "dismissal", partial(self._dismissed, act, target))
        else:
            self._stage.start(self._doing.act_and_tell(action, target), "acting")

    def _dismissed(self, act: Act, target: Target, text: str) -> None:
        if (reason := self._said("dismiss", text)) is not None:
            why, done = target._replace(reason=reason), partial(self._drafts.done, act)
            work = self._doing.act_and_tell(Action.DISMISS, why, done=done)
            self._stage.start(work, "acting")

    def _said(self, what: str, text: str) -> str | None:
        """What was typed; None, and it is told, if nothing was, or too much."""
        found = text.strip()
        if found and len(found.encode(errors="replace")) <= NOTE_BYTES_MAX:
            return found
        told = f"nothing was done, it needs a text of at most {NOTE_BYTES_MAX:,} bytes"
        self._stage.tell(f"{what}: {told}" + f" · {KEPT}" * bool(found), "alarm")
        return None
