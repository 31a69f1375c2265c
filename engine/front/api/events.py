"""`GET /api/v1/events`: everything that happens, in commit order, as Server-Sent Events.

What is sent has been committed; the wake-up is a hint, the table is the truth. Ids are opaque: the
file's own name and the sequence number. A reader that comes back with `Last-Event-ID` goes on just
behind it; one whose id this file does not have (or no longer has) gets `reset`, and starts anew
from a snapshot. So does one that is so slow that the journal was cut before it, and one that asks
for a time of which events may have gone.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from itertools import islice
from typing import NamedTuple

import msgspec
import trio

from engine.core.model import StepState
from engine.core.text.times import rfc3339
from engine.front.api.context import Front
from engine.front.show.digests import Digests
from engine.ports.views import EventRecord, Signal, Views
from engine.wire.events import AttemptEnded, Counts, Heartbeat, LateEnd, Reset, RunMoved, Started

PAGE = 500
TAIL_EVENTS_MAX = 1_000
"""Two pages: who is further behind reads for itself."""
PASSED_OVER_REST_S = 0.005
"""After a page of which one client's reader is told nothing: no reader holds this one back, who may
ask for months of others' events."""
OWNERS_KEPT_MAX = 10_000
"""Runs of which a reader's stream knows whose they are."""
UNKNOWN = "unknown id"
GONE = "events of that time may have been removed"
CUT = "events that were not read yet have been removed"
"""Why a reader starts anew: it came with an id, or a time; or it was too slow."""
COUNTS_EVERY_MS = 500
COUNTS_FOLLOW_MS = 2_000
"""What is counted of one client may follow its events by so much."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_STREAMS = {
    **dict.fromkeys(
        (kind.__struct_config__.tag for kind in (Started, AttemptEnded, LateEnd)), "attempt"
    ),
    RunMoved.__struct_config__.tag: "run",
}
"""Which event a fact is, by its kind; the others are a `step`."""


def frame(event: str, data: bytes, event_id: str | None = None) -> bytes:
    """One event as the HTML standard's event stream has it (§9.2.6)."""
    head = f"event: {event}\n" + (f"id: {event_id}\n" if event_id is not None else "")
    return head.encode() + b"data: " + data + b"\n\n"


def event_frame(file_id: str, record: EventRecord, digests: Digests) -> bytes:
    """A stored event, for those who see them all."""
    event_id, prev = f"{file_id}-{record.seq}", f"{file_id}-{record.seq - 1}"
    return _event_frame(record, event_id, prev, digests)


def _event_frame(record: EventRecord, event_id: str, prev: str, digests: Digests) -> bytes:
    """A stored event: the core's own words, with where it stands and what it led to."""
    data = _decode(record.data)
    digests.put_in(data, record.run_id)
    data.update(
        prev=prev,
        runId=record.run_id,
        stepId=record.step_id,
        at=rfc3339(record.at),
        status=record.state,
        rev=record.rev,
    )
    for name in ("dueAt", "since"):
        if data.get(name) is not None:
            data[name] = rfc3339(data[name])
    return frame(_STREAMS.get(data["kind"], "step"), _encode(data), event_id)


def is_cut(told: Sequence[Told], at: int) -> bool:
    """Whether events that followed this number have gone meanwhile."""
    return bool(told) and told[0].record.seq != at + 1


class Told:
    """An event, and its frame for those who see them all, made once, when one of them comes by."""

    __slots__ = ("_frame", "_make", "record")

    def __init__(self, record: EventRecord, make: Callable[[EventRecord], bytes]) -> None:
        self.record = record
        self._make, self._frame = make, b""

    @property
    def frame(self) -> bytes:
        """As it is sent."""
        if not self._frame:
            self._frame = self._make(self.record)
        return self._frame


class EventTail:
    """The latest events: read, and made frames of, once for all readers that keep up."""

    def __init__(self, views: Views, file_id: str, digests: Digests) -> None:
        self._views, self._file_id, self._digests = views, file_id, digests
        self._told: deque[Told] = deque(maxlen=TAIL_EVENTS_MAX)
        self._last = -1
        """Sequence number of the last of them."""
        self._reading = trio.Lock()

    async def after(self, at: int) -> tuple[list[Told], int]:
        """Up to PAGE events behind a sequence number, and the number of the last one."""
        if at >= self._last:
            async with self._reading:
                if at >= self._last:  # else another reader has just brought it
                    await self._read_on(at)
        first = self._last - len(self._told) + 1
        if at + 1 < first:
            records = await self._views.events(at, PAGE)
            return self._framed(records), records[-1].seq if records else at
        told = list(islice(self._told, at + 1 - first, at + 1 - first + PAGE))
        return told, at + len(told)

    async def _read_on(self, at: int) -> None:
        records = await self._views.events(at, PAGE)
        if not records:
            return
        if records[0].seq != self._last + 1:
            self._told.clear()
        self._told += self._framed(records)
        self._last = records[-1].seq

    def _framed(self, records: Iterable[EventRecord]) -> list[Told]:
        return [Told(it, self._frame) for it in records]

    def _frame(self, record: EventRecord) -> bytes:
        return event_frame(self._file_id, record, self._digests)


