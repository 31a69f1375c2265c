"""Whether the workers of a host all wait for each other, and who is then sent home.

Pure: events in, with the time in seconds; asked when `look_at` has come. `protocol.md` §4.

A function keeps a worker of its host while it waits for a step, and the step needs a worker too.
The engine sees requests opened, posts and answers, never whether a worker took a request. So:

- A *sign* of a host: an attempt there is answered, makes its first post, or records a new step.
- A host *stands still* when for L it gave no sign, attempts there only wait, and a request without
  a sign is open there; or, if none is, at the hosts that they wait for, as silent (one pool under
  two names). Then all who wait there go, and the host is *narrow* for a pause.
- At a narrow host who only waits goes as soon as no post of it has come for GRACE_S. At the end of
  the pause those who wait are looked at again.
- L is twice the longest silence of the host while something was open there and nobody waited at it
  or for it, since it last stood still: slow steps teach patience. The pause is 5 L, doubled when
  the host stands still again within a pause of its end.

Why all ends: workers that all wait give no sign, and each further call of a function needs the end
of a step. `tests/runs/pools.py` has the model that the rule was found with.
"""

from __future__ import annotations

import math
from collections import deque
from heapq import heappop, heappush
from itertools import count

GRACE_S = 0.02
"""Posts that come together are all taken before who makes them is sent home."""
L_MAX_S = 45.0
PAUSE_L = 5
"""The first pause, in units of L."""
PAUSE_MAX_S = 600.0
HOSTS_KEPT_MAX = 1_000
"""With nothing open; what was learned of others is forgotten, those longest idle first."""


