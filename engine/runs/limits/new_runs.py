"""Which posts may open a run, as far as the limits of their client say."""

from __future__ import annotations

from collections.abc import Callable

from engine.ports.registry import Clients
from engine.runs.limits.rates import Rates
from engine.runs.limits.refusals import rate_limited


class NewRuns:
    """Made once, for an engine. A client without limits costs a look into a table."""

    def __init__(self, registry: Clients, now: Callable[[], int]) -> None:
        """`now`: milliseconds on a clock that never goes back."""
        self._registry, self._now = registry, now
        self._rates = Rates()
        self.refused: dict[str, int] = {}
        """By client, how many posts were refused."""

    def may_open(self, client: str) -> bool:
        """Whether a post of this client may open a run now."""
        return not self._rate_wait_s(client)

    def check(self, client: str) -> None:
        """Raises Refused for a post of this client that would open a run."""
        if (wait_s := self._rate_wait_s(client)) > 0:
            self.refused[client] = self.refused.get(client, 0) + 1
            raise rate_limited(client, self._registry.clients[client].limits, wait_s)

    def opened(self, client: str) -> None:
        """It has opened one."""
        its = self._registry.clients.get(client)
        if its is not None and its.limits.new_runs_per_s is not None:
            self._rates.take(client, its.limits.new_runs_per_s, self._now() / 1000)

    def _rate_wait_s(self, client: str) -> float:
        its = self._registry.clients.get(client)
        if its is None or its.limits.new_runs_per_s is None:
            return 0.0
        return self._rates.wait_s(client, its.limits.new_runs_per_s, self._now() / 1000)
