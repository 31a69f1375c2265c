"""The simulated world of one seed: storm, heal, drain, check.

storm   faults are on, the engine dies and comes back, clients come and go
heal    faults off, last restart, an operator resumes what is paused
drain   everything must end within 24 simulated hours, but runs with something paused
check   the history and the record must agree with the contract
"""

from __future__ import annotations

import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Self

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.core.access import client as registered
from engine.core.rules.action import Action
from tests.simulation import jobs
from tests.simulation import swarm as swarms
from tests.simulation.apps import Apps
from tests.simulation.asking import TAKES_S
from tests.simulation.checker import check
from tests.simulation.clients import KINDS, Client, act, act_as, known_runs, operate
from tests.simulation.determinism import run_seeded
from tests.simulation.history import History
from tests.simulation.holds import Holds
from tests.simulation.life import NEVER, Death, Disk, Life, StepCounter, shared_memory
from tests.simulation.moves import Moves, post_moved
from tests.simulation.net import Net, SimCaller, Submission
from tests.simulation.outage import Outage
from tests.simulation.pools import watch
from tests.simulation.programs import HOSTS, Library
from tests.simulation.pruning import KEPT
from tests.simulation.records import Records
from tests.simulation.repairs import call_again, repair

STILL_MAX_S = 3600.0
"""Nothing that anybody asked for waits longer: when all stands still so long, it is stuck."""
LOOK_EVERY_MAX_S = 60.0
SLOW_COMMIT_S = 1.0
"""Slower than most answers: what leaves before its commit leaves long before."""
WORKFLOW = "flow"
SHARED_KEY = "k"
"""The key of one run of each client."""
TENANTS = ("shop", "bank")


class Tenants:
    """All of them, each with these limits."""

    clients: Mapping[str, registered.Client] = {}

    def __init__(self, limits: registered.ClientLimits) -> None:
        has_any = limits != registered.NO_LIMITS
        self.limits = dict.fromkeys(TENANTS, limits) if has_any else {}


CROWDS = 0.15
"""The share of seeds with many workflows at few workers, and little else."""
MOVED = 0.05
"""The share of those in which the engine dies often, and runs are moved when it is back."""
OUTAGES = 0.05
"""The share of those whose only trouble is a disk that is away now and then."""
PRUNED = 0.08
"""The share of seeds, of those in which no endpoint moves, in which what has ended goes."""
REPAIRED = 0.25
"""The share of those in which somebody sets the results of steps."""
RERUN = 0.15
"""The share of those in which somebody has runs called with other payloads."""
ASKED = 1 / 7
"""The share of seeds, of whatever kind, in which the store takes time to say who has a key."""
WITH_JOBS = 0.15
"""The share of those in which somebody asks for bulk jobs."""
BACKLOGS_MAX = (2, 4, 10)
"""So few events may wait for a commit of an engine that refuses posts."""
JUMPS_MS = (0, 0, 0, 700, -700, 60_000, -60_000, 600_000, -600_000)


class Report(Struct):
    """What became of one seed."""

    seed: int
    wrong: list[tuple[str, str]]
    digest: str
    notes: Counter[str]
    lives: int
    calls: int
    posts: int
    events: int
    simulated_s: float


class Plan(Struct, frozen=True):
    """What is not left to the seed: for scenarios that are told, not drawn."""

    swarm: swarms.Swarm | None = None
    deaths: tuple[Death, ...] | None = None
    cast: Callable[[World], list[Client]] | None = None


