"""What changes the engine: on which row, whether it may, whether it is asked first, how it went.

A target is taken when the key is pressed, with its revision: what happens to the list meanwhile
changes nothing of it, and what happened to the run is told by the engine (409) instead of being
overrun. Nothing is queued for later: what cannot be done now is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.client import Action, AtomicError, ProblemError, Refused
from engine.wire import FITS, BulkAnswer
from tui import fmt
from tui.boards import Cell
from tui.keys import Command
from tui.model import Run, State, Step, short_id
from tui.sanitize import clean
from tui.screens.ask import Ask
from tui.store import JobsRead

if TYPE_CHECKING:
    from tui.app import Dashboard

TYPED_FROM = 101
"""So many runs at once are confirmed by typing their number."""
UNDONE_BY = {
    Action.PAUSE: Action.RESUME,
    Action.RESUME: Action.PAUSE,
    Action.DISMISS: Action.RESTORE,
    Action.RESTORE: Action.DISMISS,
}
PAST = {
    Action.RETRY: "retried",
    Action.PAUSE: "paused",
    Action.RESUME: "resumed",
    Action.CANCEL: "cancelled",
    Action.RERUN: "running again",
    Action.DISMISS: "dismissed",
    Action.RESTORE: "back on the list",
}


class Target(NamedTuple):
    """What a key was pressed on, as it was then."""

    run_id: str
    step_id: str | None
    rev: int
    state: State
    name: str
    dismissed: bool = False
    cause: str | None = None
    """It is a group: every run with this cause."""
    runs: int = 1
    attempts: int = 0


class Acting:
    """See the head of this file."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app
        self._undo: tuple[Action, Target] | None = None
        self._busy: set[tuple[str, str | None]] = set()
        """Targets with an action under way: a second press of a key is the first one."""

    # -- what a key would do -------------------------------------------------------------------

    def targets(self) -> list[Target]:
        """The marked rows, or the one under the cursor."""
        app = self._app
        grid = app.grid()
        row_ids = list(grid.marks) or ([grid.cursor_id] if grid.cursor_id else [])
        return [target for id in row_ids if (target := self._target(id)) is not None]

    def _target(self, row_id: str) -> Target | None:
        app, store = self._app, self._app.store
        if app.view == "run":
            line = app.rows.lines.get(row_id)
            return None if line is None or line.step is None else self._of_step(line.step)
        if app.view == "retries" and (retry := store.retries.get(row_id)) is not None:
            at = retry.at
            name = f"{retry.workflow} {short_id(retry.run_id)} › {at.name}"
            return Target(retry.run_id, row_id, retry.rev, at.state, name, attempts=at.attempts)
        if app.view == "causes" and (cause := store.causes.get(row_id)) is not None:
            return Target(
                cause.run_id, None, 0, cause.state, f"cause {row_id}",
                cause=row_id, runs=cause.runs,
            )  # fmt: skip
        run = store.runs.get(row_id)
        return None if run is None else of_run(run)

    def _of_step(self, step: Step) -> Target | None:
        app = self._app
        tree = app.store.trees.get(step.run_id)
        if tree is None:
            return None  # it has gone, and what is seen is not drawn anew yet
        run = tree.run
        if step.parent_id is None:
            return of_run(run)
        return Target(
            step.run_id,
            step.id,
            step.rev,
            step.state,
            f"{run.workflow} {short_id(run.id)} › {step.name}",
            run.dismissed,
            attempts=step.attempts,
        )

    def action_for(self, command_id: str, target: Target) -> Action:
        """The action of a key on a target: `P` and `D` go both ways."""
        if command_id == "pause":
            return Action.RESUME if target.state is State.PAUSED else Action.PAUSE
        if command_id == "dismiss":
            return Action.RESTORE if target.dismissed else Action.DISMISS
        return Action(command_id)

    def label(self, command: Command) -> str:
        """The footer's word: which way `P` and `D` go here."""
        targets = self.targets()
        if command.id in ("pause", "dismiss") and targets:
            return str(self.action_for(command.id, targets[0])).capitalize()
        return command.label

    def why_not(self, command: Command) -> str:
        """Why a command can do nothing now; empty: it can."""
        app = self._app
        if app.options.read_only:
            why = "--serve without --allow-actions" if app.is_web else "--read-only"
            return f"this dashboard only reads ({why})"
        if app.client is None:
            return "this is a recording"
        if app.store.stale:
            return "not connected: what is shown may have passed"
        if command.id == "undo":
            return "" if self._undo else "there is nothing to take back"
        if command.id == "abort":
            where = "the job under the cursor is not" if app.view == "jobs" else "no bulk job is"
            return "" if self._job() else f"{where} running"
        if app.whole_filter:
            return ""
        if app.grid().marks_lost and not app.grid().marks:
            return "what was marked has left the list"
        targets = self.targets()
        if not targets:
            return "there is nothing under the cursor"
        reasons = [self._why_not_on(command, target) for target in targets]
        return "" if "" in reasons else reasons[0]

    def _why_not_on(self, command: Command, target: Target) -> str:
        if target.cause is not None:
            return ""
        action, state = self.action_for(command.id, target), target.state
        if action is Action.RETRY and state is State.PAUSED:
            return "it is paused: P resumes it"
        if command.id == "dismiss" and target.step_id is not None:
            return "runs are dismissed, not steps"
        if action is Action.RERUN:  # of what has ended
            fits = str(state) not in FITS[Action.CANCEL]
        else:
            fits = str(state) in FITS[action]
        return "" if fits else f"it is {state}"

    # -- doing it ------------------------------------------------------------------------------

    def do(self, command_id: str) -> None:
        """A key that changes the engine was pressed, and may."""
        match command_id:
            case "undo":
                self._take_back()
            case "abort":
                self._run(self._abort())
            case _ if self._app.whole_filter:
                self._bulk(command_id, self._app.filters["runs"], None)
            case _:
                self._on(command_id, self.targets())

    def _on(self, command_id: str, targets: Sequence[Target]) -> None:
        first = targets[0]
        if first.cause is not None:
            self._bulk(command_id, f"is:stuck cause:{first.cause}", first.state)
        elif len(targets) > 1:
            self._ask_marked(command_id, list(targets))
        elif command_id == "rerun":
            self._run(self._once("rerun", self._ask_rerun(first)))
        elif command_id == "cancel":
            lines: list[Cell] = [
                (first.name, "strong"),
                ("Its outcome will be `cancelled`; whoever waits for it gets 409.", "plain"),
                ("An attempt in flight is cut; nothing is compensated.", "dim"),
            ]
            self._ask("Cancel?", lines, None, lambda: self._run(self._one(Action.CANCEL, first)))
        else:
            self._run(self._one(self.action_for(command_id, first), first))

    def _run(self, work: Any) -> None:
        self._app.run_worker(work, group="acting", exit_on_error=True)

    def _ask(self, title: str, lines: list[Cell], typed: str | None, then: Any) -> None:
        def answered(yes: bool | None) -> None:
            if yes and self._app.store.stale:
                self._app.flash("nothing was done: not connected", "alarm")
            elif yes:
                then()
            else:
                self._app.flash("nothing was done")

        clock = self._app.store.clock
        self._app.push_screen(Ask(title, lines, clock, typed=typed), answered)

    async def _one(self, action: Action, target: Target) -> bool:
        """Carry an action out on one target; says how it went."""
        key = (target.run_id, target.step_id)
        if key in self._busy:
            return False
        self._busy.add(key)
        client = self._app.client
        assert client is not None
        try:
            await client.act(target.run_id, action, step=target.step_id, if_rev=target.rev)
        except Refused as error:
            self._app.flash(refusal(action, target, error), "alarm")
            return False
        except AtomicError as error:
            self._app.flash(str(error), "alarm")
            return False
        finally:
            self._busy.discard(key)
        if action in UNDONE_BY:
            self._undo = (action, target)
            told = f"{PAST[action]}: {target.name} · z takes it back"
        else:
            told = f"{PAST[action]}: {target.name}"
        self._app.flash(told)
        return True

    def _take_back(self) -> None:
        assert self._undo is not None
        (action, target), self._undo = self._undo, None
        self._run(self._undone(UNDONE_BY[action], target))

    async def _undone(self, action: Action, target: Target) -> None:
        client = self._app.client
        assert client is not None
        try:
            await client.act(target.run_id, action, step=target.step_id)
        except AtomicError as error:
            self._app.flash(str(error), "alarm")
        else:
            self._app.flash(f"taken back: {target.name} {PAST[action]}")

    # -- several -------------------------------------------------------------------------------

    def _ask_marked(self, command_id: str, targets: list[Target]) -> None:
        title = f"{command_id.capitalize()}: {len(targets):,} marked"
        lines: list[Cell] = [(target.name, "plain") for target in targets[:8]]
        if len(targets) > 8:
            lines.append((f"… and {len(targets) - 8:,} more", "dim"))
        typed = f"{len(targets)}" if len(targets) >= TYPED_FROM else None
        self._ask(title, lines, typed, lambda: self._run(self._marked(command_id, targets)))

    async def _marked(self, command_id: str, targets: list[Target]) -> None:
        """One after the other; a mark goes when its action is done, so the rest can be tried."""
        done = 0
        grid = self._app.grid()
        for target in targets:
            if await self._one(self.action_for(command_id, target), target):
                done += 1
                grid.marks.pop(target.step_id or target.run_id, None)
        self._undo = None
        left = len(targets) - done
        told = f"{command_id}: {done:,} done" + (
            f", {left:,} refused (still marked)" if left else ""
        )
        self._app.flash(told, "alarm" if left else "strong")

    # -- a filter, as a job of the engine's ----------------------------------------------------

    def _bulk(self, command_id: str, q: str, state: State | None) -> None:
        action = Action.RETRY if command_id == "retry" else Action(command_id)
        if command_id == "retry" and state is State.PAUSED:
            action = Action.RESUME  # what is paused as its retries are used up gets fresh ones
        self._run(self._once("bulk", self._plan_bulk(action, q)))

    async def _once(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Ask the engine before a question is put; a second press meanwhile is the first one."""
        key = (what, None)
        if key in self._busy:
            work.close()
            return
        self._busy.add(key)
        try:
            await work
        finally:
            self._busy.discard(key)

    async def _plan_bulk(self, action: Action, q: str) -> None:
        client = self._app.client
        assert client is not None
        try:
            plan = clean(await client.bulk(action, q, dry_run=True))
        except AtomicError as error:
            self._app.flash(str(error), "alarm")
            return
        if not plan.total:
            self._app.flash(f"no run of {q} can be {PAST[action]}", "alarm")
            return
        typed = f"{plan.matched}" if plan.matched >= TYPED_FROM else None
        title = f"{str(action).capitalize()}: {plan.total:,} runs"
        begin = self._begin_bulk
        self._ask(title, bulk_lines(plan), typed, lambda: self._run(begin(action, q, plan)))

    async def _begin_bulk(self, action: Action, q: str, plan: BulkAnswer) -> None:
        """`q` is the filter itself: that of the plan was made safe to be shown."""
        client = self._app.client
        assert client is not None
        key = f"tui-{self._app.store.clock.wall():.6f}"
        try:
            job = clean(await client.bulk(action, q, expect=plan.matched, key=key))
        except AtomicError as error:
            self._app.flash(str(error), "alarm")
            return
        self._app.whole_filter = False
        self._app.grid().clear_marks()
        self._app.flash(f"job {short_id(job.id or '')} began: {job.total:,} runs · 6 shows it")
        store = self._app.store
        store.apply(JobsRead((job, *store.jobs)))  # X stops it from wherever one is
        store.listing("jobs").outdated = True

    def _job(self) -> BulkAnswer | None:
        jobs = self._app.store.jobs
        running = [job for job in jobs if job.state == "running"]
        if self._app.view == "jobs":
            chosen = self._app.grid().cursor_id
            return next((job for job in running if job.id == chosen), None)
        return running[0] if running else None

    async def _abort(self) -> None:
        job, client = self._job(), self._app.client
        if job is None or job.id is None or client is None:
            return
        try:
            ended = await client.bulk_abort(job.id)
        except AtomicError as error:
            self._app.flash(str(error), "alarm")
        else:
            self._app.flash(f"job {short_id(job.id)} stops: {ended.done:,} of {ended.total:,} done")

    # -- running again -------------------------------------------------------------------------

    async def _ask_rerun(self, target: Target) -> None:
        """Say first which steps lose their outcome."""
        client = self._app.client
        assert client is not None
        step_id = target.step_id or target.run_id
        try:
            plan = await client.act(target.run_id, Action.RERUN, step=step_id, dry_run=True)
        except AtomicError as error:
            self._app.flash(str(error), "alarm")
            return
        tree = self._app.store.trees.get(target.run_id)
        names = [tree.steps[id].name for id in plan.changed if tree and id in tree.steps]
        kept = 0 if tree is None else len(tree.steps) - len(plan.changed)
        lines: list[Cell] = [
            (target.name, "strong"),
            (f"runs again: {', '.join(names)}", "plain"),
            (f"{kept:,} steps keep their outcome", "dim"),
        ]
        step = target._replace(step_id=step_id)
        if target.step_id is None and tree is not None:
            step = step._replace(rev=tree.steps[step_id].rev)
        self._ask(
            "Re-run from here?", lines, None, lambda: self._run(self._one(Action.RERUN, step))
        )


def of_run(run: Run) -> Target:
    """A run as a target."""
    at = run.at
    attempts = 0 if at is None else at.attempts
    name = f"{run.workflow} {short_id(run.id)}"
    return Target(run.id, None, run.rev, run.state, name, run.dismissed, attempts=attempts)


def refusal(action: Action, target: Target, error: ProblemError) -> str:
    """What the engine says instead of doing it: mostly that the run has moved on by itself."""
    if error.problem != "revision-changed":
        return f"{target.name}: {error.detail}"
    row = error.members.get("run" if target.step_id is None else "step")
    if not isinstance(row, dict):
        return f"{target.name}: it has changed meanwhile; nothing was done"
    state, attempts = row.get("status"), row.get("attempts")
    if action is Action.RETRY and state == State.RUNNING:
        tried = f": try {attempts} is in flight" if isinstance(attempts, int) else ""
        return f"{target.name}: already started by itself{tried}"
    return f"{target.name}: it is {state} meanwhile; nothing was done"


def bulk_lines(plan: BulkAnswer) -> list[Cell]:
    """What a job would do."""
    lines: list[Cell] = [
        (("filter ", "dim"), (plan.q, "strong")),
        (("would  ", "dim"), (f"{plan.action} {plan.total:,} of {plan.matched:,} runs", "plain")),
    ]
    for why, count in sorted(plan.skipped.items()):
        lines.append((("skip   ", "dim"), (f"{count:,}: {why}", "plain")))
    seconds = plan.total / plan.rate_per_s
    pace = f"{plan.rate_per_s}/s, about {fmt.span(seconds * 1000)}"
    lines.append((("rate   ", "dim"), (pace, "plain")))
    return lines
