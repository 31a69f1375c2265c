"""What changes the engine: whether it may, whether it is asked first, how it went, and undoing it.

Nothing is queued for later: what cannot be done now is refused with the reason. A key that comes
when the row it was meant for has just left is refused too: the row that is there now is another.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.client import Action, AtomicError, Refused
from tui.asking import Asking
from tui.boards import PAUSING
from tui.keys import BY_ID, Command, shown_key
from tui.many import MARKED_MAX, Many
from tui.model import State
from tui.retargeting import Retargeting
from tui.screens.ask import Choice, Choose
from tui.targets import (
    PAST,
    Target,
    Urls,
    action_for,
    after_text,
    of_row,
    of_step,
    opens_what_failed,
    why_not_on,
)

if TYPE_CHECKING:
    from tui.app import Dashboard

ANSWERED_KEPT_MAX = 200
OF_NO_ROW = frozenset({"undo", "abort"})
"""Commands that are not about the row under the cursor."""
UNDONE_BY = {
    Action.PAUSE: Action.RESUME,
    Action.RESUME: Action.PAUSE,
    Action.DISMISS: Action.RESTORE,
    Action.RESTORE: Action.DISMISS,
}
OF_ANY_REVISION = frozenset({Action.PAUSE, Action.CANCEL, Action.DISMISS, Action.RETARGET})
"""What is meant of a run or step however far it has come since it was seen. The state still has to
allow it; the others are held against the revision, which the engine's own retries move on."""


class Left(NamedTuple):
    """A target that was left alone."""

    why: str
    """Empty: the same is being done to it already."""


