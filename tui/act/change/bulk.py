"""Acting on many: marked rows one after the other, a filter as a job of the engine's.

A page is never taken for all. What is marked by hand is at most a hundred rows, each with the
revision that was seen; more than that is a filter, which the engine works through by itself, at a
rate, and only if it finds no more runs than were seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from engine.client import Action
from engine.shown import times
from engine.shown.said import who_text
from engine.wire import BEYOND_A_JOB, BulkAnswer
from tui.act.change.ask import Asking
from tui.act.change.doing import NOTHING_GIVEN, Doing
from tui.act.change.targets import Given, Target, action_for
from tui.act.stage import Stage, telling
from tui.boards.cells import Cell
from tui.boards.jobs import begin_told, end_told
from tui.boards.presence import own_name
from tui.boards.selection import MARKED_MAX
from tui.data.inputs import JobsRead
from tui.data.model import short_id
from tui.text.sanitize import clean

TYPED_FROM = MARKED_MAX + 1
"""So many runs at once are confirmed by typing their number."""
NAMES_SHOWN = 8


class Many:
    """See the head of this file."""

    def __init__(self, stage: Stage, doing: Doing, asking: Asking) -> None:
        self._stage, self._doing, self._asking = stage, doing, asking
        self.marching = False
        """Marked rows are being acted on, one after the other."""

    # -- marked rows ---------------------------------------------------------------------------

    def ask_marked(self, command_id: str, targets: list[Target]) -> None:
        """Say which, before it is done. What `P` and `D` do is the same for all of them: what the
        footer says, which is what they do to the first."""
        action = action_for(command_id, targets[0])
        title = f"{str(action).capitalize()}: {len(targets):,} marked"
        lines: list[Cell] = [(target.name, "plain") for target in targets[:NAMES_SHOWN]]
        if len(targets) > NAMES_SHOWN:
            lines.append((f"… and {len(targets) - NAMES_SHOWN:,} more", "dim"))
        asking, then = self._asking, partial(self.march, action, targets)
        if action is not Action.CANCEL:
            asking.ask(title, lines, then)
            return

        async def ask() -> None:
            also = await asking.in_flight_there(targets)
            asking.ask(title, [*lines, *also], then)

        asking.begin(action, [(each.run_id, each.step_id) for each in targets], ask)

    async def march(
        self,
        action: Action,
        targets: Sequence[Target],
        given: Given = NOTHING_GIVEN,
        all_done: Callable[[], None] = lambda: None,
    ) -> None:
        """One after the other; a mark goes when its action is done, so the rest can be tried."""
        rows, done = self._stage.selection(), []
        whys: Counter[str] = Counter()
        self.marching = True
        try:
            for at, target in enumerate(targets):
                if not self.marching:
                    break
                self._stage.tell(f"{action}: {at:,} of {len(targets):,} · X stops")
                now = await self._doing.act_on(action, target, given)
                if isinstance(now, Target):
                    done.append((action, now))
                    rows.unmark(target.step_id or target.run_id)
                else:
                    whys[now.why or f"{action} is under way"] += 1
        finally:
            stopped, self.marching = not self.marching, False
            rows.told_of_marks()  # those that left were done
        if done:
            self._doing.remember(done)
        left = len(targets) - len(done)
        if not left:
            all_done()
        told = f"{action}: {len(done):,} done"
        if left:
            told += f", {left:,} {'left' if stopped else 'refused'} (still marked)"
            told += f": {reasons(whys)}" * bool(whys)
        self._stage.tell(told, "alarm" if left else "strong")
        if done:
            self._read_counts()

    def _read_counts(self) -> None:
        """Counts of runs are read at once: what stood there would be wrong until the next time."""
        self._stage.store.expire_status()
        if self._stage.feed is not None:
            self._stage.feed.poke()

    # -- a filter ------------------------------------------------------------------------------

    def bulk(
        self,
        action: Action,
        q: str,
        given: Given = NOTHING_GIVEN,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        """Ask for a job on all that a filter finds; once it has `begun`, say so."""
        work = partial(self._plan, action, q, given, begun)
        self._asking.begin(action, (action, q, given), work)

    async def _plan(self, action: Action, q: str, given: Given, begun: Callable[[], None]) -> None:
        client = self._stage.client
        assert client is not None
        plan = clean(await client.operate.bulk(action, q, dry_run=True, **given))
        if not plan.total:
            self._stage.tell(
                f"{action}: nothing to do, {_skipped(plan) or 'no run matches'}", "alarm"
            )
            return
        typed = f"{plan.matched}" if plan.matched >= TYPED_FROM else None
        beyond = BEYOND_A_JOB in plan.skipped
        what = f"the first {plan.total:,} of {plan.matched:,}" if beyond else f"{plan.matched:,}"
        title = f"{str(action).capitalize()}: {what} runs"
        lines = bulk_lines(plan)
        for word, name in (("from", "from_url"), ("to", "to_url")):
            if name in given:
                lines.append(((f"{word:<7}", "dim"), (f"{clean(given[name])}", "plain")))
        self._asking.ask(title, lines, partial(self._begin, action, q, plan, given, begun), typed)

    async def _begin(
        self, action: Action, q: str, plan: BulkAnswer, given: Given, begun: Callable[[], None]
    ) -> None:
        """`q` is the filter itself: that of the plan was made safe to be shown."""
        client = self._stage.client
        assert client is not None
        key = f"tui-{self._stage.store.clock.wall():.6f}"
        job = clean(await client.operate.bulk(action, q, expect=plan.matched, key=key, **given))
        begun()
        self._stage.looking.mark_filter(whole=False)
        self._stage.selection().clear_marks()
        told = f"job {short_id(job.id or '')} began: {job.total:,} runs · 6 shows it · X stops it"
        self._stage.tell(told)
        store = self._stage.store
        store.apply(JobsRead((job, *store.jobs)))  # X stops it from wherever one is
        store.listing("jobs").expire()

    # -- stopping ------------------------------------------------------------------------------

    def job(self) -> BulkAnswer | None:
        """The job that `X` would stop: the one under the cursor, or one's own from elsewhere."""
        jobs = self._stage.store.jobs
        running = [job for job in jobs if job.state == "running"]
        if self._stage.looking.view == "jobs":
            chosen = self._stage.selection().cursor_id
            return next((job for job in running if job.id == chosen), None)
        return next((job for job in running if not self._by_another(job)), None)

    def tell_of_moved(self) -> None:
        """That others began jobs, and what came of those that have just ended, wherever one is."""
        for job in self._stage.store.take_moved_jobs():
            by = self._by_another(job)
            if job.state != "running":
                self._stage.tell(*end_told(job, by))
            elif by:
                self._stage.tell(*begin_told(job, by))

    def _by_another(self, job: BulkAnswer) -> str:
        """Who began it, in words; empty: whoever looks."""
        me = own_name(self._stage.store.status, self._stage.options.actor or "")
        return "" if job.actor in (None, "", me) else who_text(job.actor)

    def why_not_abort(self) -> str:
        """Why there is nothing to stop; empty: there is."""
        if self.marching or self.job() is not None:
            return ""
        is_chosen = self._stage.looking.view == "jobs"
        if not is_chosen and any(job.state == "running" for job in self._stage.store.jobs):
            return "the job that runs is another's: 6 chooses it"
        return f"{'the job under the cursor is not' if is_chosen else 'no bulk job is'} running"

    def abort(self) -> None:
        """Stop what goes on: what is done stays done."""
        if self.marching:
            self.marching = False
        else:
            self._stage.start(telling(self._stage, self._abort), "acting")

    async def _abort(self) -> None:
        job, client = self.job(), self._stage.client
        if job is None or job.id is None or client is None:
            return
        ended = await client.operate.bulk_abort(job.id)
        self._stage.tell(f"job {short_id(job.id)} stops: {ended.done:,} of {ended.total:,} done")


