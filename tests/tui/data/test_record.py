"""Recordings: what came in, to be shown again."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from engine.client import AsyncClient, Reposts
from engine.wire.events import Acted
from tests.tui.engine_stand_in import StandIn, TrioClock
from tests.tui.mirror import Mirror, watched
from tests.tui.support import NOW, RUN, FakeClock, event, status_read, step_row, tree_read
from tui.data import record
from tui.data.feed import Board, Feed
from tui.data.inputs import Input, LinkMoved, LinkState, TreeGone
from tui.data.record import RecordedInput, Recorder, RecordingError, RecordingHead
from tui.data.store import Link, Store


def contents(store: Store) -> dict[str, Any]:
    """All that a store knows, for comparing."""
    found = dict(vars(store))
    for name in ("clock", "time", "changes"):
        del found[name]
    found["_whereabouts"] = vars(store._whereabouts)
    found["listings"] = {name: vars(listing) for name, listing in store.listings.items()}
    return found


def recorded(inputs: list[tuple[float, Input]], began: float = 1_000.0) -> bytes:
    """A recording of inputs, each so many seconds after it began."""
    file = io.BytesIO()
    recorder = Recorder(file, began, NOW)
    for after_s, taken in inputs:
        recorder.record(taken, began + after_s)
    return file.getvalue()


def replayed(recording: bytes, began: float = 1_000.0) -> Store:
    """The store after a recording was played, on a machine whose clock begins anywhere."""
    head, *lines = record.read(recording.splitlines())
    assert isinstance(head, RecordingHead)
    clock = FakeClock(monotonic=began)
    store = Store(clock)
    for line in lines:
        assert isinstance(line, RecordedInput)
        clock.monotonic_s = began + line.at_s
        store.apply(record.played(line, began))
    return store


@pytest.mark.slow
def test_a_recording_of_an_engine_replays_to_the_same_store(tmp_path: Path) -> None:
    """Trees, runs, events, lists: all that is known, of a run with everything in it."""
    mirror, _ = watched(tmp_path / "a.db", 5)
    inputs: list[tuple[float, Input]] = [(0.0, LinkMoved(LinkState.LIVE))]
    inputs += [(n / 10, taken) for n, taken in enumerate(mirror.inputs)]
    live = FakeClock()
    store = Store(live)
    for after_s, taken in inputs:
        live.monotonic_s = 1_000.0 + round(after_s, 4)
        store.apply(taken)
    again = replayed(recorded(inputs))
    assert contents(again) == contents(store)
    assert len(again.events) > 20
    assert Mirror is type(mirror)


async def test_a_session_replays_to_the_same_store(autojump_clock) -> None:
    """With the connection's moves, the status, and lists; and no token is in it."""
    engine = StandIn()
    store = Store(TrioClock())
    file = io.BytesIO()
    began = trio.current_time()
    recorder = Recorder(file, began, NOW)

    def take(taken: Input) -> None:
        recorder.record(taken, trio.current_time())
        store.apply(taken)

    http = httpx.AsyncClient(
        transport=httpx.MockTransport(engine), headers={"Authorization": "Bearer sesame"}
    )
    client = AsyncClient("http://ada:sesame@engine", http=http, reposts=Reposts(count=0))
    feed = Feed(client, store, take, chance=lambda: 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        for board in ("runs", "retries", "causes", "jobs"):
            feed.show(Board(board))
            await trio.sleep(1)
            engine.happens("started", number=1)
        feed.open("a")
        await trio.sleep(1)
        engine.refuses = httpx.ConnectError("refused")
        engine.breaks()
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert "authorization" in engine.headers[0]
    again = replayed(file.getvalue(), began)
    there, here = contents(again), contents(store)
    for link in (there.pop("link"), here.pop("link")):
        assert isinstance(link, Link)
        assert link.state is LinkState.LOST
    assert there == here
    assert b"sesame" not in file.getvalue()


def test_countdowns_are_right_on_another_machine() -> None:
    """Its monotonic clock begins elsewhere: the times in the recording go along."""
    clock = FakeClock(monotonic=77.0)
    recording = recorded([(0.0, status_read(NOW, clock))], began=77.0)
    store = replayed(recording, began=5_000_000.0)
    assert store.time.now_ms() == pytest.approx(NOW)


def test_a_recording_is_lines_of_json() -> None:
    """The head names the format; what is hostile in it is as it came, and made safe when played."""
    hostile = event("acted", 1, "running", action="\x1b]52;c;x\x07")
    lines = recorded([(0.5, hostile), (1.25, TreeGone(RUN))]).splitlines()
    first, *rest = (msgspec.json.decode(line) for line in lines)
    assert first == {"format": record.FORMAT, "began_ms": NOW}
    assert [line["at_s"] for line in rest] == [0.5, 1.25]
    assert rest[0]["input"]["members"]["action"] == "\x1b]52;c;x\x07"
    store = replayed(b"\n".join(lines))
    fact = store.events[0].fact
    assert isinstance(fact, Acted)
    assert fact.action == "␛]52;c;x␇"


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    """And another recording is never written over it."""
    path = tmp_path / "session.jsonl"
    with record.create(path) as file:
        Recorder(file, 0.0, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        record.create(path)


GOOD = recorded([(0.0, tree_read(step_row())), (1.0, TreeGone(RUN))]).splitlines()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "it is empty"),
        ([b"<html>"], "it, line 1, cannot be read"),
        ([b"{}"], "it, line 1, cannot be read"),
        ([b'{"format":"other-2","began_ms":1}'], "another format"),
        ([GOOD[0], GOOD[1], GOOD[2][:-9]], "it, line 3, cannot be read"),
        ([GOOD[0], b'{"at_s":1,"input":{"type":"weather"}}'], "it, line 2, cannot be read"),
        ([GOOD[0], b"\xff"], "it, line 2, cannot be read"),
        ([GOOD[0], b'{"at_s":1,"input":' + b"[" * 100_000], "it, line 2, cannot be read"),
    ],
)
def test_an_error_names_its_line(lines: list[bytes], told: str) -> None:
    """So that a recording that was cut, or is none, can be looked at."""
    with pytest.raises(RecordingError) as error:
        list(record.read(lines, "it"))
    assert told in str(error.value)


def test_a_line_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of one endless line does not fill the memory."""
    monkeypatch.setattr(record, "LINE_BYTES_MAX", len(GOOD[0]))
    with pytest.raises(RecordingError, match="line 2: longer than"):
        list(record.read(GOOD))