def position(front: Front, last_event_id: str, first: int, last: int) -> int | None:
    """The sequence number behind which to go on; None: this file does not know the id."""
    file_id, _, number = last_event_id.rpartition("-")
    if file_id != front.file_id or not number.isascii() or not number.isdigit():
        return None
    seq = int(number[:18])
    if str(seq) != number:  # ids are opaque: another spelling of one is none
        return None
    return seq if max(0, first - 1) <= seq <= last else None


class Start(NamedTuple):
    """Where a reader wants to begin; else now."""

    behind: str | None = None
    """The id of an event. It goes before a time: a browser's EventSource comes back with both."""
    since: int | None = None
    """Milliseconds since the epoch, UTC."""


MayRead = Callable[[], bool]
"""Whether the reader still may: its token may be taken away, or run out."""


async def stream(
    front: Front, tail: EventTail, start: Start, may_read: MayRead
) -> AsyncIterator[bytes]:
    """The stream, until the reader leaves or may not read on, or the engine stops.

    Raises Refused, before anything is sent, where its beginning cannot be read.
    """
    summary = await front.views.summary(front.clock.steady_ms())
    at, begin = summary.last_seq, b""
    found: int | None = at
    if start.behind:
        found = position(front, start.behind, summary.first_seq, summary.last_seq)
    elif start.since is not None:
        found = await front.views.events_from(start.since)
    if found is None:
        begin = _reset(front, f"{front.file_id}-{at}", UNKNOWN if start.behind else GONE)
    else:
        at = found
    begin += heartbeat(front, at, with_id=True)
    told, last = await _at_once(tail, at)
    return _while(may_read, _stream(front, tail, begin + _frames(told), last))


async def _at_once(tail: EventTail, at: int) -> tuple[list[Told], int]:
    """What there is after `at`, and up to where. Of what was cut meanwhile nothing: it is told so
    when it reads on."""
    told, last = await tail.after(at)
    return ([], at) if is_cut(told, at) else (told, last)


async def _read_on(front: Front, tail: EventTail, at: int) -> tuple[list[Told], int, bool]:
    """What came after `at`, up to where, and whether some of it was cut before it was read: then
    nothing, and where the stream begins again."""
    told, last = await tail.after(at)
    if is_cut(told, at):
        return [], await _last_seq(front), True
    return told, last, False


