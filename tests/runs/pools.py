"""A model of hosts with few workers, to try the standstill rule on: `python -m tests.runs.pools`.

Discrete events, seeded. A host has W workers and a listen queue (`pods` of them, each with its own
queue and W workers, if asked). A function holds its worker while it waits for the steps that it
posted. The rule sees what the engine sees: openings, posts and answers, never an acceptance.
With `at_once` every function is sent home whenever it waits: the least that a pool can need.
"""

from __future__ import annotations

import argparse
import math
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from msgspec import Struct

from engine.runs.limits.standstill import Occupant, Standstill

START_S, REPLAY_S, DEAD_S = 0.005, 0.002, 0.002
"""A call of a function, a recorded step posted again, the 500 of a function that was told."""
ATTEMPT_TIMEOUT_S = 60.0
PLACES = 512
"""Requests in flight at one host that are not waiting."""


class Shape(Struct, frozen=True):
    """What an endpoint does: stages of steps posted together, or nothing but work of `work_s`."""

    host: str
    stages: tuple[tuple[Shape, ...], ...] = ()
    work_s: float = 0.0


class Work(Struct, frozen=True):
    """What is to be done where."""

    shapes: tuple[Shape, ...]
    workers: int
    hosts: tuple[str, ...] = ("a",)
    pods: int = 1
    one_pool: bool = False
    """All names stand for the first host."""
    spread_s: float = 0.0
    home_s: float = DEAD_S
    """A function's way home, when it is told."""
    local_s: float = REPLAY_S
    seed: int = 0
    until_s: float = 5_000.0


class Done(Struct, frozen=True):
    """What came of it."""

    seconds: float | None
    """None: it never ended."""
    calls: int
    sent_home: int
    timed_out: int
    worst: int
    """How often one step was sent home."""


class Step:
    """One step. `try_` is its attempt in flight."""

    def __init__(self, shape: Shape, parent: Step | None) -> None:
        self.shape, self.parent = shape, parent
        self.children: dict[tuple[int, int], Step] = {}
        self.state = "pending"
        self.try_: Try | None = None
        self.tries = self.told = 0


