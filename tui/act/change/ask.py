"""Questions before the engine is changed, and what is said while it is asked what it would do.

Most questions tell what would happen, which the engine is asked for first. That takes a moment, or
many seconds of a filter with many runs: it is said at once, keys go on to do what they do, and
`esc` leaves it. A question is put where it was asked for: on another board, behind what was opened
meanwhile, it is not put any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from engine.client import Action, AtomicError, Refused
from engine.shown import times
from tui.act.change.doing import Doing
from tui.act.change.targets import Target, after_text
from tui.act.open import read_tree
from tui.act.stage import Question, Stage, Work, telling
from tui.boards.cells import Cell
from tui.data.tree import in_flight
from tui.text.sanitize import safe

AGE_TOLD_S = 2.0
"""An answer that takes longer is waited for with its age."""


class Waiting:
    """The engine is asked what an action would do, for a question about it."""

    def __init__(self, what: str, key: object, place: object, since: float) -> None:
        self.what, self.key, self.place, self.since = what, key, place, since
        self.end: Callable[[], None] = lambda: None


class Asking:
    """See the head of this file."""

    def __init__(self, stage: Stage, doing: Doing) -> None:
        self._stage, self._doing = stage, doing
        self.waiting: Waiting | None = None

    # -- while the engine is asked -------------------------------------------------------------

    def begin(self, what: str, key: object, work: Work) -> None:
        """Ask the engine what an action (`what`) would do, by `work`, which may put a question.

        A second press meanwhile is the first one; another question takes its place.
        """
        if self.waiting is not None and self.waiting.key == key:
            return
        if self.waiting is not None:
            self._end(self.waiting)
        stage = self._stage
        waiting = Waiting(what, key, stage.looking.here(), stage.store.clock.monotonic())
        self.waiting = waiting
        waiting.end = stage.start(self._asked(waiting, work), "asking")
        stage.tell("")  # in its place stands what is asked

    async def _asked(self, waiting: Waiting, work: Work) -> None:
        try:
            await telling(self._stage, work)
        finally:
            if self.waiting is waiting:
                self.waiting = None
                self._stage.redraw(ids=False)

    def _end(self, waiting: Waiting) -> None:
        self.waiting = None
        waiting.end()

    def leave(self) -> bool:
        """Ask no more (`esc`). False: nothing was asked."""
        if self.waiting is None:
            return False
        what = self.waiting.what
        self._end(self.waiting)
        self._stage.tell(f"{what}: not asked any more, nothing was done")
        return True

    def went_on(self) -> None:
        """Another board is looked at: what was asked for here is not, unless it is done without a
        question."""
        waiting = self.waiting
        if waiting is not None and waiting.place != self._stage.looking.here():
            self._end(waiting)
            self._left(waiting)

    def _left(self, waiting: Waiting) -> None:
        told = "the board is another one now, nothing was done: ask again there"
        self._stage.tell(f"{waiting.what}: {told}", "alarm")

    def told(self) -> str:
        """What to say while the engine is asked; empty: it is not."""
        if self.waiting is None:
            return ""
        passed = self._stage.store.clock.monotonic() - self.waiting.since
        age = f" {times.span(passed * 1000)}" if passed >= AGE_TOLD_S else ""
        return f"{self.waiting.what}: asking what it would do…{age} · esc leaves it"

    # -- the question --------------------------------------------------------------------------

    def ask(self, title: str, lines: Sequence[Cell], then: Work, typed: str | None = None) -> None:
        """Put a question; after a yes do what was asked for."""
        stage = self._stage

        def answered(answer: str) -> None:
            if answer and stage.store.stale:
                stage.tell("nothing was done: not connected", "alarm")
            elif answer:
                stage.start(telling(stage, then), "acting")
            else:
                stage.tell("nothing was done")

        self.put(Question(title, lines, typed), answered)

    def put(self, question: Question, then: Callable[[str], None]) -> None:
        """Put a question, if it is put where it was asked for."""
        stage, waiting = self._stage, self.waiting
        if waiting is None:
            stage.ask(question, then)
        elif waiting.place != stage.looking.here() or not stage.ask(question, then, late=True):
            self._left(waiting)

    # -- what is asked ---------------------------------------------------------------------------

    def before(self, action: Action, target: Target) -> None:
        """Ask before a run or step is cancelled, steps lose their outcome, or a failure is opened
        that something may have undone."""
        asks = {Action.CANCEL: self._cancel, Action.RERUN: self._rerun, Action.RETRY: self._retry}
        self.begin(action, (target.run_id, target.step_id), partial(asks[action], target))

    async def _cancel(self, target: Target) -> None:
        """Say what goes on all the same."""
        lines: list[Cell] = [
            (target.name, "strong"),
            ("Its outcome will be `cancelled`; whoever waits for it gets 409.", "plain"),
            *await self.in_flight_there([target]),
        ]
        then = partial(self._doing.act_and_tell, Action.CANCEL, target)
        self.ask("Cancel?", lines, then)

    async def in_flight_there(self, targets: Sequence[Target]) -> list[Cell]:
        """What a cancellation of these does not undo."""
        began: list[float] = []
        unknown: list[str] = []
        for target in targets:
            try:
                tree = await read_tree(self._stage, target.run_id)
                began += [call.started_at for call in in_flight(tree, target.step_id)]
            except (AtomicError, ValueError) as error:
                unknown.append(str(error))  # a run that is broken is cancelled all the same
        lines = in_flight_lines(sorted(began), self._stage.store.time.now_ms())
        if unknown:
            of = f" of {len(unknown):,} runs" * (len(targets) > 1)
            lines[:0] = [
                (f"which calls{of} are in flight is not known: {safe(unknown[0])}", "alarm")
            ]
        return lines

    async def _retry(self, target: Target) -> None:
        """If nothing may have undone the failure, it is opened without a question."""
        client = self._stage.client
        assert client is not None
        then = partial(self._doing.act_and_tell, Action.RETRY, target)
        try:
            plan = await client.operate.act(
                target.run_id, Action.RETRY, step=target.step_id, if_rev=target.rev, dry_run=True
            )
        except Refused as error:
            why = await self._doing.refusal(Action.RETRY, target, error)
            self._stage.tell(f"{Action.RETRY}: {target.name}: {why}", "alarm")
            return
        after = after_text(plan)
        if not (after or self._stage.options.strict):
            self._stage.start(then(), "acting")
            return
        lines: list[Cell] = [
            (target.name, "strong"),
            ("It is called when the workflow, which now runs again, posts it.", "plain"),
        ]
        if after:
            lines += [
                (f"recorded since the failure: {after}", "alarm"),
                ("They may be its compensation, and are not done again: E does that.", "dim"),
            ]
        self.ask("Open the failed step again?", lines, then)

    async def _rerun(self, target: Target) -> None:
        """Say which steps lose their outcome."""
        client = self._stage.client
        assert client is not None
        step_id = target.step_id or target.run_id
        plan = await client.operate.act(target.run_id, Action.RERUN, step=step_id, dry_run=True)
        tree = self._stage.store.trees.get(target.run_id)
        names = [tree.steps[id].name for id in plan.changed if tree and id in tree.steps]
        kept = 0 if tree is None else len(tree.steps) - len(plan.changed)
        lines: list[Cell] = [
            (target.name, "strong"),
            (f"runs again: {', '.join(names)}", "plain"),
            (f"{kept:,} steps keep their outcome", "dim"),
        ]
        step = target._replace(step_id=step_id)
        root = None if tree is None else tree.steps.get(step_id)
        if target.step_id is None and root is not None:
            step = step._replace(rev=root.rev)
        then = partial(self._doing.act_and_tell, Action.RERUN, step)
        self.ask("Re-run from here?", lines, then)


def in_flight_lines(calls: Sequence[float], now_ms: float) -> list[Cell]:
    """What a cancellation does not undo. `calls`: when those in flight began, the oldest first."""
    nothing: Cell = ("Nothing is compensated.", "dim")
    if not calls:
        return [nothing]
    age = times.span(max(0.0, now_ms - calls[0]))
    told = f"1 call is in flight for {age}."
    let = "It is let finish, and its effect may still happen."
    if len(calls) > 1:
        told = f"{len(calls):,} calls are in flight, the oldest for {age}."
        let = "They are let finish, and their effects may still happen."
    return [(told, "alarm"), (let, "plain"), nothing]