async def _while(may_read: MayRead, parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """What is said while the reader may read it. Each part is asked for when it is made: what was
    being read when the token was taken away is not said."""
    async with aclosing(parts):
        async for part in parts:
            if not may_read():
                return
            if part:
                yield part


async def _wait(front: Front, moved: Signal, until_ms: int) -> bytes:
    """Wait for a commit, a change of clients or tokens, or a time; nothing to say, for `_while`."""
    with trio.move_on_after(max(0.0, (until_ms - front.clock.steady_ms()) / 1000)) as scope:
        with front.registry.cancelling(scope):
            await moved.wait()
    return b""


def _frames(told: Iterable[Told]) -> bytes:
    return b"".join([each.frame for each in told])


async def _stream(
    front: Front, tail: EventTail, begin: bytes, at: int
) -> AsyncGenerator[bytes, None]:
    yield begin
    counts_due = heartbeat_due = 0
    counts: dict[str, int] | None = None
    while not front.engine.draining:
        moved = front.views.moved
        told, at, was_cut = await _read_on(front, tail, at)
        if was_cut:
            yield _reset(front, f"{front.file_id}-{at}", CUT)
            continue
        if told:
            yield _frames(told)
        now = front.clock.steady_ms()
        if now >= counts_due:
            counts_due = now + COUNTS_EVERY_MS
            fresh = _all(front.views.counts)
            if fresh != counts:
                counts = fresh
                yield frame("counts", _encode(Counts(counts, _now(front))))
        if now >= heartbeat_due:
            if heartbeat_due:
                yield heartbeat(front, at)
            heartbeat_due = now + front.config.heartbeat_ms
        if len(told) < PAGE:
            until = heartbeat_due if not told else min(heartbeat_due, counts_due)
            yield await _wait(front, moved, until)


class OwnEvents:
    """One client's events, for one reader: with ids of their own (`Places`), of which each event
    says the one before it. Whose an event is, is looked up once for each run."""

    def __init__(self, front: Front, client: str) -> None:
        self._front, self._client = front, client
        self._last_id = ""
        """Of what the reader was told last."""
        self._owners: OrderedDict[str, str] = OrderedDict()

    async def frames(self, told: Iterable[Told]) -> bytes:
        """Those of these events that are the client's."""
        told = list(told)
        owners = await self._owners_of({each.record.run_id for each in told})
        return b"".join(
            [self._frame(it.record) for it in told if owners.get(it.record.run_id) == self._client]
        )

    def heartbeat(self, at: int) -> bytes:
        """As others have it; a reader that comes back goes on here."""
        self._last_id = self._front.places.hidden(self._client, at)
        return _heartbeat(self._front, self._last_id, self._last_id)

    def reset(self, at: int, reason: str) -> bytes:
        """The reader starts anew here."""
        self._last_id = self._front.places.hidden(self._client, at)
        return _reset(self._front, self._last_id, reason)

    def _frame(self, record: EventRecord) -> bytes:
        prev, self._last_id = self._last_id, self._front.places.hidden(self._client, record.seq)
        return _event_frame(record, self._last_id, prev, self._front.digests)

    async def _owners_of(self, run_ids: set[str]) -> dict[str, str]:
        at_hand = self._front.engine.memory.client_of
        owners = {it: self._owners.get(it) or at_hand(it) for it in run_ids}
        if unknown := {run_id for run_id, owner in owners.items() if owner is None}:
            owners |= await self._front.views.clients_of(unknown)
        for run_id in [run_id for run_id, owner in owners.items() if owner is None]:
            owners[run_id] = await self._front.views.client_of(run_id)  # its row is on its way
        found = {run_id: owner for run_id, owner in owners.items() if owner is not None}
        self._owners |= found
        while len(self._owners) > OWNERS_KEPT_MAX:
            self._owners.popitem(last=False)
        return found


async def own_stream(
    front: Front, tail: EventTail, start: Start, may_read: MayRead, client: str
) -> AsyncIterator[bytes]:
    """The stream for who sees one client alone: its events and counts. Raises Refused likewise."""
    summary = await front.views.summary(front.clock.steady_ms())
    at, begin = summary.last_seq, b""
    own = OwnEvents(front, client)
    found: int | None = at
    if start.behind:
        found = front.places.found(client, start.behind)
        if found is not None and not max(0, summary.first_seq - 1) <= found <= summary.last_seq:
            found = None
    elif start.since is not None:
        found = await front.views.events_from(start.since)
    if found is None:
        begin = own.reset(at, UNKNOWN if start.behind else GONE)
    else:
        at = found
    begin += own.heartbeat(at)
    told, last = await _at_once(tail, at)
    begin += await own.frames(told)
    return _while(may_read, _own_stream(front, tail, begin, last, own, client))


async def _own_stream(
    front: Front, tail: EventTail, begin: bytes, at: int, own: OwnEvents, client: str
) -> AsyncGenerator[bytes, None]:
    yield begin
    counts_due = heartbeat_due = 0
    count_until = 0
    counts: dict[str, int] | None = None
    while not front.engine.draining:
        moved = front.views.moved
        told, at, was_cut = await _read_on(front, tail, at)
        if was_cut:
            yield own.reset(at, CUT)
            continue
        now = front.clock.steady_ms()
        if frames := await own.frames(told):
            yield frames
            count_until = now + COUNTS_FOLLOW_MS
        elif len(told) == PAGE:
            await trio.sleep(PASSED_OVER_REST_S)
            yield b""  # perhaps its reader may read no more
        if now >= counts_due:
            counts_due = now + COUNTS_EVERY_MS
            fresh = _all(await front.views.client_counts(client))
            if fresh != counts:
                counts = fresh
                yield frame("counts", _encode(Counts(counts, _now(front))))
        if now >= heartbeat_due:
            if heartbeat_due:
                yield own.heartbeat(at)
            heartbeat_due = now + front.config.heartbeat_ms
        if len(told) < PAGE:
            until = min(heartbeat_due, counts_due) if now < count_until else heartbeat_due
            yield await _wait(front, moved, until)


async def _last_seq(front: Front) -> int:
    return (await front.views.summary(front.clock.steady_ms())).last_seq


def _reset(front: Front, event_id: str, reason: str) -> bytes:
    return frame("reset", _encode(Reset(reason, _now(front))), event_id)


def heartbeat(front: Front, at: int, *, with_id: bool = False) -> bytes:
    """A sign of life with the server's time and the place in the sequence."""
    place = f"{front.file_id}-{at}"
    return _heartbeat(front, place, place if with_id else None)


def _heartbeat(front: Front, place: str, event_id: str | None) -> bytes:
    beat = Heartbeat(_now(front), place, front.instance)
    return frame("heartbeat", _encode(beat), event_id)


def _now(front: Front) -> str:
    return rfc3339(front.clock.steady_ms())


def _all(counts: Mapping[str, int]) -> dict[str, int]:
    return {state: counts.get(state, 0) for state in StepState}
