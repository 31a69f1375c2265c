"""Copies by themselves: when they are due, what is kept of them, and what of one that failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.jobs.backups import (
    AHEAD_MS_MAX,
    CUT_OFF,
    BackupDone,
    Backups,
    BackupSettings,
)
from engine.ports.registry import Registered
from engine.ports.store import BackedUp, StoreError
from tests.world import EPOCH_MS, FakeClock, inline

HOUR_S = 3_600.0
ADA = Actor("ada")
FILE_ID = "0a1b2c3d"


class Kept:
    """What is registered with a store."""

    file_id = FILE_ID

    def __init__(self) -> None:
        self.by_name: dict[tuple[str, str], Registered] = {}

    @property
    def registered(self) -> tuple[Registered, ...]:
        return tuple(self.by_name.values())

    def register(self, entry: Registered) -> Any:
        self.by_name[entry.kind, entry.name] = entry


class Desk:
    """Copies that are made at once, of 7 bytes; and what was logged."""

    def __init__(self, kept: Kept, **settings: Any) -> None:
        self.made: list[tuple[float, str]] = []
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.why_not: str | None = None
        self.takes_s = 0.0
        self.ended: list[tuple[BackupDone, Actor]] = []
        how = BackupSettings(**settings)
        self.backups = Backups(
            kept, self, how, FakeClock(), self._log, self._log, inline, self._ended
        )

    def _ended(self, done: BackupDone, asked_by: Actor) -> None:
        self.ended.append((done, asked_by))

    def _log(self, event: str, **values: Any) -> None:
        self.logged.append((event, values))

    async def back_up(self, target: Path, told: Callable[[int, int], None]) -> BackedUp:
        self.made.append((trio.current_time(), str(target)))
        told(1, 2)
        await trio.sleep(self.takes_s)
        if self.why_not is not None:
            raise StoreError(self.why_not)
        if target.parent.exists():
            target.write_bytes(b"a copy!")
        return BackedUp(str(target), 7, 1)

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.logged]

    @property
    def hours(self) -> list[float]:
        """When each was begun."""
        return [round(at / HOUR_S, 2) for at, _ in self.made]


@asynccontextmanager
async def running(kept: Kept, **settings: Any) -> AsyncIterator[Desk]:
    desk = Desk(kept, **settings)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.backups.run)
        yield desk
        desk.backups.close()


async def test_without_a_directory_none_is_made(autojump_clock: trio.testing.MockClock) -> None:
    """Who sets nothing gets no new duty: nothing wakes either."""
    async with running(Kept()) as desk:
        await trio.sleep(100 * HOUR_S)
        assert (desk.made, desk.backups.due_at, desk.backups.every_ms) == ([], None, None)


async def test_they_are_made_every_so_many_hours(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """The first at once; after a restart when the last one is as old."""
    kept = Kept()
    async with running(kept, directory=tmp_path / "to", every_h=6) as desk:
        await trio.sleep(13 * HOUR_S)
        assert desk.hours == [0.0, 6.0, 12.0]
        good = desk.backups.good
        assert good is not None
        assert (good.size, good.error, good.actor) == (7, None, "engine")
        assert desk.events == ["backup-made"] * 3
        assert desk.logged[-1][1]["file"] == good.file
    assert len(list((tmp_path / "to").iterdir())) == 3
    async with running(kept, directory=tmp_path / "to", every_h=6) as desk:
        assert desk.backups.last is not None
        await trio.sleep(4.9 * HOUR_S)
        assert desk.made == []
        await trio.sleep(0.2 * HOUR_S)
        assert desk.hours == [18.0]


async def test_a_restored_file_has_its_own_first_copy_made_at_once(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """What is registered in it of the file it was copied from, under another id, counts for
    nothing: a good one does not put the first off, nor does one that failed."""
    for why_not in (None, "no room"):
        kept = Kept()
        async with running(kept, directory=tmp_path, every_h=6) as desk:
            desk.why_not = why_not
            await trio.sleep(1.0)
        kept.file_id = "ffffffff"
        restored = Desk(kept, directory=tmp_path, every_h=6).backups
        assert (restored.last, restored.good) == (None, None)
        async with running(kept, directory=tmp_path, every_h=6) as desk:
            await trio.sleep(1.0)
            assert ["atomic-ffffffff-" in file for _, file in desk.made] == [True]


async def test_a_directory_that_cannot_be_used_is_told_at_the_start(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Not a day later, when the next copy is due; one that can be is made, and nothing said."""
    kept = Kept()
    async with running(kept, directory=tmp_path / "copies") as desk:
        await trio.sleep(1)
        assert desk.events == ["backup-made"]
    (tmp_path / "file").touch()
    for name, is_told in (("none/copies", True), ("file", True), ("copies", False), ("new", False)):
        directory = tmp_path / name
        async with running(kept, directory=directory) as desk:
            await trio.sleep(1)
            assert desk.events == ["backup-directory"] * is_told
            assert desk.made == []
        assert directory.is_dir() is not is_told


