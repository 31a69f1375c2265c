"""An open request to an endpoint: its clock, its places, and the posts of its function that wait.

How it is made and ended is `runs/attempt.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from engine.core.model import Run
from engine.ports.receipt import Receipt
from engine.process.deadlines import Deadlines, Timer
from engine.runs.limits.concurrency import ClientCalls, Places
from engine.runs.limits.standstill import Occupant
from engine.runs.open.callers import Slot
from engine.runs.open.flow import AttemptFlow

HANG_UP_GRACE_S = 0.1
"""A function that fails because its own post was cut closes that post's connection and answers at
the same moment; so long the engine waits to see the first before it judges the second."""


class RunUnderWay(Protocol):
    """The run of a request, and what of it is under way."""

    run: Run
    requests: dict[str, Request]
    slots: dict[str, Slot]
    queued: dict[str, Places]
    receipt: Receipt | None


class Request(Occupant):
    """One open request to an endpoint."""

    __slots__ = (
        "_deadlines", "_left_s", "_none_waits", "_stops", "_timeout_s", "_waiting", "began_at",
        "calls", "closed", "drained", "flow", "has_hung", "host", "is_beyond", "is_hanging",
        "is_on_ramp", "left", "live", "look_at", "number", "posts", "refused_unread", "scope",
        "sent_home", "step_id", "timer", "workflow_host",
    )  # fmt: skip

    def __init__(self, number: int, deadlines: Deadlines, live: RunUnderWay, step_id: str) -> None:
        super().__init__()
        self.number = number
        self.host: str | None = None
        self.calls: ClientCalls | None = None
        self.is_hanging = self.is_beyond = self.has_hung = False
        self.is_on_ramp = False
        self.workflow_host: str | None = None
        self.flow: AttemptFlow | None = None
        self.live = live
        self.step_id = step_id
        self.scope = trio.CancelScope()
        self.timer = Timer(self.scope.cancel)
        self.drained = False
        self.closed = False
        """Others needed its place, when its step had long been cancelled (`late.py`)."""
        self.sent_home = False
        self.refused_unread = 0
        """How many posts had been refused unread (`Shared.refused_unread`) when it left."""
        self.began_at = 0.0
        """When it left."""
        self.left = False
        """It is under way: what was posted before is not its function's."""
        self.posts: dict[trio.Event, str] = {}
        """Posts of the attempt that wait, and the steps that they wait for."""
        self.look_at = math.inf
        """When it is looked at whether it can only wait for what cannot move soon."""
        self._deadlines = deadlines
        self._waiting = 0
        self._stops = 0
        self._left_s = self._timeout_s = 0.0
        self._none_waits: trio.Event | None = None
        """Set when no post waits any more; None: nobody waits for that."""

    @property
    def dialling_since(self) -> float | None:
        """When its connection began to be made; None: there is one, or none is needed yet."""
        return None if self.flow is None else self.flow.dialling_since

    def start_clock(self, timeout_ms: int) -> None:
        """`attemptTimeout` begins to run, or will when the posts that wait already are answered.

        A post can come before the request has left: from outside, or from a function of an
        earlier attempt that is still alive.
        """
        self.left = True
        self.began_at = self._deadlines.now()
        self._timeout_s = timeout_ms / 1000
        if self._stops:
            self._left_s = self._timeout_s
        else:
            self._deadlines.move(self.timer, self.began_at + self._timeout_s)

    @property
    def took_ms(self) -> float:
        """Since it left."""
        return (self._deadlines.now() - self.began_at) * 1000

    @property
    def spent_s(self) -> float:
        """What counts against `attemptTimeout` so far: not the time in which posts of its function
        hung."""
        left_s = self._left_s if self._stops else self.timer.deadline - self._deadlines.now()
        return self._timeout_s - left_s

    def stop_clock(self) -> None:
        """The request has ended."""
        self._deadlines.stop(self.timer)

    def post_begins(self) -> None:
        """A post for a child waits for its answer: the attempt's clock stands still."""
        self._waiting += 1
        self._stand_still()

    def post_ends(self) -> None:
        """The post was answered, or cut."""
        self._waiting -= 1
        if not self._waiting and self._none_waits is not None:
            self._none_waits.set()
        self._go_on()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Around what the endpoint cannot help: the attempt's clock stands still."""
        self._stand_still()
        try:
            yield
        finally:
            self._go_on()

    def _stand_still(self) -> None:
        self._stops += 1
        if self._stops == 1:
            self._left_s = self.timer.deadline - self._deadlines.now()
            self._deadlines.move(self.timer, math.inf)

    def _go_on(self) -> None:
        self._stops -= 1
        if not self._stops:
            self._deadlines.move(self.timer, self._deadlines.now() + self._left_s)

    async def wait_for_posts(self) -> None:
        """Wait a moment for posts that are being hung up."""
        if self._waiting:
            self._none_waits = trio.Event()
            with trio.move_on_after(HANG_UP_GRACE_S):
                await self._none_waits.wait()
