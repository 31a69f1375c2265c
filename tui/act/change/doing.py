"""Carrying an action out on one run or step, and taking it back: what was done, what is under way.

Nothing is queued for later: what cannot be done now is left alone, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import anyio

from engine.client import Action, AtomicError, Refused
from engine.wire import NoteRow, StepRow
from tui.act.change.targets import (
    Given,
    Target,
    after_text,
    left_to_do,
    moved_on,
    refusal,
    who_acted,
)
from tui.act.stage import Stage
from tui.boards.cells import PAUSING
from tui.boards.presence import PAST
from tui.data.model import State

if TYPE_CHECKING:
    from engine.client import AsyncClient

EVENT_COMES_S = 0.25
"""An event may be this much behind an answer."""
ANSWERED_KEPT_MAX = 200
UNDONE_BY = {
    Action.PAUSE: Action.RESUME,
    Action.RESUME: Action.PAUSE,
    Action.DISMISS: Action.UNDISMISS,
    Action.UNDISMISS: Action.DISMISS,
}
NOTHING_DONE = "there is nothing to take back"
STAYS = "what was done last is not taken back: a pause, a resume or a dismissal would be"
A_NOTE_STAYS = "a note of a run is part of its record, and stays: W writes another"
NOTE_STAYS = " · it stays: W writes another"
NOTHING_GIVEN: Given = {}
CAME_MEANWHILE = "it has come again since it was seen, and stays on the list"
OF_ANY_REVISION = frozenset(
    {Action.PAUSE, Action.CANCEL, Action.DISMISS, Action.RETARGET, Action.NOTE}
)
"""What is meant of a run or step however far it has come since it was seen. The state still has to
allow it; the others need the revision, which the engine's own retries move on."""


class Left(NamedTuple):
    """A target that was left alone."""

    why: str
    """Empty: the same is being done to it already."""
    step: StepRow | None = None
    """The step as it is, where that is why: it has changed since it was seen."""