class Try(Occupant):
    """One attempt, and how far its function is."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step
        self.waits_for: set[tuple[int, int]] = set()
        self.stage = self.pod = 0
        self.posted = self.told = self.child_ended = self.over = False


class Host:
    """Workers and the queues before them."""

    def __init__(self, workers: int, pods: int) -> None:
        self.free = [workers] * pods
        self.queues: list[deque[Try]] = [deque() for _ in range(pods)]
        self.busy = 0
        self.waiting: deque[Step] = deque()
        """Steps without a place in the engine."""


class Pools:
    """One world."""

    def __init__(self, work: Work, *, at_once: bool) -> None:
        self.work, self.at_once = work, at_once
        self.rule = Standstill(2.0)
        self.now = 0.0
        self.calls = self.sent_home = self.timed_out = 0
        self._order, self._random = count(), Random(work.seed)
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        first = Host(work.workers, work.pods)
        self.hosts = {
            name: first if work.one_pool or not number else Host(work.workers, work.pods)
            for number, name in enumerate(work.hosts)
        }
        self.places = dict.fromkeys(work.hosts, 0)
        self.roots = [Step(shape, None) for shape in work.shapes]
        for root in self.roots:
            self.at(self._random.uniform(0, work.spread_s), self.want, root)

    def at(self, when: float, what: Callable[..., None], *arguments: Any) -> None:
        """Something happens then."""
        heappush(self._events, (when, next(self._order), what, arguments))

    def run(self) -> Done:
        """Until all have ended."""
        while any(root.state != "done" for root in self.roots):
            at = min(self.rule.look_at, self._events[0][0] if self._events else math.inf)
            if at > self.work.until_s:
                break
            self.now = at
            if self._events and self._events[0][0] <= at:
                _, _, what, arguments = heappop(self._events)
                what(*arguments)
            else:
                for attempt, _ in self.rule.who_goes_home(at):
                    assert isinstance(attempt, Try)
                    self.tell(attempt)
        ended = all(root.state == "done" for root in self.roots)
        worst = max(root.told for root in self.roots)
        seconds = self.now if ended else None
        return Done(seconds, self.calls, self.sent_home, self.timed_out, worst)

    # -- the application -----------------------------------------------------------------------

    def arrive(self, attempt: Try) -> None:
        """The request lies in a listen queue."""
        host = self.hosts[attempt.step.shape.host]
        attempt.pod = self._random.randrange(len(host.free)) if len(host.free) > 1 else 0
        host.queues[attempt.pod].append(attempt)
        self.serve(host, attempt.pod)

    def serve(self, host: Host, pod: int) -> None:
        """Free workers take what lies there longest."""
        while host.free[pod] and host.queues[pod]:
            host.free[pod] -= 1
            attempt = host.queues[pod].popleft()
            shape = attempt.step.shape
            if shape.stages:
                self.at(self.now + START_S, self.go_on, attempt)
            else:
                self.at(self.now + shape.work_s, self.answer, attempt, True)

    def go_on(self, attempt: Try) -> None:
        """The function posts the steps of its next stage, or is done."""
        if attempt.told:
            return
        step = attempt.step
        if attempt.over or attempt.stage >= len(step.shape.stages):
            self.answer(attempt, True)  # an execution that is over is refused what it posts
            return
        stage, new = step.shape.stages[attempt.stage], []
        for number, shape in enumerate(stage):
            key = (attempt.stage, number)
            child = step.children.get(key)
            if child is None:
                child = step.children[key] = Step(shape, step)
                new.append(child)
            if child.state != "done":
                attempt.waits_for.add(key)
        if new or not attempt.posted:
            if not attempt.posted:
                self.give_place(step.shape.host)
            attempt.posted = True
            self.rule.attempt_showed(attempt, self.now)
        attempt.posted_at = self.now
        for key in sorted(attempt.waits_for):
            self.rule.wait_begins(attempt, step.children[key].shape.host, self.now)
        for child in new:
            self.want(child)
        if not attempt.waits_for:
            attempt.stage += 1
            self.at(self.now + self.work.local_s, self.go_on, attempt)
        elif self.at_once:
            self.tell(attempt)

    def answer(self, attempt: Try, ok: bool) -> None:
        """A worker is free again."""
        host = self.hosts[attempt.step.shape.host]
        host.free[attempt.pod] += 1
        if not attempt.over:
            self.ended(attempt, ok)
        self.serve(host, attempt.pod)

    # -- the engine ----------------------------------------------------------------------------

    def want(self, step: Step) -> None:
        """The step may start, when there is a place."""
        name = step.shape.host
        if self.places[name] >= PLACES:
            self.hosts[name].waiting.append(step)
            return
        self.places[name] += 1
        step.state = "running"
        self.calls += 1
        attempt = step.try_ = Try(step)
        self.rule.attempt_opened(attempt, name, self.now)
        self.at(self.now + ATTEMPT_TIMEOUT_S, self.time_out, attempt)
        self.at(self.now + 0.0005, self.arrive, attempt)

    def give_place(self, name: str) -> None:
        """A place is free, and offered."""
        self.places[name] -= 1
        waiting = self.hosts[name].waiting
        if waiting:
            self.want(waiting.popleft())

    def time_out(self, attempt: Try) -> None:
        """No whole answer within the attempt's time: its functions do little but wait."""
        if attempt.over or attempt.posted:
            return
        attempt.over = True
        self.timed_out += 1
        step = attempt.step
        self.rule.attempt_ended(attempt, self.now, answered=False)
        self.give_place(step.shape.host)
        step.tries += 1
        step.state = "backing-off"
        above = step.parent
        while above is not None:
            if above.try_ is not None and not above.try_.over:
                self.tell(above.try_)
            above = above.parent
        self.at(self.now + min(60, 2 ** (step.tries - 1)), self.want, step)

    def ended(self, attempt: Try, ok: bool) -> None:
        """An answer came."""
        step = attempt.step
        attempt.over = True
        self.rule.attempt_ended(attempt, self.now, answered=True)
        if not attempt.posted:
            self.give_place(step.shape.host)
        if attempt.told:
            if attempt.child_ended or all(c.state == "done" for c in step.children.values()):
                self.want(step)
            else:
                step.state = "waiting"
        elif ok:
            step.state = "done"
            self.child_ended(step)
        else:
            self.want(step)

    def child_ended(self, child: Step) -> None:
        """Its parent goes on, or is called again."""
        step = child.parent
        if step is None:
            return
        if step.state == "waiting":
            step.state = "pending"
            self.want(step)
            return
        attempt = step.try_
        if attempt is None or attempt.over:
            return
        if attempt.told:
            attempt.child_ended = True
            return
        ended = [key for key in attempt.waits_for if step.children[key].state == "done"]
        attempt.posted_at = self.now
        for key in ended:
            attempt.waits_for.remove(key)
            self.rule.wait_ends(attempt, step.children[key].shape.host, self.now)
        if ended and not attempt.waits_for:
            attempt.stage += 1
            self.at(self.now + self.work.local_s, self.go_on, attempt)

    def tell(self, attempt: Try) -> None:
        """504 to all of its posts that wait."""
        if attempt.told or attempt.over or not attempt.waits_for:
            return
        attempt.told, attempt.child_ended = True, False
        attempt.waits_for.clear()
        self.rule.let_go(attempt, self.now)
        self.sent_home += 1
        attempt.step.told += 1
        self.at(self.now + self.work.home_s, self.answer, attempt, False)


