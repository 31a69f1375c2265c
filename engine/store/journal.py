"""The journal: what happened, in commit order, with the bodies that came with it.

One entry holds the writes of a commit (several entries if they are large), so that a commit costs
one row however much has happened. Entries are only ever appended, and go from the beginning alone,
when retention asks for that: what they have of runs that are kept is carried on before (`parts`).
Everything else in the file can be folded from them, and for what the tables have not caught up with
yet it is (`replay.py`).

An entry is a row of `journal`: `seq` is the number of its first event, the others follow without a
gap. `packed` is a zlib stream (RFC 1950) of: the length of the head in ASCII digits, a line feed,
the head, and the small bodies one behind the other. The head is JSON:
`[[[run id, state, rev, event], …], [[step id, is answer, number, content type, size, length,
is large, is JSON], …]]`. `large` holds the other bodies, as they came. SQLite's own shell reads the
packed part with `sqlar_uncompress(packed, size)`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterator

import msgspec
from msgspec import Raw, Struct

from engine.core.events import Event
from engine.core.model import run_of
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
JournalRow = tuple[int, int, int, int, bytes, bytes | None]
"""As JOURNAL_COLUMNS."""


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


class _RawHead(Struct, array_like=True):
    """What carrying on needs: the events stay as they are written."""

    events: list[tuple[str, str, int, Raw]]
    bodies: list[BodyLine]


class _PartHead(Struct, array_like=True):
    events: list[EventLine]
    bodies: list[BodyLine]
    places: list[int]


class _Named(Struct, rename="camel"):
    step_id: str
    at: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Head).decode
_lines = msgspec.json.Decoder(_Lines).decode
_body_head = msgspec.json.Decoder(_BodyHead).decode
_raw_head = msgspec.json.Decoder(_RawHead).decode
_part_head = msgspec.json.Decoder(_PartHead).decode
UNREADABLE = (zlib.error, msgspec.MsgspecError, ValueError, TypeError, RecursionError)
"""What an entry that was written over raises."""
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

    def row(self) -> JournalRow:
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
        at = max(line.event.at for line in self.events)
        size, packed = pack(_encode((self.events, lines)), small)
        return (self.seq, len(self.events), at, size, packed, b"".join(large) if large else None)


def pack(head: bytes, small: list[bytes]) -> tuple[int, bytes]:
    """An entry of this head and these small bodies: its size in bytes, and it compressed."""
    plain = b"%d\n%b%b" % (len(head), head, b"".join(small))
    return len(plain), zlib.compress(plain, LEVEL)


def split(packed: bytes) -> tuple[bytes, bytes]:
    """The head and the small bodies of an entry."""
    plain = zlib.decompress(packed)
    digits, _, rest = plain.partition(b"\n")
    return rest[: int(digits)], rest[int(digits) :]


def unpack(packed: bytes) -> tuple[list[EventLine], list[BodyLine]]:
    """The events of an entry, and whose bodies it holds: for folding."""
    head = _decode(split(packed)[0])
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
    for number, (run_id, state, rev, data) in enumerate(_lines(split(packed)[0]).events, seq):
        event = _named(data)
        text = bytes(data).decode()
        yield EventRecord(number, event.at, run_id, event.step_id, state, rev, text)


def named_runs(packed: bytes) -> set[str]:
    """Of which runs an entry has anything. Raises UNREADABLE."""
    head = _raw_head(split(packed)[0])
    named = {run_id for run_id, *_ in head.events}
    return named | {run_of(body.step_id) for body in head.bodies}


class Part(Struct, frozen=True):
    """What an entry has of one run, for when the entry goes. `packed` is as an entry's, but that
    its head has a third member: the places of the events in the entry, from 0."""

    run_id: str
    entry: int
    """The number of its first event, of whichever run that is."""
    size: int
    packed: bytes
    large: bytes | None


class _Gathered:
    """A part that gathers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, int, Raw]] = []
        self.bodies: list[BodyLine] = []
        self.places: list[int] = []
        self.data: dict[bool, list[bytes]] = {False: [], True: []}
        """Bodies, the large ones by themselves."""

    def part(self, run_id: str, entry: int) -> Part:
        size, packed = pack(_encode((self.events, self.bodies, self.places)), self.data[False])
        large = b"".join(self.data[True]) if self.data[True] else None
        return Part(run_id, entry, size, packed, large)


def parts(
    entry: int, packed: bytes, of: Collection[str], large: Callable[[int, int], bytes]
) -> list[Part]:
    """What an entry has of these runs, each by itself. `large` reads from its large bodies: so many
    bytes from an offset on."""
    head, small = split(packed)
    found, gathered = _raw_head(head), dict[str, _Gathered]()
    for place, event in enumerate(found.events):
        if event[0] in of:
            its = gathered.setdefault(event[0], _Gathered())
            its.events.append(event)
            its.places.append(place)
    offsets = {False: 0, True: 0}
    for body in found.bodies:
        offset = offsets[body.large]
        offsets[body.large] += body.length
        run_id = run_of(body.step_id)
        if run_id in of:
            its = gathered.setdefault(run_id, _Gathered())
            its.bodies.append(body)
            data = (
                large(offset, body.length) if body.large else small[offset : offset + body.length]
            )
            its.data[body.large].append(data)
    return [its.part(run_id, entry) for run_id, its in gathered.items()]


class OpenedPart(Struct, frozen=True):
    """A part, for folding, and for looking at what its row says of it."""

    events: list[tuple[int, EventLine]]
    """Each with its number."""
    bodies: list[BodyLine]
    size: int
    """Of all of it, unpacked, in bytes."""
    small: int
    """Of the small bodies that follow its head, in bytes."""


def opened_part(entry: int, packed: bytes) -> OpenedPart:
    """The events and bodies of a part. Raises UNREADABLE."""
    head, small = split(packed)
    found = _part_head(head)
    events = [(entry + at, line) for at, line in zip(found.places, found.events, strict=True)]
    size = len(b"%d\n" % len(head)) + len(head) + len(small)
    return OpenedPart(events, found.bodies, size, len(small))


class Extent(Struct, frozen=True):
    """Where a body lies: in the small bodies of its entry, or (`large`) in its large ones."""

    line: BodyLine
    offset: int
    data: bytes | None
    """None: it is large, and still to be read."""


class EntryBodies:
    """The bodies of one entry, or of a part of one, for reading."""

    def __init__(self, packed: bytes) -> None:
        head, self._small = split(packed)
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
