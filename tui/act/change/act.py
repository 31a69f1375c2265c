"""What changes the engine: whether it may, whether it is asked first, how it went, and undoing it.

Nothing is queued for later: what cannot be done now is refused with the reason. A key that comes
when the row it was meant for has just left is refused too: the row that is there now is another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from engine.client import Action
from tui.act.change.ask import Asking
from tui.act.change.brake import Braking, Row
from tui.act.change.bulk import Many
from tui.act.change.doing import Doing
from tui.act.change.drafts import Drafts
from tui.act.change.repair import Repairing
from tui.act.change.retarget import Retargeting
from tui.act.change.saying import Saying
from tui.act.change.targets import (
    Target,
    action_for,
    of_row,
    of_step,
    opens_what_failed,
    why_not_on,
)
from tui.act.stage import Choice, Question, Stage, Terminal
from tui.boards.around.past import why_not_then
from tui.boards.selection import MARKED_MAX
from tui.data.reach import why_not_act
from tui.keys import BY_ID, Command, remapped, shown_key

REPAIRS = frozenset({"set-result", "skip", "other-payload"})
OUT_OF_SIGHT = "its row was out of sight, and is shown now: press again"
OF_NO_FILTER = {"note": "a note is of one run: u takes the marks away"}
OF_NO_ROW = frozenset({"undo", "abort"})
"""Commands that are not about the row under the cursor."""


class Meant(NamedTuple):
    """What a key that changes the engine was meant for."""

    targets: Sequence[Target]
    """Marked rows, or the one under the cursor."""
    row: Row
    """What the row under the cursor is of, for what holds and releases."""


class Acting:
    """See the head of this file."""

    def __init__(self, stage: Stage, terminal: Terminal) -> None:
        self._stage, self._terminal = stage, terminal
        self._commands = remapped(stage.options.keys)
        self.doing = Doing(stage)
        self.asking = Asking(stage, self.doing)
        self.many = Many(stage, self.doing, self.asking)
        drafts = Drafts(stage)
        self._retargeting = Retargeting(stage, self.doing, self.asking, self.many, drafts)
        self._repairing = Repairing(stage, terminal, self.doing, self.asking, drafts)
        self._saying = Saying(stage, self.doing, self.many, drafts)
        self._braking = Braking(stage, self.doing, self.asking, drafts)
        self._drawn: dict[str, Target] = {}
        """The rows on the screen, as they were drawn."""

    # -- what a key would do -------------------------------------------------------------------

    def meant(self) -> Meant:
        """What a key is meant for now, whatever comes to stand there before it is done."""
        return Meant(list(self.targets()), self._braking.meant())

    def targets(self) -> Iterator[Target]:
        """The marked rows, or the one under the cursor; made one by one, as there may be many and
        the footer asks for the first each time it is drawn."""
        rows = self._stage.selection()
        row_ids: Iterable[str] = rows.marks
        if not rows.marks and not rows.marks_lost and rows.cursor_id is not None:
            row_ids = (rows.cursor_id,)
        for row_id in row_ids:
            target = self._drawn.get(row_id) or self._target(row_id)
            if target is not None:
                yield self.doing.newest(target)

    def drawn(self, row_ids: Sequence[str]) -> None:
        """These rows were just drawn. A key is meant for them as they are seen, not as something
        that comes before the next drawing makes them: `P` on what runs never resumes."""
        self._drawn = {id: target for id in row_ids if (target := self._target(id)) is not None}

    def _target(self, row_id: str) -> Target | None:
        stage = self._stage
        if stage.looking.view != "run":
            return of_row(stage.store, stage.looking.view, row_id)
        step = stage.looking.step(row_id)
        return None if step is None else of_step(stage.store, step)

    def label(self, command: Command) -> str:
        """The footer's word: which way a key goes here that goes both."""
        if command.id == "hold":
            return "Release" if self._braking.releases() else command.label
        first = None if command.id in OF_NO_ROW else next(self.targets(), None)
        action = command.id if first is None else action_for(command.id, first)
        goes_both_ways = action != command.id and command.id not in REPAIRS
        return str(action).capitalize() if goes_both_ways else command.label

    def about(self, command: Command) -> tuple[str, str]:
        """What a command is called now, and why it can do nothing; that is empty if it can."""
        return self.label(command), self.why_not(command)

    def why_not(self, command: Command, meant: Meant | None = None) -> str:
        """Why a command can do nothing now; empty: it can. `meant`: chosen before."""
        stage = self._stage
        if stage.options.read_only:
            why = "--serve without --allow-actions" if self._terminal.is_web else "--read-only"
            return f"this dashboard only reads ({why})"
        if stage.looking.past is not None:
            return why_not_then(stage.looking.past, stage.looking.seen(stage.store))
        if stage.looking.is_recording:
            return "this is a recording"
        if stage.store.stale:
            return "not connected: what is shown may have passed"
        if refused := why_not_act(stage.store.status):
            return refused
        if command.id == "undo":
            return self.doing.why_not_undo()
        if command.id == "abort":
            return self.many.why_not_abort()
        if command.id == "hold":
            return self._why_not_hold(meant)
        if stage.looking.whole_filter:
            return OF_NO_FILTER.get(command.id, "")
        if meant is not None:
            targets = meant.targets
        elif (gone := self._why_not_here()) != "":
            return gone
        else:
            targets = list(islice(self.targets(), MARKED_MAX + 1))
        if not targets:
            line = stage.looking.lines.get(stage.selection().cursor_id or "")
            if stage.looking.view == "run" and line is not None and line.rest is not None:
                return f"these are {len(line.rest.steps):,} steps: enter lists them"
            return "there is nothing under the cursor"
        if len(targets) > MARKED_MAX:
            return f"more than {MARKED_MAX} are marked by hand: filter, then mark all with a"
        reasons = [why_not_on(command, target) for target in targets]
        return "" if "" in reasons else reasons[0]

    def _why_not_hold(self, meant: Meant | None) -> str:
        if self._stage.selection().marks or self._stage.looking.whole_filter:
            return "one client, workflow or host is held, not what is marked: u takes marks away"
        if meant is not None:
            return self._braking.why_not(meant.row)
        return self._why_not_here() or self._braking.why_not(self._braking.meant())

    def _why_not_here(self) -> str:
        """Why what is under the cursor, or marked, is not what the key was meant for."""
        rows = self._stage.selection()
        if rows.marks:
            return ""
        if rows.marks_lost:
            return "what was marked has left the list"
        if rows.has_just_left(self._stage.store.clock.monotonic()):
            return "the row under the cursor has just left: look again"
        return ""

    def _has_seen(self) -> bool:
        """Whether the row that is meant is on the screen; else it is shown first."""
        stage = self._stage
        rows = stage.selection()
        if rows.marks or stage.looking.whole_filter or rows.cursor < 0 or rows.is_seen(rows.cursor):
            return True
        stage.looking.follow(following=False)
        rows.move(0)
        return False

    # -- doing it ------------------------------------------------------------------------------

    def carry_out(self, command: Command, meant: Meant | None = None, typed: str = "") -> None:
        """A key that changes the engine was pressed: do it, ask, or say why not. `typed`: behind
        the command's name."""
        why = self.why_not(command, meant)
        if not why and meant is None and command.id not in OF_NO_ROW:
            why = "" if self._has_seen() else OUT_OF_SIGHT
        if why:
            self._stage.tell(f"{command.label}: {why}", "alarm")
            return
        match command.id:
            case "undo":
                self.doing.undo()
            case "abort":
                self.many.abort()
            case "hold":
                self._braking.begin(self._braking.meant() if meant is None else meant.row)
            case "retarget" if self._stage.looking.whole_filter:
                self._retargeting.begin((), self._stage.looking.filters["runs"])
            case _ if self._stage.looking.whole_filter:
                first = next(self.targets(), None)  # the footer says what its key would do
                action = Action(command.id) if first is None else action_for(command.id, first)
                self.many.bulk(action, self._stage.looking.filters["runs"])
            case "note":
                targets = list(self.targets()) if meant is None else meant.targets
                self._saying.note(targets, typed)
            case _:
                targets = list(self.targets()) if meant is None else meant.targets
                self._carry_out_on(command.id, targets)

    def _carry_out_on(self, command_id: str, targets: Sequence[Target]) -> None:
        first = targets[0]
        if first.cause is not None and command_id == "dismiss":
            self._saying.dismiss(action_for(command_id, first), first)
        elif first.cause is not None:
            self.many.bulk(action_for(command_id, first), f"is:stuck cause:{first.cause}")
        elif command_id == "retarget":
            self._retargeting.begin(targets)
        elif command_id in REPAIRS:
            self._repairing.begin(command_id, first)
        elif len(targets) > 1:
            self.many.ask_marked(command_id, list(targets))
        else:
            self._on_one(action_for(command_id, first), first)

    def _on_one(self, action: Action, target: Target) -> None:
        then = partial(self.doing.act_and_tell, action, target)
        if action in (Action.CANCEL, Action.RERUN) or opens_what_failed(action, target):
            self.asking.before(action, target)
        elif self._stage.options.strict:
            self.asking.ask(f"{str(action).capitalize()}?", [(target.name, "strong")], then)
        else:
            self._stage.start(then(), "acting")

    def ask_menu(self) -> None:
        """Everything that could be done here, and why the rest could not."""
        meant = self.meant()
        targets = meant.targets
        choices = []
        for command in self._commands:
            if command.writes and self._stage.looking.view in command.views:
                why = self.why_not(command)
                key = shown_key(command.keys)
                label = self.label(command)
                choices.append(Choice(key, command.id, label, why or command.help, why))
        name = targets[0].name if len(targets) == 1 else f"{len(targets):,} marked"
        title = f"Act on {name}" if targets else "Act"

        def chosen(command_id: str) -> None:
            if command_id:
                self.carry_out(BY_ID[command_id], meant)

        self._stage.ask(Question(title, choices=choices, cursor=None), chosen)