class HostPool:
    """What is known of one host."""

    __slots__ = (
        "awaited", "gap", "look_at", "name", "narrow_until", "nobody_from", "open", "pause",
        "sign_at", "stands", "still_from", "unaccepted", "unshown", "waited", "waiting",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.open = 0
        """Attempts in flight there."""
        self.unshown = 0
        """Of these, without a sign: perhaps no worker has them."""
        self.waiting: dict[Occupant, None] = {}
        """Of these, those that only wait (an ordered set)."""
        self.awaited = 0
        """How many wait there, and posts that hang for steps there."""
        self.nobody_from = 0.0
        """Since when that is nought."""
        self.sign_at = 0.0
        self.gap = 0.0
        """The longest silence while nobody waited, since it last stood still."""
        self.narrow_until = -math.inf
        self.pause = 0.0
        self.look_at = math.inf
        self.stands = 0
        """How often it stood still."""
        self.still_from: float | None = None
        """Since when it stands still, or is narrow for it. None: it does neither."""
        self.waited = 0
        """How many waited there when it last stood still,"""
        self.unaccepted = 0
        """and for how many requests without a sign, there or under the pool's other names."""


class Occupant:
    """What is known of one attempt, which may have a worker of its host. A `Request` is one."""

    __slots__ = ("pool", "posted_at", "shown", "waits")

    def __init__(self) -> None:
        self.pool: HostPool | None = None
        """Where it is in flight; None: nowhere."""
        self.shown = False
        self.waits: dict[HostPool, int] = {}
        """How many of its posts hang for steps at which host."""
        self.posted_at = 0.0
        """When a post of it last came, was answered or was cut."""


class Standstill:
    """The rule over all hosts."""

    def __init__(self, standstill_s: float = 2.0) -> None:
        self.standstill_s = standstill_s
        self.pools: dict[str, HostPool] = {}
        self.look_at = math.inf
        """When to ask `who_goes_home`."""
        self._looks: list[tuple[float, int, HostPool]] = []
        self._fresh: deque[tuple[float, Occupant]] = deque()
        """Who waits at a narrow host, and when GRACE_S have passed since."""
        self._order = count()  # pools themselves cannot be compared
        self.news: list[tuple[HostPool, bool]] = []
        """Hosts that came to stand still (True), or move again, since somebody took this list."""

    def _new_pool(self, name: str, now: float) -> HostPool:
        if len(self.pools) >= HOSTS_KEPT_MAX:
            self._forget_idle()
        pool = self.pools[name] = HostPool(name)
        pool.nobody_from = now
        return pool

    def _forget_idle(self) -> None:
        idle = [pool for pool in self.pools.values() if not (pool.open or pool.awaited)]
        for pool in sorted(idle, key=lambda pool: pool.sign_at)[: HOSTS_KEPT_MAX // 10]:
            del self.pools[pool.name]

    # -- events --------------------------------------------------------------------------------

    def attempt_opened(self, attempt: Occupant, host: str, now: float) -> None:
        """The attempt's request leaves."""
        pool = attempt.pool = self.pools.get(host) or self._new_pool(host, now)
        if not pool.open:
            pool.sign_at = now  # an idle host is not silent
        pool.open += 1
        pool.unshown += 1

    def attempt_showed(self, attempt: Occupant, now: float) -> None:
        """It made its first post, or recorded a new step."""
        pool = attempt.pool
        if pool is None:
            return
        if not attempt.shown:
            attempt.shown = True
            pool.unshown -= 1
        _note_sign(pool, now)

    def attempt_ended(self, attempt: Occupant, now: float, *, answered: bool) -> None:
        """It is over. Only an answer is a sign: none came from where it was not taken."""
        pool = attempt.pool
        if pool is None:
            return
        if attempt.waits:
            self.let_go(attempt, now)
        if answered:
            _note_sign(pool, now)
        pool.open -= 1
        pool.unshown -= not attempt.shown
        attempt.pool = None

    def wait_begins(self, attempt: Occupant, host: str, now: float) -> None:
        """A post of it hangs, for a step at this host."""
        pool = attempt.pool
        if pool is None:
            return
        if not attempt.waits:
            pool.waiting[attempt] = None
            pool.awaited += 1
            if pool.look_at == math.inf:
                self._look_again(pool, now + self.standstill_s)
        target = self.pools.get(host) or self._new_pool(host, now)
        target.awaited += 1
        attempt.waits[target] = attempt.waits.get(target, 0) + 1
        if now < pool.narrow_until:
            self.post_moved(attempt, now)

    def post_moved(self, attempt: Occupant, now: float) -> None:
        """A post of it has come, was answered or was cut, and `posted_at` says so."""
        pool = attempt.pool
        if pool is not None and now < pool.narrow_until and attempt.waits:
            self._fresh.append((now + GRACE_S, attempt))
            self.look_at = min(self.look_at, now + GRACE_S)

    def wait_ends(self, attempt: Occupant, host: str, now: float) -> None:
        """The post hangs no more."""
        target = self.pools.get(host)
        if target is None or target not in attempt.waits:
            return  # let go before
        left = attempt.waits[target] - 1
        if left:
            attempt.waits[target] = left
        else:
            del attempt.waits[target]
        _await_less(target, 1, now)
        if attempt.waits:
            self.post_moved(attempt, now)
        elif attempt.pool is not None:
            attempt.pool.waiting.pop(attempt, None)
            _await_less(attempt.pool, 1, now)

    def let_go(self, attempt: Occupant, now: float) -> None:
        """It waits for nothing any more: it was sent home, or is over."""
        if not attempt.waits:
            return
        for target, waits in attempt.waits.items():
            _await_less(target, waits, now)
        attempt.waits.clear()
        if attempt.pool is not None:
            attempt.pool.waiting.pop(attempt, None)
            _await_less(attempt.pool, 1, now)

    # -- questions -----------------------------------------------------------------------------

    def who_goes_home(self, now: float) -> list[tuple[Occupant, HostPool]]:
        """Who is to be sent home now, and for which host. `look_at` is when to ask again."""
        going: list[tuple[Occupant, HostPool]] = []
        while self._looks and self._looks[0][0] <= now:
            at, _, pool = heappop(self._looks)
            if at == pool.look_at:
                pool.look_at = math.inf
                self._look(pool, now)
        while self._fresh and self._fresh[0][0] <= now:
            _, attempt = self._fresh.popleft()
            pool_of = attempt.pool
            if pool_of is None or not attempt.waits or now >= pool_of.narrow_until:
                continue
            if attempt.posted_at + GRACE_S <= now:
                going.append((attempt, pool_of))
        self._set_look()
        return going

    def narrow_pools(self, now: float) -> list[HostPool]:
        """Hosts that are narrow: they stood still, and may again."""
        return [pool for pool in self.pools.values() if now < pool.narrow_until]

    @property
    def standing_still(self) -> int:
        """How many these are."""
        return sum(pool.still_from is not None for pool in self.pools.values())

    @property
    def stood_still(self) -> int:
        """How often hosts stood still, all together."""
        return sum(pool.stands for pool in self.pools.values())

    def patience_s(self, pool: HostPool) -> float:
        """L of the host."""
        return min(L_MAX_S, max(self.standstill_s, 2 * pool.gap))

    def _set_look(self) -> None:
        at = self._looks[0][0] if self._looks else math.inf
        self.look_at = min(at, self._fresh[0][0]) if self._fresh else at

    def _look_again(self, pool: HostPool, at: float) -> None:
        pool.look_at = at
        heappush(self._looks, (at, next(self._order), pool))
        self.look_at = min(self.look_at, at)

    def _look(self, pool: HostPool, now: float) -> None:
        """Does it stand still?"""
        if pool.still_from is not None and now >= pool.narrow_until:
            pool.still_from = None
            self.news.append((pool, False))
        if not pool.waiting:
            return  # looked at again when somebody waits
        if now < pool.narrow_until:
            self._look_again(pool, pool.narrow_until)
            return
        pools = [pool]
        if not pool.unshown:  # perhaps the pool has several names
            asked = {target for attempt in pool.waiting for target in attempt.waits}
            pools += [other for other in asked if other is not pool]
        if not any(each.unshown for each in pools):
            self._look_again(pool, now + self.standstill_s)
            return
        patience = max(map(self.patience_s, pools))
        due = max(*(each.sign_at for each in pools), pool.narrow_until) + patience
        if now < due:
            self._look_again(pool, due)
        else:
            self._stands_still(pool, pools, patience, now)

    def _stands_still(
        self, pool: HostPool, pools: list[HostPool], patience: float, now: float
    ) -> None:
        soon = now - pool.narrow_until < max(pool.pause, 2 * patience)
        pause = PAUSE_L * patience
        pool.pause = min(PAUSE_MAX_S, max(2 * pool.pause, pause) if pool.pause and soon else pause)
        pool.narrow_until = now + pool.pause
        pool.stands += 1
        pool.still_from = now
        pool.waited, pool.unaccepted = len(pool.waiting), sum(each.unshown for each in pools)
        self.news.append((pool, True))
        for each in pools:
            each.gap = 0.0
        self._look_again(pool, pool.narrow_until)
        for attempt in pool.waiting:
            self._fresh.append((max(now, attempt.posted_at + GRACE_S), attempt))


def standstill_text(host: str, waiting: int, unaccepted: int) -> str:
    """Why a host stands still, for people."""
    attempts = f"1 attempt at {host} waits"
    if waiting != 1:
        attempts = f"{waiting:,} attempts at {host} wait"
    steps = "1 step" if unaccepted == 1 else f"{unaccepted:,} steps"
    return f"{attempts} for {steps} that it has not accepted"


def _note_sign(pool: HostPool, now: float) -> None:
    if not pool.awaited:
        pool.gap = max(pool.gap, now - max(pool.sign_at, pool.nobody_from))
    pool.sign_at = now


def _await_less(pool: HostPool, fewer: int, now: float) -> None:
    pool.awaited -= fewer
    assert pool.awaited >= 0, pool.name
    if not pool.awaited:
        pool.nobody_from = now
