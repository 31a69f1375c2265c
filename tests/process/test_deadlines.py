"""Time-outs kept by one task, and the watcher for clients that leave."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.process.deadlines import STOPPED_MAX, Deadlines, Timer
from engine.process.platform.hang_ups import EpollHangUps, HangUps, SweptHangUps
from tests.front.raw_http import App, connected, post, serving, settle


@asynccontextmanager
async def running(watcher: Deadlines | HangUps) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        yield
        nursery.cancel_scope.cancel()


async def struck_at(seconds: float, struck: list[str], clock: MockClock) -> list[str]:
    """What has struck `seconds` from now."""
    clock.jump(seconds)
    await wait_all_tasks_blocked()
    return struck


async def test_timer_strikes_at_its_deadline(mock_clock: MockClock) -> None:
    """Neither before nor later, however its deadline was moved meanwhile, and only once."""
    struck: list[str] = []
    deadlines = Deadlines()
    timer = Timer(lambda: struck.append("timer"))
    async with running(deadlines):
        deadlines.move(timer, trio.current_time() + 5)
        await wait_all_tasks_blocked()
        deadlines.move(timer, trio.current_time() + 60)
        deadlines.move(timer, trio.current_time() + 10)
        assert await struck_at(9.9, struck, mock_clock) == []
        assert await struck_at(0.2, struck, mock_clock) == ["timer"]
        assert await struck_at(100, struck, mock_clock) == ["timer"]


async def test_timer_that_is_moved_forward(mock_clock: MockClock) -> None:
    """A deadline that becomes earlier wakes the watcher; the later entry strikes no second time."""
    struck: list[str] = []
    deadlines = Deadlines()
    timer = Timer(lambda: struck.append("timer"))
    async with running(deadlines):
        deadlines.move(timer, trio.current_time() + 60)
        await wait_all_tasks_blocked()
        deadlines.move(timer, trio.current_time() + 5)
        assert await struck_at(4.9, struck, mock_clock) == []
        assert await struck_at(0.2, struck, mock_clock) == ["timer"]
        deadlines.move(timer, trio.current_time() + 100)
        assert await struck_at(60, struck, mock_clock) == ["timer"]
        assert await struck_at(41, struck, mock_clock) == ["timer", "timer"]


async def test_timer_without_a_deadline_or_stopped(mock_clock: MockClock) -> None:
    """One whose deadline was taken away, or whose connection has ended, does not strike."""
    struck: list[str] = []
    deadlines = Deadlines()
    freed, stopped = (Timer(lambda: struck.append("timer")) for _ in range(2))
    async with running(deadlines):
        deadlines.move(freed, trio.current_time() + 5)
        deadlines.move(stopped, trio.current_time() + 5)
        deadlines.move(freed, float("inf"))
        deadlines.stop(stopped)
        assert await struck_at(1000, struck, mock_clock) == []


async def test_stopped_timers_do_not_pile_up(mock_clock: MockClock) -> None:
    """Thousands that were stopped long before their time are not kept; the others strike."""
    struck: list[str] = []
    deadlines = Deadlines()
    async with running(deadlines):
        deadlines.move(Timer(lambda: struck.append("timer")), trio.current_time() + 60)
        for _ in range(5 * STOPPED_MAX):
            timer = Timer(lambda: struck.append("stopped"))
            deadlines.move(timer, trio.current_time() + 60)
            deadlines.stop(timer)
        assert len(deadlines) <= STOPPED_MAX + 1
        assert await struck_at(61, struck, mock_clock) == ["timer"]
        assert not len(deadlines)


async def test_what_came_while_the_process_stood_still_is_read_first(mock_clock: MockClock) -> None:
    """An answer that lies in its socket when the process goes on came in time."""
    struck: list[int] = []
    deadlines = Deadlines()

    async def wait_for_answer(number: int, sock: socket.socket) -> None:
        timer = Timer(lambda: struck.append(number))
        deadlines.move(timer, trio.current_time() + 3)
        await trio.lowlevel.wait_readable(sock)
        await trio.lowlevel.checkpoint()  # it is read in parts
        deadlines.stop(timer)

    with ExitStack() as stack:
        async with running(deadlines), trio.open_nursery() as nursery:
            pairs = [[stack.enter_context(each) for each in socket.socketpair()] for _ in range(20)]
            for number, (ours, _) in enumerate(pairs):
                nursery.start_soon(wait_for_answer, number, ours)
            await wait_all_tasks_blocked()
            for _, theirs in pairs[1:]:
                theirs.send(b"answer")
            mock_clock.jump(10)
            await wait_all_tasks_blocked()
            assert struck == [0], "the one that did not answer"
            nursery.cancel_scope.cancel()


async def test_a_stopped_timer_cannot_be_moved(mock_clock: MockClock) -> None:
    """A post that is let go after its attempt has ended leaves nothing in the queue."""
    deadlines = Deadlines()
    timer = Timer(lambda: None)
    deadlines.stop(timer)
    deadlines.move(timer, trio.current_time() + 60)
    assert not len(deadlines)


WAYS = [EpollHangUps, SweptHangUps]
"""Linux's, and the one of other systems, which runs here too."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", ["close", "half-close", "unread bytes", "reset"])
async def test_hang_up_is_told_once(
    way: type[EpollHangUps | SweptHangUps], how: str, autojump_clock: MockClock
) -> None:
    """However the other side goes, unread bytes before it or not; and nothing before that."""
    told: list[str] = []
    hang_ups = way()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with running(hang_ups):
            hang_ups.watch(ours.fileno(), lambda: told.append(how))
            if how in ("unread bytes", "reset"):
                theirs.send(b"x" * 1000)
            if how == "reset":
                ours.send(b"never read")  # makes the close of a UNIX socket a reset
            await trio.sleep(0.1)
            assert told == []
            if how == "half-close":
                theirs.shutdown(socket.SHUT_WR)
            else:
                theirs.close()
            await trio.sleep(0.1)
            assert told == [how]
            hang_ups.forget(ours.fileno())
        hang_ups.close()