def reasons(whys: Counter[str]) -> str:
    """Why targets were left alone, what was said most often first."""
    told = whys.most_common()
    if len(told) == 1:
        return told[0][0]
    return "; ".join(f"{count:,}: {why}" for why, count in told)


def _skipped(plan: BulkAnswer) -> str:
    return ", ".join(f"{count:,}: {why}" for why, count in sorted(plan.skipped.items()))


def bulk_lines(plan: BulkAnswer) -> list[Cell]:
    """What a job would do."""
    first = "the first " if BEYOND_A_JOB in plan.skipped else ""
    found = f"{plan.matched:,} runs"
    lines: list[Cell] = [
        (("filter ", "dim"), (plan.q, "strong")),
        (("would  ", "dim"), (f"{plan.action} {first}{plan.total:,} of {found}", "plain")),
    ]
    for why, count in sorted(plan.skipped.items()):
        lines.append((("skip   ", "dim"), (f"{count:,}: {why}", "plain")))
    if plan.action == Action.CANCEL:
        told = "Calls in flight are let finish, and their effects may still happen."
        lines.append((told, "alarm"))
    seconds = plan.total / max(1, plan.rate_per_s)
    pace = f"{plan.rate_per_s}/s, about {times.span(seconds * 1000)}"
    lines.append((("rate   ", "dim"), (pace, "plain")))
    return lines
