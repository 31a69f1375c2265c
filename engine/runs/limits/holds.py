"""The holds in force, and those that were released and let go what waited under them.

Who is asked: an attempt that would start, and whoever lets go what waits (`engine/runs/held.py`).
A step that waits is found in the store, whatever holds it and however many do: nothing is kept here
for each of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import msgspec
import trio
from msgspec.structs import replace

from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.rules.hold import EVERYTHING, Hold, HoldKind, covers, names_of_host, read_name
from engine.ports.receipt import Receipt
from engine.ports.registry import KIND_HOLD, Registered, RegistryStore
from engine.ports.store import HeldCount

HOLDS_MAX = 1_000
"""Each start of an attempt looks for its own in three tables; but people read the list."""

HoldKey = tuple[HoldKind, str]
_DECODE = msgspec.json.Decoder(Hold).decode
_ENCODE = msgspec.json.Encoder().encode


class Holds:
    """Those of one engine. All calls are synchronous; what they register is durable with the
    receipt."""

    def __init__(self, store: RegistryStore, log: Callable[..., None]) -> None:
        self._store, self._log = store, log
        self._holds: dict[HoldKey, Hold] = {}
        self._in_force: dict[HoldKey, Hold] = {}
        self._released: list[Hold] = []
        """The slowest first: a step under several waits for that one."""
        self.waiting: dict[HoldKey, int] = {}
        """Steps that wait under each, as last counted; one under two counts under both."""
        self.waiting_in_all = 0
        self._waiting_of: dict[str, dict[HoldKey, int]] = {}
        """The same of each client that has any."""
        self.waiting_in_all_of: dict[str, int] = {}
        self.offered: deque[Callable[[], None]] = deque()
        """What is still to be done of steps to which a place was offered while they were held."""
        self.stirred = trio.Event()
        """Set, and replaced, when a hold comes, is released or goes, or something is offered."""
        for entry in store.registered:
            if entry.kind == KIND_HOLD and entry.value is not None:
                hold = _DECODE(entry.value)
                self._holds[hold.key] = hold
        self._changed()

    @property
    def any_in_force(self) -> bool:
        """Whether anything is held."""
        return bool(self._in_force)

    @property
    def is_everything_held(self) -> bool:
        """Whether nothing at all may start."""
        return (HoldKind.ALL, EVERYTHING) in self._in_force

    @property
    def all(self) -> list[Hold]:
        """All of them, by kind and name; released ones until what waited has started."""
        return [self._holds[key] for key in sorted(self._holds)]

    @property
    def released(self) -> tuple[Hold, ...]:
        """Those under which something may still wait for its turn."""
        return tuple(self._released)

    def waiting_of(self, client: str) -> dict[HoldKey, int]:
        """Steps of one client's runs that wait under each hold: under those it is waiting for, and
        under one on the client itself or on everything."""
        found = dict(self._waiting_of.get(client, {}))
        for own in ((HoldKind.CLIENT, client), (HoldKind.ALL, EVERYTHING)):
            found.setdefault(own, 0)
        return {key: count for key, count in found.items() if key in self._holds}

    def get(self, key: HoldKey) -> Hold | None:
        """The hold of this kind and name, if there is one."""
        return self._holds.get(key)

    def over(self, client: str, workflow: str, url: str) -> Hold | None:
        """What keeps a step from starting: of a run of this client and workflow, to this URL."""
        found = self._in_force
        if not found:
            return None
        host, bare = names_of_host(url)
        return (
            found.get((HoldKind.ALL, EVERYTHING))
            or found.get((HoldKind.CLIENT, client))
            or found.get((HoldKind.WORKFLOW, workflow))
            or found.get((HoldKind.HOST, host))
            or found.get((HoldKind.HOST, bare))
        )

    def all_over(self, client: str, workflow: str, url: str) -> list[Hold]:
        """All that keep such a step from starting: each of them has to be released."""
        return [it for it in self._in_force.values() if covers(it, client, workflow, url)]

    def pacing(self, client: str, workflow: str, url: str) -> Hold | None:
        """The hold that lets go of such a step, if it waited: of several the slowest."""
        for hold in self._released:
            if covers(hold, client, workflow, url):
                return hold
        return None

    # -- what people do ------------------------------------------------------------------------

    def hold(
        self, kind: HoldKind, name: str, reason: str | None, actor: Actor, now: int
    ) -> tuple[Hold, Receipt]:
        """Hold it from now on; one that is held keeps its beginning, and takes the reason.

        Raises Refused for a name that cannot be, or one hold too many.
        """
        name = read_name(kind, name)
        known = self._holds.get((kind, name))
        if known is None and len(self._holds) >= HOLDS_MAX:
            detail = f"There are {HOLDS_MAX:,} holds: release some first."
            raise Refused(Problem.NOT_POSSIBLE, detail, limit="holds")
        if known is not None and known.released_at is None:
            hold = replace(
                known, reason=reason or known.reason, actor=actor.name, address=actor.address
            )
        else:
            hold = Hold(kind, name, now, actor.name, actor.address, reason)
        self._log("hold", **_told(hold, actor), reason=hold.reason)
        return hold, self._set(hold, actor.name, now)

    def release(
        self, kind: HoldKind, name: str, rate_per_s: int | None, actor: Actor, now: int
    ) -> tuple[Hold, Receipt]:
        """New attempts start at once, and what has waited is let go: so many each second.

        Raises Refused (`not-found`) for what is not held.
        """
        name = read_name(kind, name)
        known = self._holds.get((kind, name))
        if known is None:
            what = "everything" if kind is HoldKind.ALL else f"{kind} {name}"
            raise Refused(
                Problem.NOT_FOUND, f"There is no hold on {what}; `atomic holds` lists them."
            )
        hold = replace(
            known,
            released_at=known.released_at if known.released_at is not None else now,
            rate_per_s=rate_per_s,
        )
        self._log("release", **_told(hold, actor), rate_per_s=rate_per_s)
        return hold, self._set(hold, actor.name, now)

    def drained(self, hold: Hold, now: int) -> None:
        """Nothing waits any more under one that was released: it is over."""
        if self._holds.get(hold.key) != hold:
            return
        del self._holds[hold.key]
        self._register(hold, None, hold.actor, now)
        self._log("hold-over", hold=hold.kind, name=hold.name)
        self._changed()

    def count(self, found: Iterable[HeldCount]) -> None:
        """How many wait, as the store has counted them."""
        self.waiting, self.waiting_in_all = dict.fromkeys(self._holds, 0), 0
        self._waiting_of, self.waiting_in_all_of = {}, {}
        for each in found:
            self.waiting_in_all += each.steps
            in_all = self.waiting_in_all_of.get(each.client, 0)
            self.waiting_in_all_of[each.client] = in_all + each.steps
            of_client = self._waiting_of.setdefault(each.client, {})
            for key, hold in self._holds.items():
                if covers(hold, each.client, each.workflow, each.url):
                    self.waiting[key] += each.steps
                    of_client[key] = of_client.get(key, 0) + each.steps

    def offer_held(self, record: Callable[[], None]) -> None:
        """A place was offered to a step that queued for one, and is held: `record` that, soon."""
        self.offered.append(record)
        if len(self.offered) == 1:
            self.stir()

    def stir(self) -> None:
        """Wake whoever waits for `stirred`."""
        stirred, self.stirred = self.stirred, trio.Event()
        stirred.set()

    def _set(self, hold: Hold, actor: str, now: int) -> Receipt:
        self._holds[hold.key] = hold
        self._changed()
        return self._register(hold, _ENCODE(hold), actor, now)

    def _register(self, hold: Hold, value: bytes | None, actor: str, now: int) -> Receipt:
        name = f"{hold.kind}/{hold.name}"
        return self._store.register(Registered(KIND_HOLD, name, value, now, actor))

    def _changed(self) -> None:
        self._in_force = {k: it for k, it in self._holds.items() if it.released_at is None}
        self._released = sorted(
            (it for it in self._holds.values() if it.released_at is not None),
            key=lambda it: (it.rate_per_s is None, it.rate_per_s, it.key),
        )
        if not self._holds:
            self.waiting_in_all = 0
        self.waiting = {key: self.waiting.get(key, 0) for key in self._holds}
        self.stir()


def _told(hold: Hold, actor: Actor) -> dict[str, str | None]:
    return {"hold": hold.kind, "name": hold.name, "actor": actor.name, "address": actor.address}
