"""Few workers at a host, a queue before them, and functions that will not go home.

A function holds its worker while it waits for the steps that it posted. What is told to go home
fails, as it should, or answers 200 all the same, or posts something else first.
"""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from urllib.parse import urlsplit

import msgspec
import trio

from engine.core.outcome import Answered
from engine.ports.caller import Invocation
from tests.simulation.history import History
from tests.simulation.net import Net, Submission

SILENT_MAX_S = 30.0
"""How long a host may stand still once nothing goes wrong any more: some times what the slowest of
its answers takes."""
EVIL = "evil"
"""What is done by whoever goes on after it was sent home."""


class Workers:
    """The workers of one host."""

    def __init__(self, name: str, count: int | None) -> None:
        self.name = name
        self.limiter = trio.CapacityLimiter(math.inf if count is None else count)
        self.waiting: Counter[int] = Counter()
        """Posts that are waited for, by the execution that waits."""
        self.moved_at = 0.0
        """When a worker last took a request, gave an answer or got one."""

    def moved(self) -> None:
        """Something has gone on here."""
        self.moved_at = trio.current_time()

    @property
    def stands_still(self) -> bool:
        """Every worker waits for a step, while requests wait for a worker."""
        borrowed = self.limiter.borrowed_tokens
        waiting = sum(count > 0 for count in self.waiting.values())
        full = borrowed == self.limiter.total_tokens == waiting
        return full and self.limiter.statistics().tasks_waiting > 0


async def watch(history: History, workers: dict[str, Workers]) -> None:
    """POOL: while nothing goes wrong, no host stands still for long."""
    told: set[str] = set()
    while True:
        await trio.sleep(1)
        for name, each in workers.items():
            silent = trio.current_time() - each.moved_at
            if each.stands_still and silent > SILENT_MAX_S and name not in told:
                told.add(name)
                history.fail("POOL", f"all workers of {name} have waited for {silent:.0f} s")


async def sent_home(net: Net, call: Invocation, posted: Submission, rng: Random) -> Answered | int:
    """What a function does that was told to go home: mostly it fails, as every program should."""
    draw = rng.random()
    if draw < 0.5 or (posted.parent_token is None and call.step_id != call.run_id):
        return rng.choice((500, 503, 504))  # without a parent token it may be another that was told
    if draw < 0.75 and posted.parent_token is not None:
        await _go_on(net, posted)
    net.history.note("situation:sent home and swallowed it")
    return rng.choice((Answered(200, b'{"v":-1}', "application/json"), Answered(424)))


async def _go_on(net: Net, posted: Submission) -> None:
    """R18: nothing that it posts is recorded."""
    parts = urlsplit(posted.url)
    url = f"{parts.scheme}://{parts.netloc}/do/{EVIL}"
    payload = msgspec.json.encode({"effect": EVIL, "value": 0, "client": posted.client})
    evil = msgspec.structs.replace(posted, url=url, step_key=None, payload=payload, prefer=None)
    post = await net.post(evil, 5.0)
    if post.acknowledged:
        net.history.fail("R18", f"recorded for who was sent home: {post.body!r}")
