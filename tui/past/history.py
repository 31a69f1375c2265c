"""A run at each moment of its own time: its recorded events, folded as ever (`data/fold.py`).

A moment is what happened to the run within one millisecond, which may be several events. Each keeps
the steps that it changed as they were before and after it, so that going from one to the next, or
back, costs what happened in it, however long the run is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from engine.wire.events import Accepted, Acted, ResultSet, Retargeted
from tui.data.fold import (
    UNTOLD,
    freshens_parent,
    is_notable,
    run_after,
    step_after,
    step_opened,
)
from tui.data.model import Happening, Run, State, Step, ms_of
from tui.data.tree import Tree


class Moment(Struct, frozen=True):
    """What happened to the run in one millisecond, and what it changed."""

    at: int
    events: tuple[Happening, ...]
    steps: tuple[tuple[str, Step | None, Step], ...]
    """The steps that it changed: before (None: there was none), and after it."""
    run: tuple[Run, Run]
    """The run before and after it."""

    @property
    def headline(self) -> Happening:
        """The event that tells most of it: what somebody did or what failed, else the last one of a
        step, as the run's own state follows from that."""
        notable = [event for event in self.events if is_notable(event)]
        of_steps = [event for event in self.events if event.fact.kind != "run-moved"]
        return (notable or of_steps[::-1] or self.events)[0]


class History:
    """See the head of this file. `tree` is the run as it was at the moment where one stands."""

    def __init__(self, known: Tree, happened: Iterable[Happening]) -> None:
        """`known`: the run as it is. `happened`: all that has happened to it, in its order. Raises
        ValueError if that tells nothing."""
        events = list(happened)
        if not events:
            raise ValueError("nothing is recorded of it")
        self._moves = known.moves
        self.tree = Tree(_unborn(known.run, events[0].state), {})
        self.moments: list[Moment] = []
        last_move = max((e.at for e in events if isinstance(e.fact, Retargeted)), default=None)
        for at, together in groupby(events, key=lambda event: event.at):
            moved_to = known.steps if last_move is not None and at >= last_move else {}
            self.moments.append(self._folded(at, tuple(together), moved_to))
        self.index = len(self.moments) - 1

    @property
    def moment(self) -> Moment:
        """Where one stands."""
        return self.moments[self.index]

    @property
    def now_ms(self) -> int:
        """The time that it is there."""
        return self.moment.at

    def go(self, to: int) -> bool:
        """Stand at another moment, counted from 0; False: there is none."""
        if not 0 <= to < len(self.moments):
            return False
        while self.index > to:
            undone = self.moment
            self._put(undone.run[0], [(id, before) for id, before, _ in undone.steps])
            self.index -= 1
        while self.index < to:
            self.index += 1
            done = self.moment
            self._put(done.run[1], [(id, after) for id, _, after in done.steps])
        self._as_of(self.moment.at)
        return True

    def at(self, at_ms: float) -> int:
        """The last moment up to a time; -1: the run was not there yet."""
        return sum(moment.at <= at_ms for moment in self.moments) - 1

    def _put(self, run: Run, steps: Sequence[tuple[str, Step | None]]) -> None:
        self.tree.run = run
        for step_id, step in steps:
            if step is None:
                self.tree.steps.pop(step_id, None)
            else:
                self.tree.steps[step_id] = step

    def _folded(self, at: int, events: tuple[Happening, ...], moved_to: dict[str, Step]) -> Moment:
        """The next moment, to which the tree goes on. `moved_to`: steps whose URLs it has, from
        the last move of the run to other ones on."""
        tree = self.tree
        run, before = tree.run, dict[str, Step | None]()
        for event in events:
            touched = tree.steps.get(event.step_id)
            parent = tree.steps.get(_parent_id(event, touched) or "")
            for step_id, step in ((event.step_id, touched), *_own(parent)):
                before.setdefault(step_id, step)
            if event.fact.kind == "run-moved":
                tree.run = run_after(tree.run, event)
            else:
                take(tree, event)
        moves = any(isinstance(event.fact, Retargeted) for event in events)
        for step_id in list(tree.steps if moves else before):
            step, moved = tree.steps.get(step_id), moved_to.get(step_id)
            if step is not None and moved is not None and step.url != moved.url:
                before.setdefault(step_id, step)
                tree.steps[step_id] = replace(step, url=moved.url)
        tree.run = _with_its_root(tree, events)
        after = [(id, was, tree.steps[id]) for id, was in before.items() if id in tree.steps]
        self._as_of(at)
        return Moment(at, events, tuple(after), (run, tree.run))

    def _as_of(self, at: int) -> None:
        self.tree.moves = tuple(move for move in self._moves if (ms_of(move.at) or 0) <= at)
        self.tree.outdated = False


