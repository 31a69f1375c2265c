"""One life of the engine, and the ways it ends.

A crash is not a cancellation: `kill` first marks the life dead, from when on its commits, calls and
answers change nothing, and then tears it down. Between queueing a write and being told that it is
durable lies the store's offload: that is where commits are delayed, refused, and died over.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

import trio
from trio.abc import Instrument

from engine.core.rules.retention import Retention
from engine.jobs.bulk import Bulk
from engine.ports.caller import EndpointCaller
from engine.ports.registry import Clients
from engine.ports.store import StoreError
from engine.process.clock import Clock
from engine.runs.engine import Engine
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.parent import ParentTokens
from engine.runs.shared import Shared
from engine.store.sqlite.file.owner import Owner
from engine.store.sqlite.store import open_store, prepare
from tests.simulation.asking import take_time
from tests.simulation.history import History, LifeSpan
from tests.simulation.outage import Outage
from tests.simulation.pruning import prune
from tests.world import EPOCH_MS, FakeClock

T = TypeVar("T")
GRACE_S = 5.0
TAKEN_BACK = "taken-back"
"""A death before a commit, of which some step's call did not wait: it has been done already."""
TASK_STEPS_MAX = 3_000_000
"""No life takes as many; one that does is going round in circles."""


class Died(BaseException):
    """The engine's process is gone; nothing of it may go on. No `except Exception` catches it."""


class Death:
    """How a life ends: which way, and at the how-manieth commit or step of a task."""

    def __init__(self, how: str, at: int = 0, after_s: float = 0.0) -> None:
        self.how, self.at, self.after_s = how, at, after_s


NEVER = Death("never")


class SimClock(FakeClock):
    """The engine's clock: Trio's mock clock as steady time, the wall shifted by `shift_ms`."""

    def __init__(self, seed: str, shift_ms: int) -> None:
        super().__init__(seed, EPOCH_MS + shift_ms)

    def steady_ms(self) -> int:
        return self._base_ms + int(trio.current_time() * 1000 + 1e-6)


