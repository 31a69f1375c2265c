"""An endpoint that counts its calls, and how long runs take to end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from engine.core.model import StepState
from engine.core.outcome import Outcome
from engine.ports.caller import Invocation
from tests.world import World


class Endpoint:
    """Counts the calls that are open at once; what each does is the test's."""

    def __init__(self, does: Callable[[Invocation], Awaitable[Outcome]]) -> None:
        self._does = does
        self.open = self.most = 0

    async def __call__(self, call: Invocation) -> Outcome:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            return await self._does(call)
        finally:
            self.open -= 1


async def all_completed(it: World, count: int) -> float:
    """How long it took until so many runs had ended well."""
    began = trio.current_time()
    with trio.fail_after(300):
        while it.store.writer.run_counts.get(StepState.COMPLETED, 0) < count:
            await trio.sleep(0.05)
    return trio.current_time() - began
