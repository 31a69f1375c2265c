"""`GET /api/v1/events`: everything that happens, in commit order, as Server-Sent Events.

What is sent has been committed; the wake-up is a hint, the table is the truth. Ids are opaque: the
file's own name and the sequence number. A reader that comes back with `Last-Event-ID` goes on just
behind it; one whose id this file does not have (or no longer has) gets `reset`, and starts anew
from a snapshot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import islice

import msgspec
import trio

from engine.core.model import StepState
from engine.front.api.context import Front
from engine.front.show.times import rfc3339
from engine.ports.views import EventRecord, Views
from engine.wire.events import AttemptEnded, Counts, Heartbeat, LateEnd, Reset, RunMoved, Started

PAGE = 500
TAIL_EVENTS_MAX = 1_000
"""Two pages: who is further behind reads for itself."""
COUNTS_EVERY_MS = 500
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


def event_frame(file_id: str, record: EventRecord) -> bytes:
    """A stored event: the core's own words, with where it stands and what it led to."""
    data = _decode(record.data)
    data.update(
        prev=f"{file_id}-{record.seq - 1}",
        runId=record.run_id,
        stepId=record.step_id,
        at=rfc3339(record.at),
        status=record.state,
        rev=record.rev,
    )
    for name in ("dueAt", "since"):
        if data.get(name) is not None:
            data[name] = rfc3339(data[name])
    return frame(_STREAMS.get(data["kind"], "step"), _encode(data), f"{file_id}-{record.seq}")


class EventTail:
    """The latest events as frames: read and made once for all readers that keep up."""

    def __init__(self, views: Views, file_id: str) -> None:
        self._views, self._file_id = views, file_id
        self._frames: deque[bytes] = deque(maxlen=TAIL_EVENTS_MAX)
        self._last = -1
        """Sequence number of the last frame."""
        self._reading = trio.Lock()

    async def after(self, at: int) -> tuple[list[bytes], int]:
        """Up to PAGE frames behind a sequence number, and the number of the last one."""
        if at >= self._last:
            async with self._reading:
                if at >= self._last:  # else another reader has just brought it
                    await self._read_on(at)
        first = self._last - len(self._frames) + 1
        if at + 1 < first:
            records = await self._views.events(at, PAGE)
            return self._framed(records), records[-1].seq if records else at
        frames = list(islice(self._frames, at + 1 - first, at + 1 - first + PAGE))
        return frames, at + len(frames)

    async def _read_on(self, at: int) -> None:
        records = await self._views.events(at, PAGE)
        if not records:
            return
        if records[0].seq != self._last + 1:
            self._frames.clear()
        self._frames += self._framed(records)
        self._last = records[-1].seq

    def _framed(self, records: Iterable[EventRecord]) -> list[bytes]:
        return [event_frame(self._file_id, record) for record in records]


def position(front: Front, last_event_id: str, first: int, last: int) -> int | None:
    """The sequence number behind which to go on; None: this file does not know the id."""
    file_id, _, number = last_event_id.rpartition("-")
    if file_id != front.file_id or not number.isascii() or not number.isdigit():
        return None
    seq = int(number[:18])
    if str(seq) != number:  # ids are opaque: another spelling of one is none
        return None
    return seq if max(0, first - 1) <= seq <= last else None


async def stream(front: Front, tail: EventTail, last_event_id: str | None) -> AsyncIterator[bytes]:
    """The stream, until the reader leaves or the engine stops.

    Raises Refused, before anything is sent, where its beginning cannot be read.
    """
    summary = await front.views.summary(front.clock.steady_ms())
    at, begin = summary.last_seq, b""
    if last_event_id:
        found = position(front, last_event_id, summary.first_seq, summary.last_seq)
        if found is None:
            reset = Reset("unknown id", _now(front))
            begin = frame("reset", _encode(reset), f"{front.file_id}-{at}")
        else:
            at = found
    begin += heartbeat(front, at, with_id=True)
    frames, at = await tail.after(at)
    return _stream(front, tail, begin + b"".join(frames), at)


async def _stream(front: Front, tail: EventTail, begin: bytes, at: int) -> AsyncIterator[bytes]:
    yield begin
    counts_due = heartbeat_due = 0
    counts: dict[str, int] | None = None
    while not front.engine.draining:
        moved = front.views.moved
        frames, at = await tail.after(at)
        if frames:
            yield b"".join(frames)
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
        if len(frames) < PAGE:
            until = heartbeat_due if not frames else min(heartbeat_due, counts_due)
            with trio.move_on_after(max(0.0, (until - front.clock.steady_ms()) / 1000)):
                await moved.wait()


def heartbeat(front: Front, at: int, *, with_id: bool = False) -> bytes:
    """A sign of life with the server's time and the place in the sequence."""
    place = f"{front.file_id}-{at}"
    beat = Heartbeat(_now(front), place, front.instance)
    return frame("heartbeat", _encode(beat), place if with_id else None)


def _now(front: Front) -> str:
    return rfc3339(front.clock.steady_ms())


def _all(counts: Mapping[str, int]) -> dict[str, int]:
    return {state: counts.get(state, 0) for state in StepState}