DRAWN = Plan()
"""All is left to the seed."""


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, disk: Disk, plan: Plan, *, trace: bool) -> None:
        self.seed = seed
        self.plan = plan
        self.history = History(trace)
        self.counter = StepCounter()
        self.path = disk.fresh()
        self.rng = self.chance("world")
        self.swarm = self._drawn() if plan.swarm is None else plan.swarm
        self.library = Library(self.chance("library"))
        few = self.swarm.places is not None or self.swarm.workflows > 0
        few = few or self.swarm.client_limits.in_flight_max is not None
        self.history.few_places = few or self.swarm.holds
        self.records = Records(self.path, self.history)
        self.outage = Outage(self.history, self.chance("outage"))
        self.shift_ms = 0
        self.healed = False
        self.events = 0
        self.simulated_s = 0.0

    def chance(self, what: str) -> Random:
        """Chance of its own for each concern, so that one draw more does not move the others."""
        return Random(f"{self.seed}/{what}")

    def _drawn(self) -> swarms.Swarm:
        swarm, rng = self._draw_swarm(), self.chance("asking")
        if rng.random() < ASKED:
            self.history.note("situation:asked")
            return replace(swarm, asking_s=rng.choice(TAKES_S))
        return swarm

    def _draw_swarm(self) -> swarms.Swarm:
        rng = self.chance("kind")
        kind = rng.random()
        if kind < CROWDS:
            return swarms.crowd(rng)
        if kind < CROWDS + MOVED:
            return swarms.moved(rng)
        if kind < CROWDS + MOVED + OUTAGES:
            return swarms.outages(rng)
        swarm, pruning = swarms.draw(self.chance("swarm")), self.chance("pruning")
        if self.chance("repairs").random() < REPAIRED:
            swarm = replace(swarm, repairs=True)
        if self.chance("reruns").random() < RERUN:
            swarm = replace(swarm, reruns=True)
        if self.chance("jobs").random() < WITH_JOBS:
            swarm = replace(swarm, jobs=True)
        if pruning.random() < PRUNED:
            return replace(swarm, kept=pruning.choice(KEPT))
        return swarm

    async def run(self) -> None:
        """All phases; what is wrong is in the history."""
        async with trio.open_nursery() as nursery:
            self.net = Net(self.history, nursery, self.chance("net"), self.swarm)
            self.apps = Apps(self.history, nursery, self.net, self.chance("apps"), self.library)
            self.net.apps = self.apps
            self.moves = Moves(self.net, self.chance("moves"))
            self.holds = Holds(self.net, self.chance("holds"))
            if self.swarm.moves:
                self.net.as_posted, self.apps.url = self.moves.root, self.moves.url
            self.net.on_answer = self.records.check_durable
            cast = self._cast() if self.plan.cast is None else self.plan.cast(self)
            for number, client in enumerate(cast):
                nursery.start_soon(act_as, client, self.net, self.chance(f"client{number}"))
            await self._storm(nursery)
            await self._heal(nursery)
            nursery.cancel_scope.cancel()
        self.simulated_s = trio.current_time()

    def _cast(self) -> list[Client]:
        """The runs of this seed, and who wants them."""
        rng, twins = self.rng, self.chance("twins")
        clients: list[Client] = []
        for index in range(rng.randint(*self.swarm.runs)):
            name = f"r{index}"
            program = self.library.make(name)
            tenant = rng.choice(TENANTS)
            what = Submission(
                client=tenant,
                workflow=WORKFLOW,
                key=SHARED_KEY if index < 2 and tenant == TENANTS[index] else f"k{index}",
                url=f"http://{rng.choice(HOSTS)}/flow/{program.name}",
                payload=msgspec.json.encode({"user": name, "client": tenant}),
                retry=self.library.for_flow(program, self.library.any_policy()),
                attempt_timeout_ms=max(self.swarm.attempt_min_ms, rng.choice((10_000, 60_000))),
            )
            starts_s = rng.random() * self.swarm.storm_s * 0.7
            clients += [
                Client(kind, what, starts_s + rng.random() * 3)
                for kind in rng.choices(KINDS, k=rng.randint(1, 3))
            ]
            if twins.random() < 0.15 and what.key != SHARED_KEY:  # it would be another run's step
                clients.append(self._twin(what, name, starts_s + twins.random() * 3))
        return clients

    def _twin(self, what: Submission, name: str, starts_s: float) -> Client:
        """Another client with the same workflow under the same key: a run of its own."""
        (other,) = [tenant for tenant in TENANTS if tenant != what.client]
        payload = msgspec.json.encode({"user": name, "client": other})
        self.history.note("situation:twins")
        return Client("patient", replace(what, client=other, payload=payload), starts_s)

    # -- phases --------------------------------------------------------------------------------

    async def _storm(self, nursery: trio.Nursery) -> None:
        async with trio.open_nursery() as storm:
            if self.swarm.has("operator"):
                storm.start_soon(operate, self.net, self.chance("operator"))
            if self.swarm.has("app-crash"):
                storm.start_soon(self._crash_apps)
            if self.swarm.outages_s:
                storm.start_soon(self.outage.strike, self.swarm.outages_s)
            if self.swarm.moves:
                storm.start_soon(self.moves.operate)
            if self.swarm.holds:
                storm.start_soon(self.holds.operate)
            if self.swarm.repairs:
                storm.start_soon(repair, self.net, self.chance("repair"))
            if self.swarm.reruns:
                storm.start_soon(call_again, self.net, self.chance("call again"))
            if self.swarm.jobs:
                storm.start_soon(jobs.ask, self.net, self.chance("asks"))
            deaths = self.plan.deaths
            if deaths is None:
                deaths = tuple(self._death(how) for how in self.swarm.deaths)
            ends = trio.current_time() + self.swarm.storm_s
            with trio.move_on_at(ends):
                for number, death in enumerate((*deaths, NEVER)):
                    await self._live(nursery, number + 1, death)
                    await trio.sleep(self.rng.choice((0.01, 1.0, 20.0)) * self.rng.random())
                    if self.swarm.has("clock-jump"):
                        self.shift_ms += self.rng.choice(JUMPS_MS)
            storm.cancel_scope.cancel()

    def _death(self, how: str) -> Death:
        rng = self.rng
        match how:
            case "checkpoint":
                return Death(how, rng.choice((40, 400, 3_000)) + rng.randrange(500))
            case "promised":
                return Death(how, rng.randint(1, 6))
            case "taken-back":
                return Death(how, rng.randint(1, 3))
            case "recovery":
                return Death(how, rng.randint(1, 4))
            case "drain":
                return Death(how, after_s=rng.random() * 60)
            case _:
                return Death(how, rng.choice((3, 15, 60)) + rng.randrange(20))

    async def _crash_apps(self) -> None:
        while True:
            await trio.sleep(5 + self.rng.random() * 40)
            self.apps.crash(self.rng.choice(HOSTS))

    async def _live(self, nursery: trio.Nursery, number: int, death: Death) -> None:
        """One life of the engine, until it is over."""
        life = self._new_life(number, death)
        nursery.start_soon(life.run, self.path, SimCaller(self.net, life), str(self.seed))
        await life.over.wait()
        self.net.life = self.counter.life = None
        if self.swarm.kept is not None:  # a death may have struck in the middle of a cut
            self.records.verify()

    def _new_life(self, number: int, death: Death) -> Life:
        chance = self.chance(f"life{number}")
        slow = self.swarm.has("slow-store") and not self.healed
        limits = self.swarm.limits
        if self.swarm.has("overload") and not self.healed:
            limits = replace(limits, backlog_events_max=chance.choice(BACKLOGS_MAX))
        commit_s = 0.02 if slow else 0.002
        if self.swarm.has("slow-commit") and not self.healed:
            commit_s = SLOW_COMMIT_S
        life = Life(
            *(self.history, number, self.shift_ms, death, chance),
            slow=slow,
            commit_s=commit_s,
            limits=limits,
            clients=Tenants(self.swarm.client_limits),
            outage=self.outage,
            kept=self.swarm.kept,
            makes_bulk=jobs.bulk_of if self.swarm.jobs else None,
            asking_s=self.swarm.asking_s,
        )
        life.on_commit = self.records.committed
        life.on_up = self.moves.engine_is_up
        life.would_take_back = partial(self.records.would_take_back, number)
        self.net.life = self.counter.life = life
        return life

    async def _heal(self, nursery: trio.Nursery) -> None:
        """No faults any more: the last life must bring everything to an end."""
        self.healed = True
        self.net.heal()
        self.history.log("heal")
        workers = {name: host.workers for name, host in self.apps.hosts.items()}
        nursery.start_soon(watch, self.history, workers)
        life = self.net.life
        if life is None or not self.swarm.goes_on:
            life = await self._restart(nursery, life)
        await trio.sleep(1)
        if self.swarm.holds:
            await self.holds.release_all()
        if self.rng.random() < 0.8 and not self.swarm.goes_on:
            for run_id in known_runs(self.history):
                await act(self.net, run_id, Action.RESUME)
        await self._drain(life)
        self.history.paused_runs = self.records.paused_runs()
        await self._last_looks()
        if self.swarm.moves:
            await post_moved(self.net, list(self.records.runs.values()))
            self.moves.check()
        self.holds.check(self.records.started, life)
        self.events = self.records.seq
        life.kill("end")
        await life.over.wait()
        self.records.check_at_end()

    async def _restart(self, nursery: trio.Nursery, life: Life | None) -> Life:
        """The last life."""
        if life is not None:
            life.kill("heal")
            await life.over.wait()
        life = self._new_life(99, NEVER)
        nursery.start_soon(life.run, self.path, SimCaller(self.net, life), str(self.seed))
        return life

    async def _drain(self, life: Life) -> None:
        ends, every = trio.current_time() + self.swarm.drain_max_s, 0.5
        seq, moved_at = 0, trio.current_time()
        while not self.records.quiet() or self.records.jobs.at_work(life):
            if any(rule == "POOL" for rule, _ in self.history.wrong):
                return  # it may stand so for a day
            now = trio.current_time()
            if self.records.seq != seq:
                seq, moved_at = self.records.seq, now
            if now > min(ends, moved_at + STILL_MAX_S):
                self.history.fail("liveness", f"not at rest: {self.records.unrest()}")
                return
            await trio.sleep(every)
            every = min(every * 1.5, LOOK_EVERY_MAX_S)
        await trio.sleep(2)

    async def _last_looks(self) -> None:
        """Read back everything that was ever acknowledged."""
        seen = {
            post.step_id: post.client
            for post in self.history.posts
            if post.acknowledged and post.step_id is not None
        }
        self.history.last_looks_began = self.history.place()
        for step_id, client in seen.items():
            await self.net.read(client, step_id)


class Simulator:
    """Runs seeds, one after the other, on one disk."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(dir=shared_memory(), prefix="atomic-sim-")
        self._disk = Disk(Path(self._directory.name))

    def close(self) -> None:
        """Remove the disk."""
        self._directory.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, seed: int, plan: Plan = DRAWN, *, trace: bool = False) -> Report:
        """Simulate one seed."""
        world = World(seed, self._disk, plan, trace=trace)
        try:
            run_seeded(seed, world.run, (world.counter,))
            wrong = [*world.history.wrong, *check(world.history, world.library)]
        except BaseExceptionGroup as group:
            wrong = [*world.history.wrong, ("engine", describe(group))]
        finally:
            world.records.close()
        history = world.history
        return Report(
            seed,
            wrong,
            history.digest(),
            history.notes,
            len(history.lives),
            len(history.sends),
            len(history.posts),
            world.events,
            world.simulated_s,
        )


def describe(group: BaseExceptionGroup[BaseException]) -> str:
    """The first exception of a group, with where it came from."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return "".join(traceback.format_exception(error))