def invoice(work_s: float = 0.2, steps: int = 3, host: str = "a", at: str = "a") -> Shape:
    """A workflow of steps one after the other."""
    return Shape(host, ((Shape(at, work_s=work_s),),) * steps)


def drawn(rnd: Random, hosts: tuple[str, ...], depth: int = 0) -> Shape:
    """A random function: 1-4 stages of 1-4 steps, nested at most three deep."""

    def one() -> Shape:
        if depth < 3 and rnd.random() < 0.25:
            return drawn(rnd, hosts, depth + 1)
        return Shape(rnd.choice(hosts), work_s=rnd.choice((0.01, 0.05, 0.2, 0.5, 1.0)))

    stages = []
    for _ in range(rnd.randint(1, 4)):
        width = rnd.randint(1, 4) if rnd.random() < 0.4 else 1
        stages.append(tuple(one() for _ in range(width)))
    return Shape(rnd.choice(hosts), tuple(stages))


def drawn_work(seed: int) -> Work:
    """Random work: 1-30 workflows, 1-8 workers, one or two hosts, one pool or three queues."""
    rnd = Random(seed)
    hosts = ("a",) if rnd.random() < 0.6 else ("a", "b")
    return Work(
        workers=rnd.choice((1, 1, 2, 4, 8)),
        pods=rnd.choice((1, 1, 1, 3)) if len(hosts) == 1 else 1,
        shapes=tuple(drawn(rnd, hosts) for _ in range(rnd.choice((1, 4, 10, 30)))),
        hosts=hosts,
        seed=seed,
        spread_s=rnd.choice((0, 0, 3)),
        one_pool=len(hosts) == 2 and rnd.random() < 0.5,
        home_s=rnd.choice((DEAD_S, DEAD_S, 2.0)),
        local_s=rnd.choice((REPLAY_S, REPLAY_S, 0.3)),
    )


def main() -> None:
    """Search seeds of random work for one that never ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.runs.pools", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    ratios, never = [], []
    for seed in range(asked.first, asked.first + asked.seeds):
        work = drawn_work(seed)
        least = Pools(work, at_once=True).run()
        done = Pools(work, at_once=False).run()
        if done.seconds is None or least.seconds is None:
            never.append(seed)
        else:
            ratios.append(done.seconds / max(least.seconds, 0.1))
    ratios.sort()
    print(f"{len(never)} of {asked.seeds} never end{': ' if never else ''}{never or ''}")
    print(f"time of suspending at once: median {ratios[len(ratios) // 2]:.2f},"
          f" p90 {ratios[int(len(ratios) * 0.9)]:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
