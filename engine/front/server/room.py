"""Room in memory for bodies of requests (`memory_bytes_max`).

A body is read to `SMALL_BYTES_MAX` without asking. Before more of it is taken up, or given to the
engine, there must be room for all of it; until then the connection is not read, and what the
client sends waits in the kernel. Who waits too long is answered 503.

A client that sends half a body and falls silent would hold its room for `body_timeout_ms`. So while
others wait, bodies that take longer than `SLOW_S` are given up, oldest first: by whole bodies, a
few at a time, the room goes to those who use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import trio

from engine.front.server.strict import BadRequest, RawHeaders, RequestHead, ServerLimits
from engine.ports.caller import SMALL_BYTES_MAX
from engine.process.budget import Budget, Charge, Parcel

WAIT_S_MAX = 5.0
"""How long a body waits for room. Well within `body_timeout_ms` as it is by default."""
SLOW_S = 2.0
"""A MiB at 4 Mbit/s. Whoever is faster is never given up for others."""
LOOK_AGAIN_S = 0.25

GoesFirst = Callable[[RawHeaders, Iterable[bytes]], bool]
"""Whether a request is for work under way, by its header lines and by parts of its body: such have
room that the others do not get."""


def nobody_first(fields: RawHeaders, parts: Iterable[bytes]) -> bool:
    """For who knows no difference."""
    return False


class Rooms:
    """The bodies of a server's connections, and who gives its room up for others."""

    def __init__(self, budget: Budget, limits: ServerLimits, goes_first: GoesFirst) -> None:
        self.limits = limits
        self.goes_first = goes_first
        self._budget = budget
        self._unfinished: dict[BodyRoom, float] = {}
        """Bodies that have room and are not whole, since when, oldest first."""
        self._awaited = trio.Event()

    def body_began(self, room: BodyRoom) -> None:
        """A body has room and is not whole."""
        self._unfinished[room] = trio.current_time()

    def body_ended(self, room: BodyRoom) -> None:
        """It is whole, or given up."""
        self._unfinished.pop(room, None)

    async def wait(self, owner: str, size: int, *, new: bool) -> Charge | None:
        """Room for a body, or None: there was none for `WAIT_S_MAX`."""
        self._awaited.set()
        with trio.move_on_after(WAIT_S_MAX):
            return await self._budget.posts.wait(owner, size, new=new, client=owner)
        self._budget.refused += 1
        return None

    def limit_of(self, owner: str, size: int) -> str:
        """Which limit keeps a body from having room."""
        lacks_share = self._budget.posts.lacks_share(owner, owner, size)
        return "memory_share" if lacks_share else "memory_bytes_max"

    async def run(self) -> None:
        """While somebody waits for room, give up those who are slow; until cancelled."""
        while True:
            await self._awaited.wait()
            self._awaited = trio.Event()
            while self._budget.posts.waiting:
                slow_since = trio.current_time() - SLOW_S
                for room, since in self._in_the_way():
                    if since <= slow_since:
                        self._budget.refused += 1
                        self.body_ended(room)
                        room.given_up()
                await trio.sleep(LOOK_AGAIN_S)

    def _in_the_way(self) -> list[tuple[BodyRoom, float]]:
        """As many bodies as others wait for, since when they have room: the oldest; of those who
        wait for their client's share alone the oldest of that client."""
        posts, unfinished = self._budget.posts, self._unfinished.items()
        for_share = posts.waiting_for_share
        found = list(islice(unfinished, posts.waiting - sum(for_share.values())))
        for client, count in for_share.items():
            found += islice((it for it in unfinished if it[0].client == client), count)
        return list(dict.fromkeys(found))


class BodyRoom:
    """What the bodies of one connection's requests take, one after the other."""

    __slots__ = (
        "_charge",
        "_data",
        "_give_up",
        "_head",
        "_rooms",
        "is_given_up",
        "is_waiting",
        "size",
    )

    def __init__(self, rooms: Rooms, give_up: Callable[[], None]) -> None:
        """`give_up` is called when the request is to be refused; `is_given_up` says so then."""
        self._rooms = rooms
        self._give_up = give_up
        self._head: RequestHead | None = None
        self._charge: Charge | None = None
        self._data: bytes | bytearray = b""
        self.size = 0
        """Of the current body, so far."""
        self.is_waiting = False
        self.is_given_up = False

    @property
    def fields(self) -> RawHeaders:
        """The header lines of the current request."""
        return () if self._head is None else self._head.fields

    @property
    def client(self) -> str:
        """Who is named by the current request's path, if it is a post."""
        target = b"" if self._head is None else self._head.target
        return target[1:65].partition(b"/")[0].decode("latin1")

    @property
    def current(self) -> RequestHead | None:
        """The current request's head, as far as it is known."""
        return self._head

    def bytes_came(self, head: RequestHead | None, size: int) -> bool:
        """So many bytes of the body came (with its head, or behind it); whether there must be room
        before they are taken up."""
        if head is not None:
            self._head, self.size = head, 0
        self.size += size
        return self.size > SMALL_BYTES_MAX and self._charge is None

    async def wait_for_room(self, came: bytes) -> None:
        """Return when there is room for the whole body, of which this is what came last. Raises
        BadRequest (503)."""
        assert self._head is not None
        self.is_waiting = True
        try:
            # Of a chunked body only the limit is known.
            size = self._head.body_bytes or self._rooms.limits.body_bytes_max
            parts = (bytes(part[:SMALL_BYTES_MAX]) for part in (self._data, came))
            new = not self._rooms.goes_first(self._head.fields, parts)
            self._charge = await self._rooms.wait(self.client, size, new=new)
        finally:
            self.is_waiting = False
        if self._charge is None:
            raise no_room(self._rooms.limit_of(self.client, size))
        self._rooms.body_began(self)

    def body_whole(self) -> None:
        """The body has come: it is not given up for others any more."""
        if self._charge is not None:
            self._rooms.body_ended(self)

    def keep(self, data: bytes) -> None:
        """Keep more of the body until it is handed over."""
        if not self._data:
            self._data = data
            return
        if isinstance(self._data, bytes):
            # Grown in one block, which goes back to the system whole: pieces would leave holes.
            self._data = bytearray(self._data)
        self._data += data

    def hand_over(self) -> Parcel:
        """The body is somebody else's now, and so is its room."""
        parcel = Parcel(bytes(self._data), self._charge)
        self._data, self._charge = b"", None
        return parcel

    def given_up(self) -> None:
        """Others need the room."""
        self.is_given_up = True
        self._give_up()

    def give_back(self) -> None:
        """The body is not in memory any more."""
        self._data = b""
        if (charge := self._charge) is not None:
            self._charge = None
            self._rooms.body_ended(self)
            charge.give_back()

    def closed(self) -> None:
        """The connection is over. It is not kept from here: a circle would wait for the collector,
        with all that it holds."""
        self.give_back()
        self._give_up = _nobody


def _nobody() -> None: ...


def no_room(limit: str = "memory_bytes_max") -> BadRequest:
    """The refusal of a body for which there is no room; nothing was recorded."""
    whose = "in memory" if limit == "memory_bytes_max" else "in the client's share of memory"
    detail = f"There is no room {whose} for the body now; post again with the same key."
    return BadRequest(503, detail, "overloaded", limit)
