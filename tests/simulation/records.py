"""The record, checked against itself: after each commit what it changed, at the end all of it.

The rows must equal the fold of the journal up to the event that they say they know, and the journal
must be kept from there on; events have no gaps; what has ended stays as it ended; its counts say
what is there; and every open step has something that will move it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from itertools import takewhile
from pathlib import Path

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import asdict

from engine.core.errors import EngineError
from engine.core.events import Accepted, Acted, AttemptEnded, Count, Event, Started
from engine.core.machine import evolve
from engine.core.model import Run, Step, StepState, rebuild, run_of
from engine.core.retry import OnExhausted
from engine.ports.views import record_of
from engine.store.journal import event_records, opened_part
from engine.store.replay import replay
from engine.store.rows import run_from, run_record_from, step_from
from engine.store.sqlite.sink import SqliteKept
from engine.store.sqlite.store import prepare
from engine.store.sqlite.verify.verify import verify
from engine.store.tables.connection import SQL
from tests.simulation.history import History, Post
from tests.simulation.jobs import JobRecords
from tests.simulation.undone import REFUSED_FOR_NOW

STANDS = (StepState.FAILED, StepState.CANCELLED)
SENT_HOME = "suspended: sent home"
_event = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode


class Start(Struct, frozen=True):
    """An attempt began, as the journal has it."""

    seq: int
    step_id: str
    number: int
    client: str
    workflow: str
    url: str


def told_first(posts: Iterable[Post], poster: str) -> float | None:
    """When an attempt may first have been told that it is sent home; None: it was not.

    `poster`: how its parent token begins. A post whose answer was lost may have been told at once.
    """
    its = [post for post in posts if (post.parent_token or "").startswith(poster)]
    told = [post.ended_at for post in its if post.problem == "suspended"]
    seen = [at for at in told if at is not None]
    return min(seen + [post.at for post in its if post.status is None]) if seen else None


class Records:
    """A reader of the file that folds every event as it is committed."""

    def __init__(self, path: Path, history: History) -> None:
        self.history = history
        self.runs: dict[str, Run] = {}
        """The fold of the journal."""
        self.seq = 0
        self._written: dict[int, tuple[str, str]] = {}
        """Each event as it was first read: whose it is, and its words."""
        self.started: list[Start] = []
        self._path = path
        self._last: dict[str, int] = {}
        """Each run's last event."""
        self._behind: dict[str, tuple[int, dict[str, None]]] = {}
        """Runs whose rows are still to come: since which event, and which steps it touched."""
        self._ended_at: dict[tuple[str, int], float] = {}
        """When the end of a step's generation was seen, in the simulation's time."""
        self._outcomes: dict[tuple[str, int], tuple[object, ...]] = {}
        self._acted: Counter[tuple[str, str]] = Counter()
        """Actions recorded: (run, action)."""
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self.jobs = JobRecords(self._db, history)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # -- after each commit ---------------------------------------------------------------------

    def committed(self) -> None:
        """Fold what was just committed, and compare the rows that came with it."""
        entries = self._db.execute("SELECT seq, packed FROM journal WHERE seq > ? ORDER BY seq",
                                   (self.seq,)).fetchall()  # fmt: skip
        for entry in entries:
            for record in event_records(entry["seq"], entry["packed"]):
                if record.seq != self.seq + 1:
                    self._wrong("I5", f"event {record.seq} follows event {self.seq}")
                self.seq = record.seq
                self._written[record.seq] = (record.run_id, record.data)
                _, touched = self._behind.setdefault(record.run_id, (record.seq, {}))
                self._last[record.run_id] = record.seq
                self._fold(record.run_id, _event(record.data), touched)
                self.history.log("event", record.seq, record.data)
        self._compare_rows()

    def _compare_rows(self) -> None:
        caught_up = self._db.execute("SELECT caught_up FROM engine").fetchone()[0]
        for run_id, (since, touched) in list(self._behind.items()):
            row = self._db.execute("SELECT seq FROM run WHERE id = ?", (run_id,)).fetchone()
            if row is None or row["seq"] < since:
                if caught_up >= since:
                    self._wrong("fold", f"event {since} of {run_id} would not be folded again")
                continue
            if row["seq"] != self._last[run_id]:
                self._wrong("fold", f"the rows of {run_id} know event {row['seq']}, not the last")
            del self._behind[run_id]
            self._compare_record(self.runs[run_id])
            for step_id in touched:
                self._compare(step_id)
                self._keep_outcomes(step_id)

    def _keep_outcomes(self, step_id: str) -> None:
        """What was recorded as an outcome once must be so for ever."""
        rows = self._db.execute("SELECT * FROM outcome WHERE step_id = ?", (step_id,)).fetchall()
        for row in rows:
            what = tuple(row)
            if self._outcomes.setdefault((step_id, row["generation"]), what) != what:
                self._wrong("I1", f"an outcome of {step_id} has changed: {what}")

    def _fold(self, run_id: str, event: Event, touched: dict[str, None]) -> None:
        run = self.runs.get(run_id)
        if run is None:
            client = event.client if isinstance(event, Accepted) else None
            run = self.runs[run_id] = Run(id=run_id, client=client or "?", submitted_at=event.at)
        if isinstance(event, AttemptEnded) and (event.error or "").startswith(SENT_HOME):
            self.history.sent_home.add((event.step_id, event.number))
            self._check_called_again(run, event)
        if isinstance(event, Started):
            url = run.steps[event.step_id].spec.url
            what = (run.client, run.root.spec.workflow, url)
            self.started.append(Start(self.seq, event.step_id, event.number, *what))
        if isinstance(event, Acted):
            self._acted[run_id, event.action] += 1
        if isinstance(event, AttemptEnded) and event.state is StepState.FAILED:
            self._check_said_so(run, event)
        if isinstance(event, AttemptEnded) and event.counts_as is Count.FAILURE:
            self._check_refused(run, event)
            self._check_no_crash(event)
            self._check_told_for_root(event)
        try:
            self.jobs.saw(run, event)
            for step in evolve(run, event):
                touched[step.id] = None
                if step.ended and step.is_root:
                    self.jobs.ended(step)
                if step.ended:
                    self._ended_at.setdefault((step.id, step.generation), trio.current_time())
        except (EngineError, AssertionError) as error:
            self._wrong("fold", f"a stored event does not fold: {event}: {error!r}")

    def _check_called_again(self, run: Run, event: AttemptEnded) -> None:
        """R19: who was sent home is called again when a step of it has ended since, or none is
        open. (When it saw that it was told, and when the end was committed: a second apart.)"""
        step = run.steps[event.step_id]
        if event.state is not StepState.BACKING_OFF or not step.open_children:
            return
        told = told_first(self.history.posts, f"{step.id}.{event.number}.")
        children = [run.steps[id] for id in run.children.get(step.id, ())]
        ended = [self._ended_at.get((child.id, child.generation), 0.0) for child in children]
        if told is not None and max(ended) < told - 1:
            self._wrong("R19", f"nothing has ended since it was told: {event}")

    def _check_no_crash(self, event: AttemptEnded) -> None:
        """R22: an attempt that the engine's own crash has ended is no failed one."""
        sends = [send for send in self.history.sends if send.step_id == event.step_id]
        sends = [send for send in sends if send.attempt == event.number]
        if sends and all(send.result == "crash" for send in sends):
            self._wrong("R22", f"the engine crashed over what counts as a failure: {event}")

    def _check_told_for_root(self, event: AttemptEnded) -> None:
        """R29: a nested function without a parent token that was told what is meant for the root
        does not fail for it."""
        parent_token = f"{event.step_id}.{event.number}.{self.history.lives[-1].epoch}"
        if parent_token in self.history.told_for_root and event.state is not StepState.CANCELLED:
            self._wrong("R29", f"it was told to go home for the root, and failed: {event}")

    def _check_said_so(self, run: Run, event: AttemptEnded) -> None:
        """R15: a step above one that failed or was cancelled fails only if its answer says so."""
        step = run.steps[event.step_id]
        if not any(run.steps[id].state in STANDS for id in run.children.get(step.id, ())):
            return
        policy = step.policy
        said_so = event.http_status == 424 or event.http_status in policy.stop_on
        sends = (send for send in reversed(self.history.sends) if send.step_id == step.id)
        said_so |= any(send.no_retry for send in sends if send.attempt == event.number)
        if not said_so and policy.on_exhausted is not OnExhausted.FAIL:
            self._wrong("R15", f"{step.id} failed above a failure, and never said so: {event}")

    def _check_refused(self, run: Run, event: AttemptEnded) -> None:
        """R17: an attempt with a post that the engine refused for now is no failure, unless its
        step was cancelled meanwhile."""
        if event.state is StepState.CANCELLED:
            return
        if event.step_id not in run.children and event.step_id != run.id:
            return  # posts nothing
        made = f"{event.step_id}.{event.number}."
        sends = [s for s in self.history.sends if s.step_id == event.step_id]
        # Of several the last: those before it were taken back by a crash, and began anew.
        send = next((s for s in reversed(sends) if s.attempt == event.number), None)
        if send is None or send.ended is None:
            return
        for post in self.history.posts:
            its = post.status in REFUSED_FOR_NOW and (post.parent_token or "").startswith(made)
            its = its and post.life == send.life
            if its and post.ended is not None and post.ended < send.ended:
                self._wrong("R17", f"refused was {post.url} of {event}")

    def _compare(self, step_id: str) -> None:
        row = self._db.execute(SQL["step"], (step_id,)).fetchone()
        ours = self.runs[run_of(step_id)].steps[step_id]
        self._differ(step_id, ours, None if row is None else step_from(row))

    def _compare_record(self, run: Run) -> None:
        """What lists show of the run is what an action on it would answer."""
        row = self._db.execute(f"{SQL['run_record']} WHERE run.id = ?", (run.id,)).fetchone()
        ours, theirs = asdict(record_of(run)), asdict(run_record_from(row, None, None))
        for name, value in ours.items():
            if value != theirs[name]:
                self._wrong("fold", f"{run.id}: {name} is listed as {theirs[name]!r}, is {value!r}")

    def _differ(self, what: str, ours: Step, theirs: Step | None) -> None:
        if theirs is None:
            self._wrong("fold", f"{what} has events and no row")
            return
        folded, stored = asdict(ours), asdict(theirs)
        for name, value in folded.items():
            if name != "open_children" and value != stored[name]:
                self._wrong("fold", f"{what}: {name} is {stored[name]!r}, its events say {value!r}")

    def _wrong(self, rule: str, what: str) -> None:
        self.history.fail(rule, what)

    def would_take_back(self, life: int) -> bool:
        """Whether a step was done in this life of the engine that is not committed yet."""
        calls = takewhile(lambda send: send.life == life, reversed(self.history.sends))
        return any(
            send.status == 200 and send.step_id not in self.runs[send.run_id].steps
            for send in calls
            if send.run_id in self.runs
        )

    # -- when something is answered ------------------------------------------------------------

    def check_durable(self, post: Post) -> None:
        """I6: what an answer says of a step has been committed by then."""
        if not post.acknowledged or post.step_id is None:
            return
        run = self.runs.get(run_of(post.step_id))
        step = None if run is None else run.steps.get(post.step_id)
        if step is None:
            self._wrong("I6", f"step {post.step_id} was acknowledged and is not committed")
        elif post.is_outcome and step.generation == post.generation and not step.ended:
            self._wrong("I6", f"an outcome of {post.step_id} was told that is not committed")

    def check_acts(self) -> None:
        """R21: each action that an operator was told is done has been recorded."""
        done = Counter((act.run_id, str(act.action)) for act in self.history.acts if act.done)
        for (run_id, action), times in done.items():
            if times > self._acted[run_id, action]:
                self._wrong("R21", f"{action} of {run_id} was done {times} times, and recorded"
                            f" {self._acted[run_id, action]} times")  # fmt: skip

    # -- at rest -------------------------------------------------------------------------------

    def unrest(self) -> list[str]:
        """Steps that move, and runs that neither end nor have anything paused."""
        found: list[str] = []
        for run in self.runs.values():
            open_steps = [step for step in run.steps.values() if not step.ended]
            found += [f"{step.id} {step.state}" for step in open_steps if _moves(step)]
            if open_steps and not any(step.state is StepState.PAUSED for step in open_steps):
                found.append(f"run {run.id}")
        return found[:10]

    def quiet(self) -> bool:
        """Nothing moves any more by itself."""
        return not self.unrest()

    def paused_runs(self) -> frozenset[str]:
        """Runs that have a step paused, for a reason."""
        return frozenset(
            run.id
            for run in self.runs.values()
            if any(s.state is StepState.PAUSED and s.pause_reason for s in run.steps.values())
        )

    # -- at the end ----------------------------------------------------------------------------

    def check_at_end(self) -> None:
        """Compare the whole record with the fold, and with itself, as the next start finds it."""
        with closing(prepare(self._path, "OFF")) as db:
            replay(SqliteKept(db))
        self.committed()
        self.check_acts()
        self.jobs.check()
        self._check_gone()
        self._check_cut()
        if self._behind:
            self._wrong("fold", f"a start did not fold the journal of {list(self._behind)}")
        for row in self._db.execute("SELECT * FROM run").fetchall():
            self._check_run(row)
        stored = {row["state"]: row["runs"] for row in self._db.execute("SELECT * FROM tally")}
        counted = {
            row[0]: row[1]
            for row in self._db.execute("SELECT state, count(*) FROM run GROUP BY state")
        }
        if {state: runs for state, runs in stored.items() if runs} != counted:
            self._wrong("tally", f"the table says {stored}, counted are {counted}")
        self._check_outcomes()
        twice = self._db.execute(
            # Of a life: what a cancelled step had in flight when the engine died nobody records.
            "SELECT step_id, count(*) FROM attempt WHERE counts_as IS NULL GROUP BY step_id, epoch"
            " HAVING count(*) > 1"
        ).fetchall()
        for row in twice:
            self._wrong("I2", f"{row[1]} attempts of {row[0]} are in flight")
        self.verify()

    def verify(self) -> None:
        """What `atomic verify` finds, while no engine has the file."""
        for fault in verify(self._path).faults:
            self._wrong("verify", f"{fault.place}: {fault.what}")

    def _check_gone(self) -> None:
        """R32: what has gone had ended, its key says how, and no row of it is left. Of it nothing
        else is compared from here on. Nobody was told of another run that it has gone."""
        keys = {row["run_id"]: row for row in self._db.execute("SELECT * FROM expired")}
        for run_id, row in keys.items():
            run = self.runs.pop(run_id, None)
            root = None if run is None else run.root
            *said, removed_at = tuple(row)[1:]
            if run is None or root is None or run.open_steps or said != [
                run.client, root.spec.workflow, root.spec.key, run.shown, run.submitted_at,
                root.ended_at,
            ] or removed_at < said[-1]:  # fmt: skip
                self._wrong("R32", f"the key of {run_id} says {said}, its events say {run}")
            self._behind.pop(run_id, None)
        for table, column in (("run", "id"), ("step", "id"), ("attempt", "step_id"),
                              ("outcome", "step_id")):  # fmt: skip
            for (id,) in self._db.execute(f"SELECT {column} FROM {table}"):
                if run_of(id) in keys:
                    self._wrong("R32", f"{id} is left in {table} of a run that has gone")
        ended = self._outcomes.items()
        self._outcomes = {it: row for it, row in ended if run_of(it[0]) not in keys}
        for post in self.history.posts:
            if post.is_expired and post.run_id not in keys:
                self._wrong("R32", f"run {post.run_id} was told to have gone, and is there")

    def _check_cut(self) -> None:
        """R33: the journal begins behind its floor, and of each run that stays every event from
        before it was carried on as it was written; of one that has gone, none."""
        (floor,) = self._db.execute("SELECT floor FROM engine").fetchone()
        first = self._db.execute("SELECT min(seq) FROM journal").fetchone()[0]
        if first not in (None, floor + 1):
            self._wrong("R33", f"the journal begins with event {first}, its floor is {floor}")
        carried: dict[int, tuple[str, str]] = {}
        for run_id, entry, packed in self._db.execute("SELECT run_id, entry, packed FROM carried"):
            for seq, line in opened_part(entry, packed).events:
                carried[seq] = (run_id, _encode(line.event).decode())
        wanted = {
            seq: (run_id, _encode(_event(data)).decode())
            for seq, (run_id, data) in self._written.items()
            if seq <= floor and run_id in self.runs
        }
        for seq in sorted(carried.keys() ^ wanted.keys()):
            self._wrong("R33", f"event {seq}: {carried.get(seq)} was carried on, of"
                        f" {wanted.get(seq)}")  # fmt: skip
        for seq in carried.keys() & wanted.keys():
            if carried[seq] != wanted[seq]:
                self._wrong("R33", f"event {seq} is {carried[seq]}, and was {wanted[seq]}")
        if carried:
            self.history.note("situation:carried-on")

    def _check_run(self, row: sqlite3.Row) -> None:
        steps = self._db.execute(SQL["steps"], (row["id"],)).fetchall()
        stored = run_from(row, [step_from(step) for step in steps])
        ours = self.runs.get(row["id"])
        if ours is None:
            self._wrong("fold", f"run {row['id']} has no events")
            return
        for name in ("client", "rev", "progress", "shown", "dismissed", "submitted_at", "moves"):
            if getattr(ours, name) != getattr(stored, name):
                self._wrong(
                    "fold",
                    f"run {row['id']}: {name} is {getattr(stored, name)!r}, its events say"
                    f" {getattr(ours, name)!r}",
                )
        for step in stored.steps.values():
            self._differ(step.id, ours.steps[step.id], step)
            if step.open_children != ours.steps[step.id].open_children:
                self._wrong("fold", f"{step.id}: open children are not what its events say")
        self._check_orphans(stored)
        again = rebuild(ours)
        if again.state is not ours.shown:
            self._wrong("fold", f"run {row['id']} is {again.state}, shown as {ours.shown}")
        if (row["open_steps"], row["failed_steps"]) != (stored.open_steps, stored.failed_steps):
            self._wrong("fold", f"run {row['id']}: its counts of steps are wrong")

    def _check_orphans(self, run: Run) -> None:
        for step in run.steps.values():
            parent = run.steps.get(step.parent_id or "")
            moved = (
                step.ended
                or step.state in (StepState.RUNNING, StepState.PENDING)
                or (step.state is StepState.BACKING_OFF and step.due_at is not None)
                or (step.state is StepState.WAITING and step.open_children > 0)
                or (step.state is StepState.PAUSED and step.pause_reason is not None)
            )
            if not moved:
                self._wrong("I4", f"nothing will ever move {step.id} ({step.state})")
            over = parent is not None and parent.state in (StepState.FAILED, StepState.CANCELLED)
            if not step.ended and over and not step.cancel_asked:
                self._wrong("I4", f"{step.id} is open under a step that failed or was cancelled")

    def _check_outcomes(self) -> None:
        """Each step that has ended has its generation's outcome, and no row ever changed."""
        rows = self._db.execute("SELECT * FROM outcome").fetchall()
        if {(row["step_id"], row["generation"]): tuple(row) for row in rows} != self._outcomes:
            self._wrong("I1", "outcomes are not as they were first recorded")
        found = {(row["step_id"], row["generation"]): row for row in rows}
        for run in self.runs.values():
            for step in run.steps.values():
                row = found.get((step.id, step.generation))
                if step.ended and (row is None or row["state"] != step.state):
                    self._wrong("I1", f"{step.id} ended {step.state}; its outcome says otherwise")
                if not step.ended and row is not None:
                    self._wrong("I1", f"{step.id} is open and has an outcome")


def _moves(step: Step) -> bool:
    """Whether time alone will change the step. A workflow that waits for its steps is theirs."""
    if step.state is StepState.RUNNING:
        return not step.open_children
    return step.state in (StepState.BACKING_OFF, StepState.PENDING) and not step.awaiting_post
