"""Starts the dashboard: on an engine, or on a recording, which may be of its past hour."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import random  # noqa: TID251 - the jitter of reconnecting
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import msgspec
from msgspec import Struct

from engine.client.bearer import TokenFile
from tui.data import record
from tui.data.clock import SystemClock
from tui.data.inputs import Input
from tui.data.store import Store
from tui.past.hour import Hour, read_hour
from tui.past.player import PlayedClock, Player
from tui.screen.app import Dashboard
from tui.settings import Options

if TYPE_CHECKING:
    from engine.client import AsyncClient

LEAVING_S_MAX = 2.0
"""How long giving the terminal back may take."""


class Start(Struct, frozen=True):
    """What the command line asked for."""

    options: Options
    record: str | None = None
    replay: str | None = None
    since_ms: int | None = None
    """Show what the engine had since then, in place of a file (milliseconds since the epoch)."""
    speed: float = 1.0

    def word(self) -> str:
        """The same in one word, for a process of its own (`browser/served.py`)."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def of(word: str) -> Start:
        """What `word` told. Raises msgspec.DecodeError."""
        return msgspec.json.decode(word, type=Start)


def checked(start: Start) -> list[record.RecordedInput]:
    """What is to be replayed, if anything. Raises what `run` would raise at once: RecordingError
    and OSError for a recording, ValueError for an address or a token file that is none."""
    if start.replay is not None:
        lines = record.read(Path(start.replay).read_bytes().splitlines(), start.replay)
        return [each for each in lines if isinstance(each, record.RecordedInput)]
    if start.options.token_file:
        TokenFile(start.options.token_file)
    parts = urlsplit(start.options.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        client(start.options)  # says what is wrong with it; takes long to import
    return []


def client(options: Options) -> AsyncClient:
    """Speaks with the engine. It tries nothing again: the feed does, and tells of each try."""
    from engine.client import AsyncClient, Reposts

    made = AsyncClient(
        options.url,
        reposts=Reposts(count=0),
        actor=options.actor,
        token_file=options.token_file,  # or none: the environment was asked before
    )
    gc.freeze()  # what was imported stays: to look through it again holds keys up by 60 ms
    return made


def run(start: Start, progress: Callable[[int], None] = lambda events: None) -> int:
    """Show the dashboard until it is left; returns the exit code. `progress` is told how many
    events were read, before there is a screen.

    Raises RecordingError, OSError for files, ValueError for an address that is none; of a past hour
    PastError, AtomicError.
    """
    lines = checked(start)
    if start.replay is not None:
        return _shown(_of_player(start, Player(PlayedClock(SystemClock()), lines, start.speed)))
    if start.since_ms is not None:
        hour = anyio.run(_read, start, progress)
        player = Player(PlayedClock(SystemClock()), hour.lines, start.speed, hour)
        return _shown(_of_player(start, player))
    clock = SystemClock()
    store = Store(clock)
    with ExitStack() as stack:
        take: Callable[[Input], None] = store.apply
        if start.record is not None:
            file = stack.enter_context(record.create(Path(start.record)))
            recorder = record.Recorder(file, clock.monotonic(), round(clock.wall() * 1000))
            take = recorded(store, recorder, clock)
        connects = partial(client, start.options)
        app = Dashboard(store, start.options, connects=connects, take=take, chance=random)
        return _shown(app)


def _of_player(start: Start, player: Player) -> Dashboard:
    return Dashboard(player.store, start.options, player=player)


async def _read(start: Start, progress: Callable[[int], None]) -> Hour:
    assert start.since_ms is not None
    async with client(start.options) as asked:
        return await read_hour(asked, start.since_ms, progress)


def _shown(app: Dashboard) -> int:
    """Until it is left."""
    gc.freeze()  # what was imported stays: to look through it again holds keys up by 60 ms
    with _left_well(app):
        app.run(mouse=app.options.mouse)
    return app.return_code or 0


@contextmanager
def _left_well(app: Dashboard) -> Iterator[None]:
    """Asked to end, or with its terminal gone, the dashboard leaves: a terminal stays sane.

    When the terminal is really gone Textual waits for ever to have written to it.
    """

    def leave(number: int, frame: object) -> None:
        last = threading.Timer(LEAVING_S_MAX, os._exit, (128 + number,))
        last.daemon = True
        last.start()
        app.exit(return_code=128 + number)

    before = {each: signal.signal(each, leave) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def recorded(
    store: Store, recorder: record.Recorder, clock: SystemClock
) -> Callable[[Input], None]:
    """Takes inputs into the store, and writes them down."""

    def take(taken: Input) -> None:
        recorder.record(taken, clock.monotonic())
        store.apply(taken)

    return take