class Gathered:
    """What has happened to a run, as it is read, until all has come that led to how it is known."""

    def __init__(self, known: Tree) -> None:
        self.events: list[Happening] = []
        self._known = known.run
        self._lacks = {step.id: step.rev for step in known.steps.values() if step.rev}
        """So many events of each step have not come: each is a revision of it."""
        self._untold = 0
        """Events that changed steps which they do not name."""
        self._state: State | None = None

    def take(self, event: Happening) -> None:
        """The next event of the run."""
        is_runs = event.fact.kind == "run-moved"
        if is_runs or not self.events:
            self._state = event.state
        if not is_runs and event.step_id in self._lacks:
            self._lacks[event.step_id] -= 1
            if not self._lacks[event.step_id]:
                del self._lacks[event.step_id]
        self._untold += isinstance(event.fact, UNTOLD)
        self.events.append(event)

    @property
    def is_whole(self) -> bool:
        """From its first event to the latest that is known of each step."""
        return not self._lacks and self.may_be_whole

    @property
    def may_be_whole(self) -> bool:
        """The same, but that what no event has told of a step may be what happened to all of the
        run. Where nothing more is to come, nothing else can be."""
        if not self.events or self.events[0].fact.kind != "accepted":
            return False
        lacks = max(self._lacks.values(), default=0)
        return lacks <= self._untold and self._state is self._known.state


def take(tree: Tree, event: Happening) -> None:
    """Fold an event. None is missing, so that no revisions have to be counted (`data/tree.py`)."""
    before = tree.steps.get(event.step_id)
    after = step_opened(event) if before is None else step_after(before, event)
    if after is None:  # its post cannot be read
        return
    tree.steps[after.id] = replace(after, rev=event.rev)
    parent = tree.steps.get(after.parent_id or "")
    if freshens_parent(event) and parent is not None:
        tree.steps[parent.id] = replace(parent, failures=0)


def _own(step: Step | None) -> list[tuple[str, Step]]:
    return [] if step is None else [(step.id, step)]


def _parent_id(event: Happening, step: Step | None) -> str | None:
    """Of the step above, which a step that completes freshens."""
    if step is not None:
        return step.parent_id
    return event.fact.parent_id if isinstance(event.fact, Accepted) else None


def _unborn(run: Run, state: State) -> Run:
    """The run before anything happened to it, in the state that it began in."""
    return replace(
        run, state=state, rev=0, generation=1, dismissed=False, ended_at=None, at=None,
        pause_reason=None, reason=None,
    )  # fmt: skip


def _with_its_root(tree: Tree, events: Iterable[Happening]) -> Run:
    """What of a run no event of its own tells: its root has it, or an act."""
    run, root = tree.run, tree.steps.get(tree.run.id)
    for event in events:
        if isinstance(event.fact, Acted) and event.fact.dismissed is not None:
            run = replace(run, dismissed=event.fact.dismissed)
        if isinstance(event.fact, ResultSet) and event.is_root and run.ended:
            run = replace(run, ended_at=event.at)
    if root is None:
        return run
    return replace(run, generation=root.generation, pause_reason=root.pause_reason)