@pytest.mark.parametrize("way", WAYS)
async def test_forgotten_socket(
    way: type[EpollHangUps | SweptHangUps], autojump_clock: MockClock
) -> None:
    """After `forget` nothing is told, and the descriptor's number may be another socket's."""
    told: list[int] = []
    hang_ups = way()
    async with running(hang_ups):
        for number in range(3):
            ours, theirs = socket.socketpair()
            hang_ups.watch(ours.fileno(), partial(told.append, number))
            if number == 1:
                theirs.close()
                await trio.sleep(0.1)
            hang_ups.forget(ours.fileno())
            theirs.close()
            ours.close()
            await trio.sleep(0.1)
    hang_ups.close()
    assert told == [1]


# -- posts that the reader answers itself ---------------------------------------------------------


@pytest.fixture(autouse=True)
def door(monkeypatch: pytest.MonkeyPatch) -> None:
    """Posts are answered at the connection."""
    monkeypatch.setattr("tests.front.raw_http.WITH_DOOR", True)


async def test_post_and_end_in_one_packet(autojump_clock: MockClock) -> None:
    """A client that posts and leaves in the same moment: the post is taken up, then cut."""
    async with connected() as (app, _, client):
        await client.send(post("/hold", b"{}"))
        await client.stream.send_eof()
        assert await client.read_rest() == b""
    assert app.calls == app.cancelled == ["/hold"]


async def test_posts_behind_a_held_one(mock_clock: MockClock) -> None:
    """They wait, unread, and are answered in their order, also those that are not the door's."""
    async with connected() as (app, _, client):
        await client.send(post("/hold", b"{}"))
        await settle()
        await client.send(post("/echo", b"1") + post("/early/now", b"2") + post("/echo", b"3"))
        await settle()
        assert app.calls == ["/hold"]
        app.release.set()
        bodies = [(await client.read_answer()).body for _ in range(4)]
    assert bodies == [b"held", b"1", b"early", b"3"]


async def test_a_flood_of_posts_starves_nobody(mock_clock: MockClock) -> None:
    """Between two pipelined posts that are answered at once other tasks run."""
    app = App()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with serving(app.quart) as server, trio.open_nursery() as nursery:
        client = await server.connect()
        await client.send(post("/echo", b"x") * 200)
        nursery.start_soon(count_turns)
        for _ in range(200):
            await client.read_answer()
        nursery.cancel_scope.cancel()
    assert turns > 150
