"""Everything that the dashboard knows, in one place, and what of it has just changed.

Theory. Whatever comes in is an `Input`: an answer that was read, an event of the stream, a move of
the connection. `apply` is the only way in, so a recording of inputs replays to the same store
(`record.py`), and every text is made safe at that one edge. Screens read; they never write. What
changed gathers in `changes` until the screen takes it, a few times a second.

What the engine counts is never counted here: counts, totals and rates are shown as they were read.
"""

from __future__ import annotations

from collections import OrderedDict, deque

import msgspec
from msgspec import UNSET, Struct, field
from msgspec.structs import replace

from engine.wire import BulkAnswer, CauseList, RunTree, Status
from engine.wire.events import Accepted, Acted, Counts, Event, Heartbeat, LateEnd, Reset, RunMoved
from tui.data.clock import Clock, ServerClock
from tui.data.fold import at_after, is_notable, run_after
from tui.data.holds import NOTHING_HELD, Holds
from tui.data.hosts import Host, hosts_of
from tui.data.inputs import (
    CausesRead,
    Input,
    JobRead,
    JobsRead,
    LinkMoved,
    LinkState,
    RetriesRead,
    RunsRead,
    StatusRead,
    TreeGone,
    TreeRead,
)
from tui.data.listing import Edge, Listing
from tui.data.model import (
    Cause,
    Happening,
    Retry,
    Run,
    State,
    cause_of,
    happening_of,
    ms_of,
    retry_of,
    run_of,
    step_of,
)
from tui.data.tree import Tree
from tui.data.whereabouts import Named, Whereabouts
from tui.text.sanitize import clean

RUNS_KEPT_MAX = 4_000
TREES_KEPT_MAX = 4
EVENTS_KEPT_MAX = 10_000
NOTABLE_KEPT_MAX = 2_000
"""They are kept longer than the many between them."""
NOT_READ = Status()
OF_A_JOB = " bulk:"
"""Behind the name of whoever began a job, then its id: of what the job did."""
SILENCE_S_MAX = 10.0
"""Two heartbeats: who is silent for so long is not there, whatever the socket says."""


class Changes(Struct):
    """What changed since the screen last looked."""

    runs: set[str] = field(default_factory=set)
    steps: set[str] = field(default_factory=set)
    listings: set[str] = field(default_factory=set)
    counts: bool = False
    link: bool = False
    events: int = 0

    def __bool__(self) -> bool:
        return bool(
            self.runs or self.steps or self.listings or self.counts or self.link or self.events
        )


class Link(Struct):
    """The connection as it is shown."""

    state: LinkState = LinkState.CONNECTING
    reason: str = ""
    tries: int = 0
    since: float = 0.0
    """Monotonic: when it came into this state."""
    retry_at: float | None = None
    last_heard: float = 0.0
    restarted_at: int | None = None
    """When the engine that is there now began, if another one was there before."""
    missed_events: int = 0
    unreadable: int = 0
    """Lines of the stream that made no sense."""


