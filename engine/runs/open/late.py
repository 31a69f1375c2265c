"""Calls of steps that were cancelled meanwhile: late ones.

Each is let answer, as long as its `attemptTimeout` allows: what it answers is kept as a late
response. It counts as any other, also while a post of it hangs: nobody needs what its function
waits for. GRACE_S after the cancel its connection is closed, if somebody waits for its place.
"""

from __future__ import annotations

import math

from engine.process.deadlines import Deadlines, Timer
from engine.runs.limits.places import AttemptPlaces
from engine.runs.open.request import Request

GRACE_S = 10.0
"""What a function may take that is told by nobody that its step was cancelled."""
EVERY_S = 1.0
"""How often it is looked whether somebody waits, while there are late calls."""
CLOSED = "closed by the engine: the step had been cancelled, and others waited for its place"


class LateCalls:
    """All of them."""

    def __init__(self, deadlines: Deadlines, places: AttemptPlaces) -> None:
        self.closed = 0
        """How many were closed so far."""
        self._deadlines, self._places = deadlines, places
        self._since: dict[Request, float] = {}
        """When each came to be one, in their order."""
        self._timer = Timer(self._look)

    def add(self, request: Request) -> None:
        """The request's step was cancelled."""
        self._places.no_post_hangs(request)
        now = self._deadlines.now()
        self._since[request] = now
        if self._timer.deadline == math.inf:
            self._deadlines.move(self._timer, now + GRACE_S)

    def _look(self) -> None:
        now, wanted = self._deadlines.now(), self._places.queued
        for request, since in list(self._since.items()):
            if request.live.requests.get(request.step_id) is not request:
                del self._since[request]  # it is over
            elif wanted and since + GRACE_S <= now and self._places.is_waited_for(request):
                del self._since[request]
                self.closed += 1
                wanted -= 1
                request.closed = True
                request.scope.cancel()
        self._deadlines.move(self._timer, now + EVERY_S if self._since else math.inf)