class Doing:
    """See the head of this file."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._answered: dict[tuple[str, str | None], Target] = {}
        """What actions have left behind, as the engine answered."""
        self._undo: list[tuple[Action, Target]] = []
        """What `z` would do."""
        self._why_not_undo = NOTHING_DONE
        self._busy: dict[tuple[str, str | None], str] = {}
        """Targets with an action under way, and which: a second press of a key is the first one."""

    def newest(self, target: Target) -> Target:
        """What was just done to it has been told, though its row may not have been drawn since."""
        told = self._answered.get((target.run_id, target.step_id))
        if target.cause is not None or told is None or told.rev <= target.rev:
            return target
        return target._replace(rev=told.rev, state=told.state, dismissed=told.dismissed)

    async def act_on(
        self, action: Action, target: Target, given: Given = NOTHING_GIVEN, *, undoing: bool = False
    ) -> Target | Left:
        """Carry an action out on one target; returns it as it is now, or why it was left alone.

        What is `given` with it is by the names of `operate.act`. What is `undoing` another action
        needs the revision that that one left behind.
        """
        key = (target.cause or target.run_id, target.step_id)
        if (other := self._busy.get(key)) is not None:
            return Left("" if other == action else f"{other} is under way")
        self._busy[key] = action
        client = self._stage.client
        assert client is not None
        try:
            if target.cause is not None:
                if undoing and target.note is not None:
                    return await self._take_back(target.note, target, target.cause, client)
                return await self._act_on_cause(action, target, target.cause, client)
            done = await client.operate.act(
                target.run_id, action, step=target.step_id,
                if_rev=target.rev if undoing or action not in OF_ANY_REVISION else None, **given,
            )  # fmt: skip
        except Refused as error:
            return Left(await self.refusal(action, target, error), moved_on(error))
        except (AtomicError, ValueError) as error:
            return Left(str(error))
        finally:
            del self._busy[key]
        row = done.run if target.step_id is None else done.step
        if row is None:
            return target
        now = target._replace(
            rev=row.rev, state=State.of(row.status), dismissed=done.run.dismissed,
            pause_reason=row.pause_reason, after=after_text(done), left=left_to_do(done),
        )  # fmt: skip
        self._answered = dict([*self._answered.items(), (key, now)][-ANSWERED_KEPT_MAX:])
        return now

    async def _act_on_cause(
        self, action: Action, target: Target, cause: str, client: AsyncClient
    ) -> Target:
        """Dismiss it until it comes again, put it back, or note something of it. No event tells of
        it: the causes are read again. Raises AtomicError, ValueError."""
        if action is Action.NOTE:
            note = await client.operate.note_cause(cause, target.reason)
            self.read_causes()
            return target._replace(note=note)
        if action is Action.DISMISS:
            done = await client.operate.dismiss_cause(cause, target.reason, last_at=target.seen_at)
            came_again = done.came_again
        else:
            await client.operate.undismiss_cause(cause)
            came_again = False
        self.read_causes()
        left = CAME_MEANWHILE if came_again else ""
        return target._replace(
            dismissed=action is Action.DISMISS, left=left, comes_again=came_again
        )

    async def _take_back(
        self, note: NoteRow, target: Target, cause: str, client: AsyncClient
    ) -> Target | Left:
        """Remove a note of a cause, which is known by its place among the others. Raises
        AtomicError, ValueError."""
        rows = (await client.operate.causes(dismissed=True)).causes
        notes = next((row.notes for row in rows if row.cause == cause), ())
        if note not in notes:
            return Left("it is not there any more")
        await client.operate.take_note_back(cause, notes.index(note) + 1)
        self.read_causes()
        return target

    def read_causes(self) -> None:
        """What was said of a cause is another thing now."""
        self._stage.store.listing("causes").expire()
        if self._stage.feed is not None:
            self._stage.feed.poke()

    async def act_and_tell(
        self,
        action: Action,
        target: Target,
        given: Given = NOTHING_GIVEN,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Carry an action out on one target, and tell how it went; once it is `done`, say so."""
        now = await self.act_on(action, target, given)
        self.tell_of(action, target, now)
        if isinstance(now, Target) and not now.comes_again:
            done()

    def tell_of(self, action: Action, target: Target, now: Target | Left) -> None:
        """Tell what came of an action."""
        if isinstance(now, Left):
            if now.why:  # else it is done already, by the press before
                self._stage.tell(f"{action}: {target.name}: {now.why}", "alarm")
            return
        self.remember([(action, now)])
        more = " · z takes it back" if self._undo else ""
        more += NOTE_STAYS * (action is Action.NOTE and not self._undo)
        more += f" · not done again: {now.after}" * bool(now.after)
        more += f" · {now.left}" * bool(now.left)
        told = PAUSING if now.is_pausing else PAST[action]
        self._stage.tell(f"{told}: {target.name}{more}")

    async def refusal(self, action: Action, target: Target, error: Refused) -> str:
        """Why the engine did not do it. Who was quicker is told by the events, which come by
        another way: a moment is waited for that."""
        store = self._stage.store
        if error.problem == "revision-changed" and not who_acted(store, target):
            await anyio.sleep(EVENT_COMES_S)
        return refusal(store, action, target, error)

    # -- taking it back ------------------------------------------------------------------------

    def why_not_undo(self) -> str:
        """Why there is nothing to take back; empty: there is."""
        return "" if self._undo else self._why_not_undo

    def remember(self, done: Sequence[tuple[Action, Target]]) -> None:
        """These are what `z` takes back, as far as that can be done; nothing before them is."""
        self._undo = [(UNDONE_BY.get(action, action), now) for action, now in done
                      if action in UNDONE_BY or now.note is not None]  # fmt: skip
        is_note = bool(done) and done[0][0] is Action.NOTE
        self._why_not_undo = A_NOTE_STAYS if is_note else STAYS

    def undo(self) -> None:
        """Take back what was done last."""
        undo, self._undo, self._why_not_undo = self._undo, [], NOTHING_DONE
        self._stage.start(self._undone(undo), "acting")

    async def _undone(self, undo: Sequence[tuple[Action, Target]]) -> None:
        """Only what is as it was left: what somebody has changed since is theirs."""
        done: list[tuple[Action, Target]] = []
        why = ""
        for action, target in undo:
            now = await self.act_on(action, target, undoing=True)
            if isinstance(now, Left):
                why = f"{action}: {target.name}: {now.why}"
            else:
                done.append((action, target))
        if not done:
            self._stage.tell(why, "alarm")
            return
        action, target = done[0]
        told = target.name if len(done) == 1 else f"{len(done):,} of {len(undo):,}"
        is_note = action is Action.NOTE
        told = f"the note of {told}" if is_note else f"{told} {PAST[action]}"
        self._stage.tell(f"taken back: {told}")
