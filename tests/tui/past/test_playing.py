"""A recording on the screen: the time there, its keys, and what the command takes for one."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import pytest
import trio
from textual.pilot import Pilot

from tests.tui.on_screen import World, line_with, on_screen
from tests.tui.past.support import BORN, asking, engine, no_progress, recorded
from tests.tui.support import NOW, FakeClock
from tui.command import _replayed
from tui.past.hour import Hour, read_hour
from tui.past.player import PlayedClock, Player
from tui.screen.app import Dashboard
from tui.settings import Options


class Shown:
    """A recording on a screen; the test moves the time of who looks."""

    def __init__(self, app: Dashboard, clock: FakeClock, pilot: Pilot[None]) -> None:
        assert app.player is not None
        self.app, self.player, self.clock, self.pilot = app, app.player, clock, pilot

    async def now(self) -> list[str]:
        """What is on the screen, when all that has come was drawn."""
        self.player.jump(0.0)
        for _ in range(3):
            await self.pilot.pause()
        self.app.flush()
        self.app.tick()
        await self.pilot.pause()
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    async def passes(self, seconds: float) -> list[str]:
        """Time passes for who looks."""
        self.clock.pass_s(seconds)
        return await self.now()

    async def press(self, *keys: str) -> list[str]:
        """Keys, one after the other."""
        await self.pilot.press(*keys)
        return await self.now()


def playing(test: Callable[[Shown], Awaitable[None]]) -> Callable[[], None]:
    """Makes a test of a coroutine that looks at a minute of a recording."""

    @functools.wraps(test)
    def on_this_screen() -> None:
        async def run() -> None:
            clock = FakeClock(wall=NOW / 1000 + 90_000)
            player = Player(PlayedClock(clock), recorded())
            app = Dashboard(player.store, Options(url="http://engine.test"), player=player)
            async with app.run_test(size=(110, 24)) as pilot:
                await pilot.press(":", *"utc", "enter")
                await test(Shown(app, clock, pilot))

        asyncio.run(run())

    vars(on_this_screen).pop("__wrapped__")
    return on_this_screen


@playing
async def test_it_says_what_time_it_is_there(it: Shown) -> None:
    """Of which day, how fast it goes, that it stands still, that it is over."""
    assert "RECORDING 2026-09-21 14:13:20 " in line_with(await it.now(), "1 Runs")
    assert "RECORDING 2026-09-21 14:13:30 " in line_with(await it.passes(10), "1 Runs")
    assert line_with(await it.press("w"), "it stands still: w goes on")
    assert "14:13:30 stands still" in line_with(await it.passes(10), "1 Runs")
    await it.press("w", ">", ">")
    assert "14:13:38 ×4" in line_with(await it.passes(2), "1 Runs")
    await it.press("<", "<")
    assert "14:13:39 " in line_with(await it.passes(1), "1 Runs")
    assert line_with(await it.press(")"), "its end")
    assert "14:14:20 at its end" in line_with(await it.passes(99), "1 Runs")
    assert line_with(await it.press("("), "its beginning")
    assert "14:13:20 " in line_with(await it.now(), "1 Runs")


@playing
async def test_what_is_told_is_told_to_who_looks(it: Shown) -> None:
    """Five seconds of theirs, also where time stands still or flies."""
    await it.press("w")
    assert line_with(await it.passes(4), "it stands still")
    assert not any("it stands still:" in line for line in await it.passes(2))


@playing
async def test_at_a_time_of_its_day(it: Shown) -> None:
    """The question that one comes with; what is no time is said, and nothing moves."""
    await it.press("5", ":", *"at 14:13:45", "enter", "w")
    shown = await it.now()
    assert line_with(shown, "14:13:45 stands still")
    assert line_with(await it.press("m"), "25 of 25")
    shown = await it.press(":", *"at 14:13:30", "enter")
    assert line_with(shown, "10 of 10")
    shown = await it.press(":", *"at dawn", "enter")
    assert line_with(shown, "`dawn` is no time")
    assert it.player.clock.at_s == pytest.approx(10.0)


@on_screen()
async def test_an_engine_has_no_time_to_be_set(world: World) -> None:
    """The keys say what they are for."""
    for key in ("w", "(", ")", "<", ">"):
        assert line_with(await world.press(key), "atomic tui --replay 1h"), key
    assert line_with(await world.press(":", *"at 03:12", "enter"), "open a run first")


def test_a_past_hour_on_the_screen() -> None:
    """Its runs, a run that is opened, and a filter that only an engine could answer."""

    async def read() -> Hour:
        return await read_hour(asking(engine()), NOW, no_progress)

    hour = trio.run(read)

    async def run() -> None:
        clock = FakeClock(wall=NOW / 1000 + 3_600)
        player = Player(PlayedClock(clock), hour.lines, 1.0, hour)
        options = Options(url="http://engine.test", filter="is:live", board="runs")
        app = Dashboard(player.store, options, player=player)
        async with app.run_test(size=(120, 24)) as pilot:
            it = Shown(app, clock, pilot)
            shown = await it.press(":", *"utc", "enter", "w")
            assert "PAST 14:13:20 stands still" in line_with(shown, "1 Runs")
            assert [line_with(shown, it) for it in ("v7000003", "v7000001", "v7000000")]
            await it.press(")", ":", *"at 14:15:05", "enter")
            clock.pass_s(1)
            shown = await it.now()
            line = line_with(shown, BORN[-8:])
            assert ("running" in line, "refund" in line) == (True, True)
            shown = await it.press("g", "enter")
            assert line_with(shown, "▸ running for 5s")
            shown = await it.press(":", *"at 14:15:25", "enter")
            assert line_with(shown, "✗ failed 5s ago · refund: 503 no room")
            shown = await it.press(",", ",")
            assert line_with(shown, "NOT NOW · 14:15:01.000 · try 1 started")
            assert "this is how it was" in line_with(await it.press("R"), "Retry now:")
            shown = await it.press("escape", "escape", "/", *"cause:x", "enter")
            assert line_with(shown, "`cause:` is asked of an engine")

    asyncio.run(run())


def test_a_past_hour_says_what_it_has_not() -> None:
    """On each board, with where else to look; Home does not say that nothing was held."""

    async def read() -> Hour:
        it = engine()
        it.answers["status"] = {**it.answers["status"], "stuckCount": 0}
        return await read_hour(asking(it), NOW, no_progress)

    hour = trio.run(read)

    async def run() -> None:
        clock = FakeClock(wall=NOW / 1000 + 3_600)
        player = Player(PlayedClock(clock), hour.lines, 1.0, hour)
        app = Dashboard(player.store, Options(url="http://engine.test"), player=player)
        async with app.run_test(size=(80, 24)) as pilot:
            it = Shown(app, clock, pilot)
            for key, told in (("3", "Causes"), ("4", "How hosts did"), ("6", "Bulk jobs")):
                shown = await it.press(key)
                assert " not told of a past hour." in line_with(shown, told)
            line_with(await it.press("1"), "v7000001")
            shown = await it.press("2", "w", ":", *"utc", "enter", ":", *"at 14:13:26", "enter")
            assert "503 no room" in line_with(shown, "order.fulfil › order")
            shown = await it.press(":", *"at 14:13:55", "enter")
            line_with(shown, "Nothing waits to be tried again.")
            shown = await it.press("0")
            told = "No run needed a person · hosts, holds, dismissals are not told of a past hour"
            assert told in line_with(shown, "needed a person")
            assert "● was live" in shown[0]
            assert not any("nothing is held" in line for line in shown)

    asyncio.run(run())


# -- the command -----------------------------------------------------------------------------------


def test_what_is_a_time_and_what_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of that name goes before, as ever."""
    monkeypatch.chdir(tmp_path)
    assert _replayed(None) == (None, None)
    (tmp_path / "1h").write_text("x")
    assert _replayed("1h") == (Path("1h"), None)
    for text in ("90m", "1h30m", "24h", "5s"):
        file, since = _replayed(text)
        assert file is None
        assert since is not None
    minutes, hours = _replayed("90m")[1], _replayed("1h30m")[1]
    assert minutes is not None
    assert hours is not None
    assert abs(minutes - hours) < 60_000
    at = _replayed("03:12")[1]
    assert at is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("24h1ms", "more than 24h ago"),
        ("2d", "more than 24h ago, which is the most"),
        ("2020-01-01T00:00:00Z", "more than 24h ago"),
        ("2999-01-01T00:00:00Z", "in the future"),
        ("0m", "now, of which there is no past: 1h, or a time before now"),
        ("yesterday", "no file that is there, and no time: 1h, 90m, 03:12"),
        ("-1h", "no file that is there, and no time"),
        ("312", "no file that is there, and no time"),
        ("", "no file that is there, and no time"),
    ],
)
def test_what_is_neither(text: str, told: str) -> None:
    """Says what there is."""
    with pytest.raises(click.BadParameter) as error:
        _replayed(text)
    assert told in error.value.message
