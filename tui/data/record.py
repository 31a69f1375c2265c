"""A session of the dashboard as a file: what came in and when, to be shown again.

Newline-delimited JSON, one input of the store a line, behind a head that names the format. It is a
bug report, a demonstration and a fixture of the tests at once. Only what the store takes in is in
it: neither tokens nor bodies, as those never come by here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.wire.events import Event, read_event
from tui.data.inputs import Answer, Input, StatusRead

FORMAT = "atomic-recording-1"
LINE_BYTES_MAX = 32 * 1024 * 1024


class RecordingError(Exception):
    """The file is no recording; the message says where and why."""


class RecordingHead(Struct, frozen=True):
    """The first line."""

    format: str
    began_ms: int
    """On the engine's clock, as far as it was known."""


class RecordedEvent(Struct, frozen=True, tag="event"):
    """An event as it came."""

    id: str
    kind: str
    members: dict[str, Any]


class RecordedInput(Struct, frozen=True):
    """An input, `at_s` seconds after the beginning."""

    at_s: float
    input: Answer | RecordedEvent


class Recorder:
    """Writes inputs as they come. The file is the operator's alone (0600)."""

    def __init__(self, file: IO[bytes], began_s: float, began_ms: int) -> None:
        self._file, self._began_s = file, began_s
        self._encode = msgspec.json.Encoder().encode
        self._write(RecordingHead(FORMAT, began_ms))

    def _write(self, value: object) -> None:
        self._file.write(self._encode(value) + b"\n")

    def record(self, taken: Input, now_s: float) -> None:
        """Keep an input that came at `now_s` (monotonic)."""
        recorded = _recorded(taken, self._began_s)
        self._write(RecordedInput(round(now_s - self._began_s, 4), recorded))


def played(line: RecordedInput, began_s: float) -> Input:
    """The input of a line, when the recording is shown from `began_s` on (monotonic)."""
    match line.input:
        case RecordedEvent(id=id, kind=kind, members=members):
            return read_event(id, kind, msgspec.json.encode(members))
        case answer:
            return moved(answer, began_s)


def _recorded(taken: Input, began_s: float) -> Answer | RecordedEvent:
    if isinstance(taken, Event):
        return RecordedEvent(taken.id, taken.kind, msgspec.json.decode(taken.raw))
    return moved(taken, -began_s)


def moved(taken: Answer, by_s: float) -> Answer:
    """The answer with its own monotonic times moved: another machine's begin anywhere."""
    if not isinstance(taken, StatusRead):
        return taken
    return replace(taken, sent=taken.sent + by_s, received=taken.received + by_s)


def create(path: Path) -> IO[bytes]:
    """A new file that only its owner reads. Raises FileExistsError: recordings are not replaced.

    Unbuffered: what was recorded is there however the dashboard ends.
    """
    return open(path, "xb", buffering=0, opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def read(
    lines: Iterable[bytes], name: str = "the recording"
) -> Iterator[RecordingHead | RecordedInput]:
    """The head, then the inputs. Raises RecordingError naming the line at fault."""
    decode_line = msgspec.json.Decoder(RecordedInput).decode
    number = 0
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_BYTES_MAX:
            raise RecordingError(f"{name}, line {number}: longer than {LINE_BYTES_MAX:,} bytes.")
        try:
            if number > 1:
                yield decode_line(line)
                continue
            head = msgspec.json.decode(line, type=RecordingHead)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecordingError(f"{name}, line {number}, cannot be read: {error}.") from error
        if head.format != FORMAT:
            raise RecordingError(f"{name} is of another format than {FORMAT}: {head.format[:40]!r}")
        yield head
    if not number:
        raise RecordingError(f"{name} is empty.")