class Acting:
    """See the head of this file."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app
        self.asking = Asking(app, self)
        self.many = Many(app, self)
        self.retargeting = Retargeting(app, self)
        self._answered: dict[tuple[str, str | None], Target] = {}
        """What actions have left behind, as the engine answered."""
        self._undo: list[tuple[Action, Target]] = []
        """What `z` would do."""
        self._drawn: dict[str, Target] = {}
        """The rows on the screen, as they were drawn."""
        self._busy: dict[tuple[str, str | None], str] = {}
        """Targets with an action under way, and which: a second press of a key is the first one."""

    # -- what a key would do -------------------------------------------------------------------

    def targets(self) -> Iterator[Target]:
        """The marked rows, or the one under the cursor; made one by one, as there may be many and
        the footer asks for the first each time it is drawn."""
        rows = self._app.selection()
        row_ids: Iterable[str] = rows.marks
        if not rows.marks and not rows.marks_lost and rows.cursor_id is not None:
            row_ids = (rows.cursor_id,)
        for row_id in row_ids:
            target = self._drawn.get(row_id) or self._target(row_id)
            if target is not None:
                yield self._newest(target)

    def _newest(self, target: Target) -> Target:
        """What was just done to it has been told, though its row may not have been drawn since."""
        told = self._answered.get((target.run_id, target.step_id))
        if told is None or told.rev <= target.rev:
            return target
        return target._replace(rev=told.rev, state=told.state, dismissed=told.dismissed)

    def drawn(self, row_ids: Sequence[str]) -> None:
        """These rows were just drawn. A key is meant for them as they are seen, not as something
        that comes before the next drawing makes them: `P` on what runs never resumes."""
        self._drawn = {id: target for id in row_ids if (target := self._target(id)) is not None}

    def _target(self, row_id: str) -> Target | None:
        app = self._app
        if app.looking.view != "run":
            return of_row(app.store, app.looking.view, row_id)
        step = app.looking.step(row_id)
        return None if step is None else of_step(app.store, step)

    def label(self, command: Command) -> str:
        """The footer's word: which way a key goes here that goes both."""
        first = None if command.id in OF_NO_ROW else next(self.targets(), None)
        action = command.id if first is None else action_for(command.id, first)
        return command.label if action == command.id else str(action).capitalize()

    def why_not(self, command: Command, targets: Sequence[Target] | None = None) -> str:
        """Why a command can do nothing now; empty: it can. `targets`: chosen before."""
        app = self._app
        if app.options.read_only:
            why = "--serve without --allow-actions" if app.is_web else "--read-only"
            return f"this dashboard only reads ({why})"
        if app.looking.is_recording:
            return "this is a recording"
        if app.store.stale:
            return "not connected: what is shown may have passed"
        if command.id == "undo":
            return "" if self._undo else "there is nothing to take back"
        if command.id == "abort":
            return self.many.why_not_abort()
        if app.looking.whole_filter:
            return ""
        if targets is None:
            if (gone := self._why_not_here()) != "":
                return gone
            targets = list(islice(self.targets(), MARKED_MAX + 1))
        if not targets:
            return "there is nothing under the cursor"
        if len(targets) > MARKED_MAX:
            return f"more than {MARKED_MAX} are marked by hand: filter, then mark all with a"
        reasons = [why_not_on(command, target) for target in targets]
        return "" if "" in reasons else reasons[0]

    def _why_not_here(self) -> str:
        """Why what is under the cursor, or marked, is not what the key was meant for."""
        rows = self._app.selection()
        if rows.marks:
            return ""
        if rows.marks_lost:
            return "what was marked has left the list"
        if rows.has_just_left(self._app.store.clock.monotonic()):
            return "the row under the cursor has just left: look again"
        return ""

    def _has_seen(self) -> bool:
        """Whether the row that is meant is on the screen; else it is shown first."""
        app = self._app
        rows = app.selection()
        if rows.marks or app.looking.whole_filter or rows.cursor < 0 or rows.is_seen(rows.cursor):
            return True
        app.looking.follow(following=False)
        rows.move(0)
        return False

    # -- doing it ------------------------------------------------------------------------------

    def do(self, command: Command, targets: Sequence[Target] | None = None) -> None:
        """A key that changes the engine was pressed: do it, ask, or say why not."""
        why = self.why_not(command, targets)
        if not why and targets is None and command.id not in OF_NO_ROW:
            why = "" if self._has_seen() else "this is the row: it was not on the screen"
        if why:
            self._app.flash(f"{command.label}: {why}", "alarm")
            return
        match command.id:
            case "undo":
                self._take_back()
            case "abort":
                self.many.abort()
            case "retarget" if self._app.looking.whole_filter:
                self.retargeting.begin((), self._app.looking.filters["runs"])
            case _ if self._app.looking.whole_filter:
                first = next(self.targets(), None)  # the footer says what its key would do
                action = Action(command.id) if first is None else action_for(command.id, first)
                self.many.bulk(action, self._app.looking.filters["runs"])
            case _:
                self._on(command.id, list(self.targets()) if targets is None else targets)

    def _on(self, command_id: str, targets: Sequence[Target]) -> None:
        first = targets[0]
        if first.cause is not None:
            self.many.bulk(action_for(command_id, first), f"is:stuck cause:{first.cause}")
        elif command_id == "retarget":
            self.retargeting.begin(targets)
        elif len(targets) > 1:
            self.many.ask_marked(command_id, list(targets))
        elif command_id == "rerun":
            self.asking.rerun(first)
        elif command_id == "cancel":
            self.asking.cancel(first)
        else:
            action = action_for(command_id, first)
            then = partial(self.act_and_tell, action, first)
            if opens_what_failed(action, first):
                self.asking.retry(first)
            elif self._app.options.strict:
                title = f"{str(action).capitalize()}?"
                self.asking.ask(title, [(first.name, "strong")], None, then)
            else:
                self.run(then())

    def do_menu(self) -> None:
        """Everything that could be done here, and why the rest could not."""
        targets = list(self.targets())
        choices = []
        for command in self._app.commands:
            if command.writes and self._app.looking.view in command.views:
                why = self.why_not(command)
                key = shown_key(command.keys)
                label = self.label(command)
                choices.append(Choice(key, command.id, label, why or command.help, why))
        name = targets[0].name if len(targets) == 1 else f"{len(targets):,} marked"
        title = f"Act on {name}" if targets else "Act"

        def chosen(command_id: str | None) -> None:
            if command_id:
                self.do(BY_ID[command_id], targets)

        self._app.push_screen(Choose(title, choices), chosen)

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do it beside the screen."""
        self._app.run_worker(work, group="acting", exit_on_error=True)

    async def act_on(
        self, action: Action, target: Target, urls: Urls = (None, None), *, undoing: bool = False
    ) -> Target | Left:
        """Carry an action out on one target; returns it as it is now, or why it was left alone.

        What is `undoing` another action is held against what that one left behind.
        """
        key = (target.run_id, target.step_id)
        if (other := self._busy.get(key)) is not None:
            return Left("" if other == action else f"{other} is under way")
        self._busy[key] = action
        client = self._app.client
        assert client is not None
        try:
            done = await client.operate.act(
                target.run_id, action, step=target.step_id, from_url=urls[0], to_url=urls[1],
                if_rev=target.rev if undoing or action not in OF_ANY_REVISION else None,
            )  # fmt: skip
        except Refused as error:
            return Left(await self.asking.refusal(action, target, error))
        except (AtomicError, ValueError) as error:
            return Left(str(error))
        finally:
            del self._busy[key]
        row = done.run if target.step_id is None else done.step
        if row is None:
            return target
        now = target._replace(
            rev=row.rev, state=State.of(row.status), dismissed=done.run.dismissed,
            pause_reason=row.pause_reason, after=after_text(done),
        )  # fmt: skip
        self._answered = dict([*self._answered.items(), (key, now)][-ANSWERED_KEPT_MAX:])
        return now

    async def act_and_tell(self, action: Action, target: Target, urls: Urls = (None, None)) -> None:
        """Carry an action out on one target, and tell how it went."""
        now = await self.act_on(action, target, urls)
        if isinstance(now, Left):
            if now.why:  # else it is done already, by the press before
                self._app.flash(f"{action}: {target.name}: {now.why}", "alarm")
            return
        self.remember([(action, now)])
        more = " · z takes it back" if self._undo else ""
        more += f" · not done again: {now.after}" * bool(now.after)
        told = PAUSING if now.is_pausing else PAST[action]
        self._app.flash(f"{told}: {target.name}{more}")

    # -- taking it back ------------------------------------------------------------------------

    def remember(self, done: Sequence[tuple[Action, Target]]) -> None:
        """These are what `z` takes back, as far as that can be done; nothing before them is."""
        self._undo = [(UNDONE_BY[action], now) for action, now in done if action in UNDONE_BY]

    def _take_back(self) -> None:
        undo, self._undo = self._undo, []
        self.run(self._undone(undo))

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
            self._app.flash(why, "alarm")
            return
        action, target = done[0]
        told = target.name if len(done) == 1 else f"{len(done):,} of {len(undo):,}"
        self._app.flash(f"taken back: {told} {PAST[action]}")
