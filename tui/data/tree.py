"""A run with its steps, as it was read and as events have moved it on since."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from engine.wire import HoldRow, MoveRow, NoteRow, PauseReason
from tui.data.fold import freshens_parent, run_after, says_all, step_after, step_opened
from tui.data.model import Attempt, Happening, Run, State, Step


class Tree(Struct):
    """A run with its steps, in the order they were recorded."""

    run: Run
    steps: dict[str, Step]
    outdated: bool = False
    """An event was missed, or said what cannot be folded here: read it again."""
    under_way: dict[str, int] = field(default_factory=dict)
    """The revision that a step will have when all events of its latest change have come."""
    moves: tuple[MoveRow, ...] = ()
    """To other URLs, as they were read."""
    notes: tuple[NoteRow, ...] = ()
    """What people wrote of it, as it was read."""
    holds: tuple[HoldRow, ...] = ()
    """What keeps its steps from starting, as it was read."""

    def step_called(self, name: str) -> str | None:
        """The first step that is shown or called so, by its id; None: there is none."""
        steps = self.steps.values()
        shown = (step.id for step in steps if step.label == name)
        return next(shown, None) or next((step.id for step in steps if step.name == name), None)

    def take(self, event: Happening) -> set[str]:
        """An event of one of its steps; returns the ids of the steps that it changed."""
        before = self.steps.get(event.step_id)
        if before is not None and event.rev <= before.rev:
            return set()  # the answer that was read has it already
        if before is None:
            opened = step_opened(event)
            if opened is None:
                self.outdated = True
                return set()
            after = opened
        else:
            if self.under_way.get(before.id, event.rev) != event.rev:
                self.catch_up()
                before = replace(before, rev=event.rev - 1)
            after = step_after(before, event)
        self.steps[after.id] = after
        self._held(before, after)
        self.outdated = self.outdated or not says_all(event)
        if after.rev < event.rev:
            self.under_way[after.id] = event.rev
        else:
            self.under_way.pop(after.id, None)
        parent = self.steps.get(after.parent_id or "")
        if freshens_parent(event) and parent is not None and parent.failures:
            self.steps[parent.id] = replace(parent, failures=0)
            return {after.id, parent.id}
        return {after.id}

    def _held(self, before: Step | None, after: Step) -> None:
        """The event of a step that is held does not say by what; of the last one that is not held
        any more nothing else says that what held them is over."""
        if after.held_since is not None:
            self.outdated = self.outdated or not self.holds
            return
        was_held = before is not None and before.held_since is not None
        if was_held and all(step.held_since is None for step in self.steps.values()):
            self.holds = ()

    def expire(self) -> None:
        """It is to be read again."""
        self.outdated = True

    def take_run(self, event: Happening) -> bool:
        """Take in what has happened to the run itself; False: it is known."""
        if event.rev <= self.run.rev:
            return False
        self.run = run_after(self.run, event)
        return True

    def catch_up(self) -> None:
        """No more of the changes under way will come: what has not come was missed."""
        for step_id, rev in self.under_way.items():
            self.steps[step_id] = replace(self.steps[step_id], rev=rev)
        self.outdated = self.outdated or bool(self.under_way)
        self.under_way.clear()

    def distrust(self) -> None:
        """Whatever is read next counts, also if it is older."""
        self.run = replace(self.run, rev=0)
        self.steps = {id: replace(step, rev=0) for id, step in self.steps.items()}
        self.under_way.clear()
        self.outdated = True

    def keep_what_is_ahead(self, known: Tree) -> None:
        """This was just read: events may have told of something newer, a step at a time."""
        for step in known.steps.values():
            read = self.steps.get(step.id)
            if (read is None and step.rev) or (read is not None and step.rev > read.rev):
                self.steps[step.id] = step
                self.outdated = self.outdated or known.outdated
                if step.id in known.under_way:
                    self.under_way[step.id] = known.under_way[step.id]
            elif read is not None and step.rev == read.rev and step.failures < read.failures:
                self.steps[step.id] = replace(read, failures=step.failures)  # a child completed
        if known.run.rev > self.run.rev:
            self.run = known.run


def in_flight_still(tree: Tree) -> list[Attempt]:
    """Calls that go on though their steps have ended, the oldest first."""
    found = [call for step in tree.steps.values() if (call := step.outlived_by) is not None]
    return sorted(found, key=lambda call: call.started_at)


def in_flight(tree: Tree, step_id: str | None = None) -> list[Attempt]:
    """Calls in flight of a step and of those below it (None: of the whole run), the oldest
    first."""
    below = {step_id or tree.run.id}
    for step in tree.steps.values():  # parents come before their children
        if step.parent_id in below:
            below.add(step.id)
    steps = tree.steps.values() if step_id is None else [tree.steps[id] for id in below]
    found = [step.tries[-1] for step in steps if step.tries and step.tries[-1].is_open]
    return sorted(found, key=lambda call: call.started_at)


def at_fault(tree: Tree) -> Step | None:
    """The step for which a run fails, is paused or backs off: what went wrong there is why. None:
    it does none of these."""
    root = step = tree.steps.get(tree.run.id)
    seen: set[str] = set()
    while step is not None and step.cause_id in tree.steps and step.cause_id not in seen:
        assert step.cause_id is not None
        seen.add(step.cause_id)
        step = tree.steps[step.cause_id]
    if root is None or root.ended:
        failed = root is not None and root.state is State.FAILED
        return step if failed else None
    problems = [each for each in tree.steps.values() if each.is_problem]
    if root.pause_reason == PauseReason.UNHANDLED_FAILURE:
        problems = [each for each in problems if each.state is State.FAILED] or [root]
    return max(problems, key=lambda each: _WORST.index(each.state), default=None)


_WORST = (State.BACKING_OFF, State.FAILED, State.PAUSED)
