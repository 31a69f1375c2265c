"""What people do, and the tokens that are refused: kept before the act, completed by its answer.

An entry is given to the store before what it tells of, which is therefore never durable without
it. If the engine ends in between, the entry says that the answer is not known.

Whoever guesses tokens must not fill the disk, nor whoever asks again and again for what is refused:
of the same refusals the first is kept at once, and then one entry a minute with their count; and of
all that is refused to one token in a minute only some are told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import trio
from msgspec import Struct
from msgspec.structs import asdict, replace

from engine.core.events import Actor
from engine.core.rules.retention import ahead_ms
from engine.ports.audit import AuditEntry, AuditQuery, Names
from engine.ports.receipt import Receipt
from engine.ports.store import Store
from engine.process.clock import Clock, Ids
from engine.wire.access import TOKEN_REFUSED

REFUSALS_EVERY_S = 60.0
REFUSALS_MAX = 100
"""So many kinds of refusals are told apart within that time; the others are counted together."""
REFUSALS_EACH_MAX = 20
"""Of those so many of one token, and so many of its refused acts; the others are counted."""
FORGET_EVERY_S = 3_600.0
DAY_MS = 86_400_000
KEPT_DAYS = 365


class Refusal(Struct, frozen=True):
    """Of a token: what two have in common that are counted together."""

    who: str
    """The token's name, or what tells one that is unknown from another."""
    address: str | None
    what: str
    """What was asked for: method and path."""
    status: int
    why: str
    is_known: bool = True
    """It is one of ours, which strangers have not: it is told apart from theirs, however many."""
    act: str = TOKEN_REFUSED


OTHERS = Refusal(
    "others", None, "", 0, "More kinds of refusals than are told apart in a minute.", False
)
MORE = "More was refused to it than is told apart in a minute."
NO_TOKEN = "without a token"
"""Who acts on an engine that asks for none: what they claim to be called tells nobody apart."""
OTHERS_KNOWN = replace(OTHERS, who="other tokens", is_known=True)


def _nobody(event: str, **values: object) -> None:
    """What is done in a file is told on the terminal."""


class Audit:
    """Made once, by the composition root."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        kept_days: int = KEPT_DAYS,
        inform: Callable[..., Any] = _nobody,
        warn: Callable[..., Any] = _nobody,
    ) -> None:
        """`inform` and `warn`: the log, with an event and its values."""
        self._store, self._clock = store, clock
        self._inform, self._warn = inform, warn
        self._kept_days = kept_days
        self._ids = Ids(clock)
        self._last: Receipt | None = None
        self._refused: dict[Refusal, int] = {}
        """Those that were kept within the last minute, and how many came since."""
        self._each: Counter[str] = Counter()
        """How many were told apart in this minute, of whom."""

    def begin(
        self, act: str, what: str, detail: str, actor: Actor, names: Names | None = None
    ) -> AuditEntry:
        """Somebody asks for this, and may. `names`: of what it is about."""
        entry = self._entry(act, what, detail, actor)
        if names is not None:
            entry = replace(entry, **asdict(names))
        self._keep(entry)
        return entry

    def _entry(self, act: str, what: str, detail: str, actor: Actor) -> AuditEntry:
        id, now = self._ids.run_id(), self._clock.utc_ms()
        return AuditEntry(id, now, actor.name, actor.address, act, what, detail)

    def end(
        self, entry: AuditEntry, status: int, problem: str | None = None, token: str = ""
    ) -> None:
        """It was answered. `token`: with which it was asked for; empty: none."""
        if 400 <= status < 500 and self._is_beyond(f"acts of {token}"):
            self._last = self._store.unaudit(entry.id)  # nothing was done
            self._count(Refusal(token or NO_TOKEN, None, "", status, MORE, act=entry.act))
            return
        self._keep(replace(entry, status=status, problem=problem))

    def came_of(self, act: str, what: str, detail: str, actor: Actor, status: int) -> None:
        """What came of an act that was answered before it was done."""
        self._keep(replace(self._entry(act, what, detail, actor), status=status))

    def refused(self, refusal: Refusal) -> None:
        """A token was refused."""
        is_new = refusal not in self._refused and not self._is_crowded(refusal.is_known)
        if is_new and self._is_beyond(refusal.who):
            refusal = replace(refusal, address=None, what="", why=MORE)
        self._count(refusal)

    def _is_beyond(self, who: str) -> bool:
        """Whether so much was refused within the minute that one more is only counted."""
        if self._each[who] >= REFUSALS_EACH_MAX:
            return True
        self._each[who] += 1
        return False

    def _count(self, refusal: Refusal) -> None:
        if refusal not in self._refused and self._is_crowded(refusal.is_known):
            refusal = OTHERS_KNOWN if refusal.is_known else OTHERS
        if refusal in self._refused:
            self._refused[refusal] += 1
            return
        self._refused[refusal] = 0
        self._keep_refusal(refusal, 1)

    def _is_crowded(self, is_known: bool) -> bool:
        """So many kinds are told apart already."""
        return sum(it.is_known == is_known for it in self._refused) >= REFUSALS_MAX

    def _keep_refusal(self, refusal: Refusal, count: int) -> None:
        self._keep(
            AuditEntry(
                self._ids.run_id(),
                self._clock.utc_ms(),
                refusal.who,
                refusal.address,
                refusal.act,
                refusal.what,
                refusal.why,
                refusal.status or None,
                count=count,
            )
        )

    def _keep(self, entry: AuditEntry) -> None:
        self._last = self._store.audit(entry)

    async def page(self, query: AuditQuery) -> list[AuditEntry]:
        """Entries, the newest first: all that happened before, unless the store is away."""
        if self._last is not None:
            await self._last.wait_unless_away()
        return await self._store.audited(query)

    async def run(self) -> None:
        """Keep counts of refusals, and forget what is too old, until cancelled."""
        try:
            await self._say_what_will_go()
            while True:
                with trio.move_on_after(FORGET_EVERY_S):
                    while True:
                        await trio.sleep(REFUSALS_EVERY_S)
                        self.keep_counts()
                await self._forget()
        finally:
            self.keep_counts()

    def keep_counts(self) -> None:
        """Keep how many refusals came beside those that were kept at once."""
        counted, self._refused = self._refused, {}
        self._each.clear()
        for refusal, more in counted.items():
            if more:
                self._refused[refusal] = 0
                self._keep_refusal(refusal, more)

    def _too_old(self) -> int:
        """Before when an entry was made that is to go. By the earlier of two clocks: the engine's
        own stays as wrong as the machine's was at its start, and that one may be set wrong since.
        """
        now = min(self._clock.utc_ms(), self._clock.steady_ms())
        return now - self._kept_days * DAY_MS

    async def _say_what_will_go(self) -> None:
        """A clock that is far ahead makes everything old: there is an hour to set it right, as
        retention has (`core/rules/retention.py`)."""
        newest = await self._store.audited(AuditQuery(limit=1))
        latest = max([self._store.last_at, *(entry.at for entry in newest)])
        ahead = ahead_ms(self._clock.steady_ms(), latest)
        if ahead and (old := await self._store.audited_before(self._too_old())):
            self._warn(
                "audit-waits",
                entries_that_go=old,
                audit_kept_days=self._kept_days,
                ahead_s=ahead // 1000,
                acts_in_s=round(FORGET_EVERY_S),
            )

    async def _forget(self) -> None:
        """Never first of all after a start."""
        before = self._too_old()
        went = old = await self._store.audited_before(before)
        while old:
            await self._store.forget_audit(before).wait()
            old = await self._store.audited_before(before)
        if went:
            self._inform("audit-expired", entries=went)