class Store:
    """See the head of this file. All of it is synchronous."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.time = ServerClock(clock)
        self.link = Link(last_heard=clock.monotonic(), since=clock.monotonic())
        self.status = NOT_READ
        self.status_outdated = False
        """Something happened that only the status tells of: it is read again soon."""
        self.counts: dict[str, int] = {}
        self.instance: str | None = None
        self.runs: OrderedDict[str, Run] = OrderedDict()
        self.trees: OrderedDict[str, Tree] = OrderedDict()
        self.retries: dict[str, Retry] = {}
        self.causes: dict[str, Cause] = {}
        self.dismissed = (0, 0)
        """Causes that need nobody until they come again, and runs of them."""
        self._stuck_told: int | None = None
        """How many runs need a person, as the last status said."""
        self.hosts: dict[str, Host] = {}
        self.holds = NOTHING_HELD
        self.jobs: tuple[BulkAnswer, ...] = ()
        self.jobs_heard: set[str] = set()
        """Jobs that act, as events say, and are not known: each is read once."""
        self.jobs_begun: list[str] = []
        """Of these, those that were running when they were read."""
        self.jobs_ended: list[str] = []
        """Those that ended since somebody was told of it."""
        self.gone: str | None = None
        """The run that was asked for last, if it is not there."""
        self.listings: dict[str, Listing] = {}
        self.events: deque[Happening] = deque(maxlen=EVENTS_KEPT_MAX)
        self.events_seen = 0
        self.listens_since: float | None = None
        """Since when events are told, in ms; None: none was yet."""
        self.notable: deque[Happening] = deque(maxlen=NOTABLE_KEPT_MAX)
        """Acts of people, failures and ends."""
        self.notable_seen = 0
        self._whereabouts = Whereabouts()
        self.last_event_id: str | None = None
        self.epoch = 0
        """Rises when what is known may be wrong: all of it is to be read again."""
        self.changes = Changes()

    @property
    def events_dropped(self) -> int:
        """Events that the ring no longer holds."""
        return self.events_seen - len(self.events)

    @property
    def stale(self) -> bool:
        """What is shown may have passed: the engine was not heard of for too long."""
        if self.link.state is not LinkState.LIVE:
            return True
        return self.clock.monotonic() - self.link.last_heard > SILENCE_S_MAX

    def begin_anew(self) -> None:
        """Know nothing again: a recording is set back."""
        self.__init__(self.clock)  # type: ignore[misc]
        self.changes.counts = self.changes.link = True

    def put_tree(self, tree: Tree) -> None:
        """A run with its steps as they are now, which were folded elsewhere (`past/hour.py`)."""
        self.trees[tree.run.id] = tree
        self.changes.steps |= tree.steps.keys()

    def listing(self, name: str) -> Listing:
        """The listing of this name; an empty one at first."""
        return self.listings.setdefault(name, Listing())

    def take_changes(self) -> Changes:
        """What changed since this was last asked."""
        changes, self.changes = self.changes, Changes()
        return changes

    def expire_status(self) -> None:
        """Something was done of which only the status tells: it is read again soon."""
        self.status_outdated = True

    # -- the one way in ------------------------------------------------------------------------

    def apply(self, dirty: Input) -> None:
        """Take in what was read."""
        match clean(dirty):
            case LinkMoved() as moved:
                self._link_moved(moved)
            case StatusRead() as read:
                self._status_read(read)
            case RunsRead() as read:
                self._runs_read(read)
            case RetriesRead() as read:
                self._retries_read(read)
            case CausesRead() as read:
                self._heard()
                self._causes_read(read.found)
            case JobsRead() as read:
                self._heard()
                self._jobs_read(read.found)
            case JobRead() as read:
                self._heard()
                self._job_read(read.found)
            case TreeRead() as read:
                self._keep_tree(read.tree)
            case TreeGone() as gone:
                self.trees.pop(gone.run_id, None)
                self.gone = gone.run_id
                self.changes.runs.add(gone.run_id)
            case Event() as event:
                self._event_read(event)

    def _heard(self) -> None:
        self.link.last_heard = self.clock.monotonic()

    def _link_moved(self, moved: LinkMoved) -> None:
        now = self.clock.monotonic()
        link = self.link
        if moved.state is not link.state:
            link.since = now
        link.state, link.reason, link.tries = moved.state, moved.reason, moved.tries
        link.retry_at = now + moved.delay_s if moved.delay_s else None
        if moved.state is LinkState.LIVE:
            self._heard()
        self.changes.link = True

    def _status_read(self, read: StatusRead) -> None:
        self._heard()
        if read.status.stuck_count != self._stuck_told:
            self._stuck_told = read.status.stuck_count
            self.listing("causes").expire()  # no event tells that a cause was dismissed
        status = self.status = read.status
        self.status_outdated = False
        self.changes.counts = True
        server_ms = ms_of(status.server_time)
        if server_ms is not None:
            self.time.sample(server_ms, read.sent, read.received)
        self._met(status.instance)
        self._held(Holds.of(status.holds or ()))
        if self.link.restarted_at is not None:  # a heartbeat did not say when
            self.link.restarted_at = ms_of(status.started_at) or self.link.restarted_at
        if status.counts is not None:
            self._count(msgspec.to_builtins(status.counts))
        if status.hosts is None:  # an engine of another kind: what was known stays
            return
        self.hosts = hosts_of(status)
        self._put("hosts", list(self.hosts))

    def _held(self, now: Holds) -> None:
        """What is held is something else: no event tells it of steps that have not wanted to start
        meanwhile, or not yet."""
        if now.said_otherwise(self.holds):
            for tree in self.trees.values():
                tree.expire()
        self.holds = now

    def _count(self, counts: dict[str, int]) -> None:
        """Take the engine's counts of runs by state."""
        self.counts, self.changes.counts = counts, True

    def _met(self, instance: str | None) -> None:
        """Notice that another engine process answers than before.

        Its store may be an older one, put back: what it answers counts, whatever was known.
        """
        if instance is None or instance == self.instance:
            return
        if self.instance is not None:
            self.link.restarted_at = round(self.time.now_ms())
            self.changes.link = True
            for run_id, run in self.runs.items():
                self.runs[run_id] = replace(run, rev=0)
            for tree in self.trees.values():
                tree.distrust()
        self.instance = instance

    def _runs_read(self, read: RunsRead) -> None:
        self._heard()
        page = read.page
        runs = [run_of(row) for row in page.runs]
        for run in runs:
            self._keep_run(run)
        self.listing(read.listing).take(
            read.edge,
            [run.id for run in runs],
            total=page.total,
            is_estimate=page.total_is_estimate,
            next=page.next,
            behind=read.behind,
        )
        if read.edge is Edge.HEAD:
            self.listing(read.listing).gone = page.expired or ()
        self.changes.listings.add(read.listing)

    def _retries_read(self, read: RetriesRead) -> None:
        self._heard()
        self.retries = {row.at.step_id: retry_of(row) for row in read.page.retries}
        self._put(read.listing, list(self.retries), whole=read.page.next is None)

    def _causes_read(self, found: CauseList) -> None:
        self.causes = {row.cause: cause_of(row) for row in found.causes}
        self.dismissed = (found.dismissed_causes, found.dismissed_runs)
        hidden = sum(it.runs for it in self.causes.values() if it.is_dismissed)
        # newer than the last status
        self.status = replace(self.status, stuck_count=found.runs - hidden)
        self.changes.counts = True
        self._put("causes", list(self.causes))

    def _job_read(self, found: BulkAnswer) -> None:
        """One that is known, or of which an event has told."""
        if self.job(found.id) is not None:
            self._jobs_read(tuple(found if job.id == found.id else job for job in self.jobs))
            return
        self._jobs_read((found, *self.jobs))
        self.listing("jobs").expire()
        (self.jobs_begun if found.state == "running" else self.jobs_ended).append(found.id or "")

    def _jobs_read(self, found: tuple[BulkAnswer, ...]) -> None:
        """What came of their runs is told of one at a time, and kept from then on."""
        known = {job.id: job for job in self.jobs}
        jobs = []
        for job in found:
            before = known.get(job.id)
            if before is not None and before.state == "running" and job.state != "running":
                self.jobs_ended.append(job.id or "")
            if before is not None and job.runs is None and before.runs is not None:
                job = replace(job, runs=before.runs, failures=before.failures)
            jobs.append(job)
        self.jobs = tuple(jobs)
        self._put("jobs", [job.id or "" for job in self.jobs])

    def take_moved_jobs(self) -> list[BulkAnswer]:
        """The jobs that others began, and those that ended, since this was last asked."""
        moved, self.jobs_begun, self.jobs_ended = self.jobs_begun + self.jobs_ended, [], []
        return [job for job in map(self.job, dict.fromkeys(moved)) if job is not None]

    def named(self, step_id: str) -> Named | None:
        """What a step's post said of it; None: no event has told."""
        return self._whereabouts.named(step_id)

    def job(self, job_id: str | None) -> BulkAnswer | None:
        """A bulk job by its id; None: it is not known."""
        return next((job for job in self.jobs if job.id == job_id), None)

    def _put(self, name: str, ids: list[str], *, whole: bool = True) -> None:
        """A list that is read from its head, and comes `whole` mostly."""
        self.listing(name).put(ids, whole=whole)
        self.changes.listings.add(name)

    def _keep_run(self, run: Run) -> None:
        known = self.runs.get(run.id)
        if known is not None and known.rev > run.rev:
            return  # an event has told of something newer than this answer
        self.runs[run.id] = run
        self.runs.move_to_end(run.id)
        self.changes.runs.add(run.id)
        shown = self.listing("runs")
        while len(self.runs) > RUNS_KEPT_MAX:
            oldest = next(iter(self.runs))
            if oldest in shown:  # these are fewer
                self.runs.move_to_end(oldest)
            else:
                del self.runs[oldest]

    def _keep_tree(self, read: RunTree) -> None:
        self._heard()
        run = run_of(read.run)
        steps = {row.id: step_of(row) for row in read.steps}
        tree = Tree(run, steps, moves=read.moves, notes=read.notes)
        tree.holds = () if read.holds is UNSET else read.holds
        known = self.trees.get(run.id)
        if known is not None:
            tree.keep_what_is_ahead(known)
        self.trees[run.id] = tree
        if self.gone == run.id:
            self.gone = None
        self.trees.move_to_end(run.id)
        while len(self.trees) > TREES_KEPT_MAX:
            self.trees.popitem(last=False)
        self._keep_run(run)
        self.changes.steps |= tree.steps.keys()

    # -- events --------------------------------------------------------------------------------

    def _event_read(self, event: Event) -> None:
        self._heard()
        match event.data:
            case Heartbeat() as beat:
                self._met(beat.instance)
                if (server_ms := ms_of(beat.server_time)) is not None:
                    self.time.hint(server_ms)  # it comes when it comes: an answer tells better
                if self.listens_since is None:
                    self.listens_since = self.time.now_ms()
                self._all_has_come()
            case Counts(counts=counts):
                self._count(counts)
                self._all_has_come()
            case Reset():
                self._all_has_come()
                self._reset()
            case _ if event.kind in ("run", "step", "attempt"):
                self._happened(event)
            case _:
                pass  # of a later engine
        if event.id and event.id.isascii():  # else it was no id of an engine's
            self.last_event_id = event.id

    def _reset(self) -> None:
        self.epoch += 1
        self.link.missed_events += 1
        for tree in self.trees.values():
            tree.expire()
        for name, listing in self.listings.items():
            listing.expire()
            self.changes.listings.add(name)
        self.changes.link = True

    def _happened(self, read: Event) -> None:
        event = happening_of(read)
        if event is None:
            self.link.unreadable += 1
            return
        self.events.append(event)
        self.events_seen += 1
        if is_notable(event):
            self.notable.append(event)
            self.notable_seen += 1
        self.changes.events += 1
        self.changes.runs.add(event.run_id)
        if isinstance(event.fact, Acted):
            job_id = (event.fact.actor or "").partition(OF_A_JOB)[2]
            if job_id and self.job(job_id) is None:
                self.jobs_heard.add(job_id)
        if read.kind == "run":  # the last event of a change
            self._all_has_come()
            self._run_moved(event)
        else:
            self._all_has_come(but_of=event.run_id)
            self._step_moved(event)
        self._touch_listings(event)

    def _touch_listings(self, event: Happening) -> None:
        """Which lists may be others for it: those are read again, when they are looked at."""
        moved, acted = isinstance(event.fact, RunMoved), isinstance(event.fact, Acted)
        if acted or isinstance(event.fact, LateEnd):  # calls that a cancellation leaves in flight
            self.expire_status()
        touched = {
            "runs": moved or acted or event.run_id in self.listing("runs"),
            "retries": event.state is State.BACKING_OFF or event.step_id in self.retries,
            "causes": moved or acted,
            "home": moved or acted,
            "jobs": acted,
        }
        if isinstance(event.fact, Accepted) and event.is_root:
            self.listing("runs").came()
            touched["runs"] = True
        for name, is_touched in touched.items():
            if is_touched:
                self.listing(name).expire()
                self.changes.listings.add(name)

    def _run_moved(self, event: Happening) -> None:
        run = self.runs.get(event.run_id)
        if run is not None and event.rev > run.rev:
            self.runs[run.id] = self._whereabouts.run_moved(run_after(run, event))
        tree = self.trees.get(event.run_id)
        if tree is not None and tree.take_run(event):
            self.changes.steps.add(event.run_id)

    def _step_moved(self, event: Happening) -> None:
        self._whereabouts.posted(event)
        run = self.runs.get(event.run_id)
        if run is not None:
            self.runs[run.id] = self._whereabouts.step_moved(run, event)
        retry = self.retries.get(event.step_id)
        if retry is not None and event.rev > retry.rev:  # until the list is read again
            moved = replace(retry, rev=event.rev, at=at_after(retry.at, event))
            self.retries[event.step_id] = moved
        tree = self.trees.get(event.run_id)
        if tree is not None:
            self.changes.steps |= tree.take(event)

    def _all_has_come(self, *, but_of: str = "") -> None:
        """The stream has gone on to something else: what of a change has not come was missed."""
        for run_id, tree in self.trees.items():
            if run_id != but_of:
                tree.catch_up()
