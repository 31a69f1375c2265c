"""The journal: what happened, in commit order, with the bodies that came with it.

One entry holds the writes of a commit (several entries if they are large), so that a commit costs
one row however much has happened. Entries are only ever appended. Everything else in the file can
be folded from them, and for what the tables have not caught up with yet it is (`replay.py`).

An entry is a row of `journal`: `seq` is the number of its first event, the others follow without a
gap. `packed` is a zlib stream (RFC 1950) of: the length of the head in ASCII digits, a line feed,
the head, and the small bodies one behind the other. The head is JSON:
`[[[run id, state, rev, event], …], [[step id, is answer, number, content type, size, length,
is large, is JSON], …]]`. `large` holds the other bodies, as they came. SQLite's own shell reads the
packed part with `sqlar_uncompress(packed, size)`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from engine.core.events import Event
from engine.ports.store import Body
from engine.ports.views import EventRecord

LARGE_BODY_BYTES_MIN = 2_048
"""Bodies from here on are not compressed, and not read along with the small ones."""
ENTRY_BYTES_MAX = 64 * 1024
"""Bodies of an entry beyond which the next write begins another: who reads one body or event
unpacks its whole entry, and after a crash that is done for every payload."""
ENTRY_EVENTS_MAX = 64
"""The same for events."""
LEVEL = 1
"""The fastest: events of one batch repeat each other, and any level finds that."""
JOURNAL_COLUMNS = ("seq", "events", "at", "size", "packed", "large")


class EventLine(Struct, frozen=True, array_like=True, gc=False):
    """An event, and what its step (its run, for run-moved) was afterwards."""

    run_id: str
    state: str
    rev: int
    event: Event


class BodyLine(Struct, frozen=True, array_like=True, gc=False):
    """Whose body it is; `size` in full, `length` as kept, both in bytes."""

    step_id: str
    answer: bool
    number: int
    content_type: str
    size: int
    length: int
    large: bool
    json: bool = False
    """Not in entries of before it was looked at."""


class _Lines(Struct, array_like=True):
    """What readers of events need: the events stay as they are written."""

    events: list[tuple[str, str, int, Raw]]


class _Head(Struct, array_like=True):
    """What readers of bodies and the replay need."""

    events: list[EventLine]
    bodies: list[BodyLine]


class _BodyHead(Struct, array_like=True):
    events: Raw
    bodies: list[BodyLine]


class _Named(Struct, rename="camel"):
    step_id: str
    at: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Head).decode
_lines = msgspec.json.Decoder(_Lines).decode
_body_head = msgspec.json.Decoder(_BodyHead).decode
_named = msgspec.json.Decoder(_Named).decode


class Entry:
    """An entry that gathers."""

    __slots__ = ("bodies", "bytes", "events", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.events: list[EventLine] = []
        self.bodies: list[Body] = []
        self.bytes = 0
        """Of the bodies."""

    @property
    def is_full(self) -> bool:
        """The next write begins another entry."""
        return self.bytes > ENTRY_BYTES_MAX or len(self.events) >= ENTRY_EVENTS_MAX

    def row(self) -> tuple[int, int, int, int, bytes, bytes | None]:
        """As JOURNAL_COLUMNS. Changes nothing; may be called in another thread."""
        small: list[bytes] = []
        large: list[bytes] = []
        lines: list[BodyLine] = []
        for body in self.bodies:
            length = len(body.data)
            is_large = length >= LARGE_BODY_BYTES_MIN
            (large if is_large else small).append(body.data)
            size = length if body.size < 0 else body.size
            lines.append(
                BodyLine(
                    *(body.step_id, body.answer, body.number, body.content_type),
                    *(size, length, is_large, body.json),
                )
            )
        head = _encode((self.events, lines))
        plain = b"%d\n%b%b" % (len(head), head, b"".join(small))
        at = max(line.event.at for line in self.events)
        return (
            *(self.seq, len(self.events), at, len(plain)),
            *(zlib.compress(plain, LEVEL), b"".join(large) if large else None),
        )


def _split(packed: bytes) -> tuple[bytes, bytes]:
    """The head and the small bodies of an entry."""
    plain = zlib.decompress(packed)
    digits, _, rest = plain.partition(b"\n")
    return rest[: int(digits)], rest[int(digits) :]


def unpack(packed: bytes) -> tuple[list[EventLine], list[BodyLine]]:
    """The events of an entry, and whose bodies it holds: for folding."""
    head = _decode(_split(packed)[0])
    return head.events, head.bodies


class Opened(Struct, frozen=True):
    """An entry, for looking at what its row says of it."""

    events: list[EventLine]
    bodies: list[BodyLine]
    size: int
    """Of all of it, unpacked, in bytes."""
    small: int
    """Of the small bodies that follow its head, in bytes."""


def opened(packed: bytes) -> Opened:
    """An entry with its sizes. Raises what a damaged one raises: zlib.error, ValueError."""
    plain = zlib.decompress(packed)
    digits, _, rest = plain.partition(b"\n")
    length = int(digits)
    head = _decode(rest[:length])
    return Opened(head.events, head.bodies, len(plain), max(0, len(rest) - length))


def event_records(seq: int, packed: bytes) -> Iterator[EventRecord]:
    """The events of the entry `seq`, for reading."""
    for number, (run_id, state, rev, data) in enumerate(_lines(_split(packed)[0]).events, seq):
        event = _named(data)
        text = bytes(data).decode()
        yield EventRecord(number, event.at, run_id, event.step_id, state, rev, text)


class Extent(Struct, frozen=True):
    """Where a body lies: in the small bodies of its entry, or (`large`) in its large ones."""

    line: BodyLine
    offset: int
    data: bytes | None
    """None: it is large, and still to be read."""


class EntryBodies:
    """The bodies of one entry, for reading."""

    def __init__(self, packed: bytes) -> None:
        head, self._small = _split(packed)
        self._lines = _body_head(head).bodies

    def find(self, step_id: str, number: int, *, answer: bool) -> Extent | None:
        """Where a body lies, if it is here."""
        offsets = {False: 0, True: 0}
        for line in self._lines:
            offset = offsets[line.large]
            if (line.step_id, line.answer, line.number) == (step_id, answer, number):
                data = None if line.large else self._small[offset : offset + line.length]
                return Extent(line, offset, data)
            offsets[line.large] += line.length
        return None


def body_of(extent: Extent, data: bytes) -> Body:
    """A body as it was written."""
    line = extent.line
    size = -1 if line.size == line.length else line.size
    return Body(line.step_id, line.number, data, line.content_type, line.answer, size, line.json)