async def test_one_that_fails_is_told_and_tried_again_sooner(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """After an hour, until there is one; the last good one stays known."""
    async with running(Kept(), directory=tmp_path, every_h=6) as desk:
        await trio.sleep(HOUR_S)
        good = desk.backups.good
        desk.why_not = "the disk is full."
        await trio.sleep(7.5 * HOUR_S)
        assert desk.hours == [0.0, 6.0, 7.0, 8.0]
        assert desk.backups.last is not None
        assert (desk.backups.last.error, desk.backups.failed) == ("the disk is full.", 3)
        assert desk.backups.good == good
        failed = [values for event, values in desk.logged if event == "backup-failed"]
        assert failed[0]["error"] == "the disk is full."
        desk.why_not = None
        await trio.sleep(HOUR_S)
        assert desk.hours[4:] == [9.0]
        assert desk.backups.last.error is None


@pytest.mark.parametrize(("keep", "left"), [(0, 5), (2, 2), (5, 5)])
async def test_as_many_as_a_setting_says_are_kept(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, keep: int, left: int
) -> None:
    """None says: all. Others' files, and those that somebody asked for, are nobody's to delete."""
    others = ["atomic-ffffffff-20200101T000000Z.db", "mine.db", f"atomic-{FILE_ID}-old.db"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    async with running(Kept(), directory=tmp_path, every_h=1, keep=keep) as desk:
        desk.backups.begin(str(tmp_path / "asked.db"), ADA)
        await trio.sleep(4.5 * HOUR_S)
        made = sorted(path for _, path in desk.made if "asked" not in path)
        assert len(made) == 5
    found = sorted(str(each) for each in tmp_path.iterdir())
    assert found == sorted([*made[-left:], *(str(tmp_path / it) for it in [*others, "asked.db"])])
    assert desk.events.count("backup-removed") == 5 - left


async def test_what_was_left_of_one_that_was_cut_off_goes(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """The engine's own alone."""
    mine = tmp_path / f"atomic-{FILE_ID}-20200101T000000Z.db.part"
    others = tmp_path / "atomic-ffffffff-20200101T000000Z.db.part"
    for each in (mine, others):
        each.write_bytes(b"half")
    async with running(Kept(), directory=tmp_path):
        await trio.sleep(1)
        assert (mine.exists(), others.exists()) == (False, True)


async def test_one_is_made_when_it_is_asked_for(autojump_clock: trio.testing.MockClock) -> None:
    """One at a time; meanwhile it is told how far it is."""
    async with running(Kept()) as desk:
        await trio.testing.wait_all_tasks_blocked()
        desk.takes_s = 5
        begun = desk.backups.begin("/there/a.db", ADA)
        await trio.sleep(1)
        under_way = desk.backups.under_way
        assert under_way is begun
        assert (begun.file, begun.actor, begun.done, begun.of) == ("/there/a.db", "ada", 1, 2)
        with pytest.raises(Refused, match=r"A backup is being made: /there/a\.db") as caught:
            desk.backups.begin("/there/b.db", ADA)
        assert caught.value.problem is Problem.NOT_POSSIBLE
        await trio.sleep(5)
        assert desk.backups.under_way is None
        assert desk.backups.last == desk.backups.good
        desk.backups.begin("/there/b.db", ADA)
        await trio.sleep(6)
        assert [path for _, path in desk.made] == ["/there/a.db", "/there/b.db"]


@pytest.mark.parametrize("file", ["a.db", "./a.db", "~/a.db", "/a\0.db"])
async def test_a_path_that_is_none_of_this_machine_is_refused(file: str) -> None:
    """Relative to what would be anybody's guess."""
    with pytest.raises(Refused, match="is no whole path") as caught:
        Desk(Kept()).backups.begin(file, ADA)
    assert caught.value.problem is Problem.INVALID_REQUEST


async def test_an_engine_that_stops_takes_none(autojump_clock: trio.testing.MockClock) -> None:
    """And leaves the one that is being made."""
    async with running(Kept()) as desk:
        desk.takes_s = 1_000
        desk.backups.begin("/there/a.db", ADA)
        await trio.sleep(1)
    assert trio.current_time() < 10
    with pytest.raises(Refused) as caught:
        desk.backups.begin("/there/b.db", ADA)
    assert caught.value.problem is Problem.DRAINING


async def test_what_came_of_one_is_told_of_who_asked(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Made, failed, or cut off by the engine's end, each once and of that person, whatever they
    are called; of those that are made by themselves nobody asked."""
    asked_by = Actor("engine", "10.0.0.7")
    async with running(Kept(), directory=tmp_path, every_h=1) as desk:
        await trio.sleep(0.5 * HOUR_S)
        for why_not in (None, "the disk is full."):
            desk.why_not = why_not
            desk.backups.begin("/there/a.db", asked_by)
            await trio.sleep(1)
        desk.why_not, desk.takes_s = None, 1_000
        desk.backups.begin("/there/b.db", asked_by)
        await trio.sleep(1)
    assert len(desk.made) == 4
    assert [(done.file, done.error) for done, _ in desk.ended] == [
        ("/there/a.db", None), ("/there/a.db", "the disk is full."), ("/there/b.db", CUT_OFF),
    ]  # fmt: skip
    assert {who for _, who in desk.ended} == {asked_by}
    assert desk.backups.last == desk.ended[1][0], "one that was cut off is none"


AHEAD_MS = 400 * 86_400_000


@asynccontextmanager
async def set_back(kept: Kept, **settings: Any) -> AsyncIterator[Desk]:
    """An engine whose wall clock is behind what others have registered."""
    desk = Desk(kept, **settings)
    desk.backups._clock = FakeClock(base_ms=EPOCH_MS - AHEAD_MS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.backups.run)
        yield desk
        desk.backups.close()


async def test_a_clock_that_was_set_back_keeps_none_away(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """How old the last one is nobody knows then: one is made at once, and the next as ever. What
    was made seconds ahead is no such clock's."""
    kept = Kept()
    async with running(kept, directory=tmp_path, every_h=6) as desk:
        await trio.sleep(1)
        desk.backups._clock = FakeClock(base_ms=EPOCH_MS - AHEAD_MS_MAX)
        assert desk.backups.due_at == EPOCH_MS + 6 * 3_600_000
        made = len(desk.made)
    async with set_back(kept, directory=tmp_path, every_h=6) as desk:
        assert desk.backups.made_at(desk.backups.good) is None
        await trio.sleep(13 * HOUR_S)
        assert (made, desk.hours) == (1, [0.0, 6.0, 12.0])
        assert desk.backups.good is not None
        assert desk.backups.made_at(desk.backups.good) == desk.backups.good.at


async def test_one_that_failed_under_a_clock_that_was_ahead_is_tried_again(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """At once, and after an hour as ever."""
    kept = Kept()
    desk = Desk(kept, directory=tmp_path, every_h=6)
    desk.why_not = "the disk is full."
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.backups.run)
        await trio.sleep(1)
        desk.backups.close()
    async with set_back(kept, directory=tmp_path, every_h=6) as desk:
        desk.why_not = "the disk is full."
        await trio.sleep(2.5 * HOUR_S)
        assert desk.hours == [0.0, 1.0, 2.0]


async def test_none_goes_for_one_with_a_later_name(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """A clock that was ahead has left two of those: the one just made stays beside them, and each
    time they are told of."""
    later = [f"atomic-{FILE_ID}-2099010{number}T000000Z.db" for number in (1, 2)]
    for name in later:
        (tmp_path / name).write_bytes(b"a copy!")
    async with running(Kept(), directory=tmp_path, every_h=1, keep=1) as desk:
        await trio.sleep(2.5 * HOUR_S)
        good = desk.backups.good
        assert good is not None
    assert sorted(each.name for each in tmp_path.iterdir()) == [Path(good.file).name, *later]
    told = [values for event, values in desk.logged if event == "backup-kept"]
    assert [Path(it["file"]).name for it in told] == later * 3
    assert {it["error"] for it in told} == {"its name is of a time to come"}