class Life:
    """The engine from one start to its end."""

    def __init__(
        self,
        history: History,
        number: int,
        shift_ms: int,
        death: Death,
        rng: Random,
        *,
        slow: bool,
        commit_s: float,
        limits: EngineLimits,
        clients: Clients,
        outage: Outage,
        kept: Retention | None = None,
        makes_bulk: Callable[[Engine, Life, Clock], Bulk] | None = None,
        asking_s: float = 0.0,
    ) -> None:
        self.history = history
        self.number = number
        self.death = death
        self.span = LifeSpan(number, history.place(), shift_ms, trio.current_time())
        history.lives.append(self.span)
        self.engine: Engine | None = None
        self.dead = False
        self.refused = False
        """The last commit reported an error."""
        self.over = trio.Event()
        self.requests: dict[int, trio.CancelScope] = {}
        """Posts and looks that the engine is answering."""
        self.open: dict[str, int] = {}
        """Steps with a request open."""
        self.commits = self.promises = self.taken_back = 0
        self.task_steps = 0
        self.on_commit: Callable[[], None] = lambda: None
        self.on_up: Callable[[], None] = lambda: None
        self.would_take_back: Callable[[], bool] = lambda: False
        """Whether a step was called that would be lost now."""
        self.scope = trio.CancelScope()
        self._died = trio.Event()
        self._rng, self._slow, self._limits, self._clients = rng, slow, limits, clients
        self._commit_s = commit_s
        self._kept = kept
        self.bulk: Bulk | None = None
        self._makes_bulk = makes_bulk
        self._asking_s = asking_s
        self.outage = outage
        outage.over()

    def kill(self, how: str) -> None:
        """The process is gone, now."""
        if self.dead or self.over.is_set():
            return
        self.dead = True
        self.engine = self.bulk = None
        self.history.note(f"death:{how}")
        self.history.log("killed", self.number, how)
        self.span.ended, self.span.how = self.history.place(), how
        self._died.set()
        for scope in self.requests.values():
            scope.cancel()
        self.scope.cancel()

    def promised(self) -> None:
        """The engine has acknowledged something: the moment for it to die."""
        self.promises += 1
        if self.death.how == "promised" and self.promises == self.death.at:
            self.kill("promised")

    async def wait_if_dead(self) -> None:
        """What comes back to a dead engine is waited for in vain."""
        if self.dead:
            await trio.sleep_forever()

    # -- the store's offload -------------------------------------------------------------------

    async def write(self, work: Callable[[], T]) -> T:
        """A commit: late, refused, or died over, as drawn."""
        self.commits += 1
        how = self.death.how if self.commits == self.death.at else ""
        await self._pause(self._commit_s)
        if self.death.how == TAKEN_BACK and self.would_take_back():
            self.taken_back += 1
            how = "before-commit" if self.taken_back == self.death.at else how
        if how == "before-commit":
            self.kill(how)
            raise Died
        self.refused = how in ("commit-refused", "commit-unsure")
        if self.commits > 1 and not how:  # the first opens the file: it would only not start
            self.outage.refuse()
        if how == "commit-refused":
            raise sqlite3.OperationalError("disk I/O error (simulated, before the commit)")
        result = work()
        self.outage.over()
        self.on_commit()
        self.history.log("committed", self.commits)
        if how in ("after-commit", "recovery"):
            self.kill(how)
            raise Died
        if how == "commit-unsure":
            raise sqlite3.OperationalError("disk I/O error (simulated, after the commit)")
        return result

    async def read(self, work: Callable[[], T]) -> T:
        """A query."""
        await self._pause(0.005 if self._slow else 0.0)
        return work()

    async def _pause(self, at_most_s: float) -> None:
        """Let time pass, unless the life ends first."""
        pause = self._rng.random() * at_most_s
        if self._slow and self._rng.random() < 0.02:
            pause = self._rng.random() * 3
        if pause:
            with trio.move_on_after(pause):
                await self._died.wait()
        else:
            await trio.lowlevel.checkpoint()
        if self.dead:
            raise Died

    # -- from the start to the end -------------------------------------------------------------

    async def run(self, path: Path, caller: EndpointCaller, seed: str) -> None:
        """Live until the drawn death, or `kill`. Any error of the engine's own leaves here."""
        owner = Owner(pid=1, instance=f"life-{self.number}", started_at="then")
        clock = SimClock(f"{seed}/clock/{self.number}", self.span.shift_ms)
        self.history.log("life", self.number, self.span.shift_ms, self.death.how, self.death.at)
        try:
            with self.scope:
                async with open_store(
                    path,
                    owner,
                    started_at=0,
                    write_offload=self.write,
                    read_offload=self.read,
                    synchronous="OFF",
                    on_failure=lambda: self.kill(self.death.how),
                ) as store:
                    self.span.epoch = store.epoch
                    if self._asking_s:
                        take_time(store, partial(self._pause, self._asking_s / 2))
                    parent_tokens = ParentTokens(store.secret, store.epoch)
                    shared = Shared(
                        store, caller, clock, parent_tokens, self._limits, registry=self._clients
                    )
                    await self._serve(Engine(shared, strict=True), clock)
        except* StoreError as group:
            if not self.refused:
                raise group
            self.kill(self.death.how)  # what it was to catch up with could not be committed
        except* (Died, sqlite3.OperationalError):
            if not self.dead:
                raise
        finally:
            self.engine = self.bulk = None
            if self.span.ended is None:
                self.span.ended, self.span.how = self.history.place(), "drain"
            self.over.set()

    async def _serve(self, engine: Engine, clock: Clock) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            self.engine = engine
            if self._makes_bulk is not None:
                bulk = self._makes_bulk(engine, self, clock)
                await nursery.start(bulk.run)
                self.bulk = bulk
            if self._kept is not None:
                nursery.start_soon(prune, engine, clock, self.history, self._kept, self._rng)
            self.on_up()
            if self.death.how != "drain":
                await trio.sleep_forever()
            await trio.sleep(self.death.after_s)
            self.history.note("death:drain")
            self.history.log("drains", self.number)
            if self.bulk is not None:
                self.bulk.close()
                self.bulk = None
            await engine.drain(GRACE_S)
            self.engine = None
            for scope in list(self.requests.values()):
                scope.cancel()
            nursery.cancel_scope.cancel()


class StepCounter(Instrument):
    """Counts the steps of all tasks, and kills the life at the drawn one."""

    def __init__(self) -> None:
        self.life: Life | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        life = self.life
        if life is not None:
            life.task_steps += 1
            if life.death.how == "checkpoint" and life.task_steps == life.death.at:
                life.kill("checkpoint")
            elif life.task_steps == TASK_STEPS_MAX:
                life.history.fail("liveness", "the engine spins without time passing")
                life.kill("spinning")


class Disk:
    """A fresh database for each seed: a copy of one that was made once, with a fixed secret."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._template = directory / "template.db"
        prepare(self._template, "OFF").close()
        with sqlite3.connect(self._template) as db:
            db.execute("UPDATE engine SET secret = ?, file_id = 'simulated'", (b"s" * 32,))
        db.close()

    def fresh(self) -> Path:
        """The path of a new database; the last one's is used again."""
        path = self._directory / "engine.db"
        for suffix in ("-wal", "-shm", ".lock"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self._template, path)
        return path


def shared_memory() -> str | None:
    """A directory in memory, where there is one: for `tempfile`."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
