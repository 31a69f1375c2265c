"""The feed: what it reads when; `test_feed_away.py` has what it does while the engine is away."""

from __future__ import annotations

from itertools import count

import httpx
import msgspec
import pytest
import trio
from msgspec.structs import replace

from engine.core.text.times import rfc3339
from engine.wire import BulkAnswer, BulkList, Problem, RetryPage, RunPage, RunTree
from tests.client.fake_engine import refusal
from tests.tui.engine_stand_in import StandIn, fed, gaps
from tests.tui.support import NOW, RUN, page, retry_row, run_row, step_row
from tui.data.feed import (
    BOARD_LASTS_S,
    FAILED_PAUSE_S,
    OLDEST_ROWS,
    PAGE_ROWS,
    READ_EVERY_S_MIN,
    SHORT_PAGES_MAX,
    STATUS_EVERY_S,
    Board,
)
from tui.data.inputs import TreeGone
from tui.data.listing import Edge

RUNS = Board("runs", "is:live")


# -- reading ---------------------------------------------------------------------------------------


async def test_first_it_connects_and_reads_what_is_looked_at(autojump_clock) -> None:
    """The stream, then the status and the board: as soon as the engine answers."""
    engine = StandIn()
    async with fed(engine) as it:
        it.feed.show(RUNS)
        await trio.sleep(0.1)
        assert [path for _, path, _ in engine.asked] == ["events", "status", "runs"]
        assert it.is_live
        assert it.store.listing("runs").ids == ["a", "b"]
        assert engine.queries("runs") == [
            {"q": "is:live", "sort": "-submittedAt", "limit": str(PAGE_ROWS)}
        ]


async def test_home_reads_causes_and_the_oldest_that_run(autojump_clock) -> None:
    """The rest of it comes with the status. Again when runs move, not for each of many; and nothing
    while nothing happens."""
    engine = StandIn()
    async with fed(engine) as it:
        it.feed.show(Board("home"))
        await trio.sleep(0.1)
        assert [path for _, path, _ in engine.asked] == ["events", "status", "runs", "causes"]
        oldest = {"q": "is:running", "sort": "submittedAt", "limit": str(OLDEST_ROWS)}
        assert engine.queries("runs") == [oldest]
        assert it.store.listing("home").ids == ["a", "b"]
        assert it.store.listing("runs").ids == []
        await trio.sleep(30)
        assert len(engine.reads("runs")) == len(engine.reads("causes")) == 1
        for _ in range(50):
            engine.happens("run-moved", rev=9)
            await trio.sleep(0.02)
        await trio.sleep(BOARD_LASTS_S)
        assert len(engine.reads("runs")) <= 1 + 3
        assert gaps(engine.reads("causes"))[1:] == [BOARD_LASTS_S], "less often"


async def test_the_status_is_read_again_when_somebody_has_acted(autojump_clock) -> None:
    """What a cancellation leaves in flight is told by the status alone; not for each of many."""
    engine = StandIn()
    async with fed(engine) as it:
        await trio.sleep(1)
        for _ in range(50):
            engine.happens("acted", action="cancel")
            await trio.sleep(0.02)
        assert it.is_live
        assert gaps(engine.reads("status")) == [1.0, READ_EVERY_S_MIN, READ_EVERY_S_MIN]


async def test_nothing_is_read_before_the_engine_is_there(autojump_clock) -> None:
    """A dashboard that waits for an engine asks for events alone."""
    engine = StandIn()
    engine.refuses = httpx.ConnectError("refused")
    async with fed(engine) as it:
        it.feed.show(RUNS)
        await trio.sleep(60)
        assert {path for _, path, _ in engine.asked} == {"events"}


async def test_an_idle_engine_is_asked_how_it_is_and_no_more(autojump_clock) -> None:
    """A status now and then; also on boards that come with it, or with the stream."""
    engine = StandIn()
    async with fed(engine) as it:
        for board in ("runs", "hosts", "events", "causes"):
            it.feed.show(Board(board))
            await trio.sleep(60)
        assert set(gaps(engine.reads("status"))) == {STATUS_EVERY_S}
        assert len(engine.reads("runs")) == len(engine.reads("causes")) == 1


async def test_a_filter_by_time_is_read_again_without_events(autojump_clock) -> None:
    """Runs become late, or old, and nothing tells of it."""
    engine = StandIn()
    async with fed(engine) as it:
        it.feed.show(Board("runs", "is:late"))
        await trio.sleep(60)
        assert set(gaps(engine.reads("runs"))) == {BOARD_LASTS_S}


async def test_a_busy_board_is_read_at_most_so_often(autojump_clock) -> None:
    """However many events there are: and after the last one it is read once more."""
    engine = StandIn()
    async with fed(engine) as it:
        it.feed.show(RUNS)
        await trio.sleep(0.1)
        for _ in range(500):
            engine.happens("started")
            await trio.sleep(0.01)
        await trio.sleep(2)
        times = engine.reads("runs")
        assert min(gaps(times)) >= READ_EVERY_S_MIN
        assert len(times) == pytest.approx(5 / READ_EVERY_S_MIN, abs=2)
        assert not it.store.listing("runs").outdated


@pytest.mark.parametrize(
    ("others", "slow_link", "every_s"),
    [(20, False, 2.5), (20, True, 20.0), (200, False, 2.5), (3, False, READ_EVERY_S_MIN),
     (4, False, 0.5), (8, False, 1.0), (0, True, READ_EVERY_S_MIN), (1, True, 1.0)],
)  # fmt: skip
async def test_a_list_whose_rows_are_others_each_time_stands_still_for_a_while(
    autojump_clock, others: int, slow_link: bool, every_s: float
) -> None:
    """As many rows a second as one can read; a list of which little is new is read as ever, and
    what a person asks for at once."""
    engine, reads = StandIn(), count()

    def rows(_: httpx.Request) -> httpx.Response:
        first = next(reads) * others
        found = RetryPage(tuple(retry_row(f"s-{first + at}", 5_000) for at in range(30)))
        return httpx.Response(200, content=msgspec.json.encode(found))

    engine.answers["retries"] = rows
    async with fed(engine, slow_link=slow_link) as it:
        it.feed.show(Board("retries"))
        for _ in range(2_000):
            await trio.sleep(0.02)
            if engine.stream is not None:
                engine.happens("attempt-ended", status="backing-off")
        between = gaps(engine.reads("retries"))
        assert between[0] == pytest.approx(READ_EVERY_S_MIN, abs=0.05), "at first all are new"
        assert between[1:] == pytest.approx([every_s] * len(between[1:]), abs=0.05)
        it.feed.resync()
        before = len(engine.reads("retries"))
        await trio.sleep(0.1)
        assert len(engine.reads("retries")) == before + 1


async def test_a_slow_engine_is_left_alone(autojump_clock) -> None:
    """After a read of two seconds the next one waits eight: a fifth of its time at most is ours."""
    engine = StandIn()
    engine.took_s = 2.0
    async with fed(engine) as it:
        it.feed.show(RUNS)
        for _ in range(1_000):
            if engine.stream is not None:
                engine.happens("started")
            await trio.sleep(0.1)
        assert min(gaps(engine.reads("runs"))) >= 10


async def test_the_open_run_is_read_when_its_tree_is_outdated(autojump_clock) -> None:
    """Not for each event: those are folded."""
    engine = StandIn()
    path = f"runs/{RUN}"
    engine.answers[path] = RunTree(run_row(), (step_row(),), rfc3339(NOW))
    async with fed(engine) as it:
        it.feed.open(RUN)
        await trio.sleep(1)
        assert len(engine.reads(path)) == 1
        engine.happens("started", RUN, number=1, rev=2)
        await trio.sleep(1)
        assert len(engine.reads(path)) == 1
        engine.answers[path] = RunTree(run_row(), (step_row(rev=3),), rfc3339(NOW))
        engine.happens("teleported", RUN, rev=3)
        await trio.sleep(1)
        assert len(engine.reads(path)) == 2


async def test_jobs_that_run_are_polled(autojump_clock) -> None:
    """One after the other, until the last one is over, or is not known any more."""
    engine = StandIn()
    jobs = [BulkAnswer(id, "running", "retry", "is:stuck", 5, 4, 1, {}, 20) for id in ("j", "k")]
    engine.answers["bulk"] = BulkList(tuple(jobs))
    engine.answers |= {"bulk/j": jobs[0], "bulk/k": jobs[1]}
    async with fed(engine) as it:
        it.feed.show(Board("jobs"))
        await trio.sleep(6)
        assert len(engine.reads("bulk/j")) == pytest.approx(3, abs=1)
        assert len(engine.reads("bulk/k")) == pytest.approx(3, abs=1)
        assert len(engine.reads("bulk")) == 1
        engine.answers["bulk"] = BulkList(())
        engine.answers["bulk/j"] = refusal(Problem.NOT_FOUND, "There is no job.")
        engine.answers["bulk/k"] = replace(jobs[1], state="done")
        await trio.sleep(3)
        before = len(engine.asked)
        await trio.sleep(4)
        assert [path for _, path, _ in engine.asked[before:] if path.startswith("bulk")] == []


@pytest.mark.parametrize("run_id", ["gone", "..", ""])
async def test_a_run_that_is_not_there(autojump_clock, run_id: str) -> None:
    """It is told once, and not asked for again: unknown to the engine, or no id at all."""
    engine = StandIn()
    engine.answers["runs/gone"] = refusal(Problem.NOT_FOUND, "There is no run 'gone'.")
    async with fed(engine) as it:
        it.feed.open(run_id)
        await trio.sleep(30)
        assert [taken for _, taken in it.taken if isinstance(taken, TreeGone)] == [TreeGone(run_id)]
        assert it.feed.run_id is None
        assert it.is_live


async def test_a_read_that_is_refused_is_told(autojump_clock) -> None:
    """To the person who asked for it, and tried again no more than once a second."""
    engine = StandIn()
    engine.answers["runs"] = lambda _: refusal(Problem.INVALID_REQUEST, "`q`: no.")
    async with fed(engine) as it:
        it.feed.show(RUNS)
        await trio.sleep(10)
        assert min(gaps(engine.reads("runs"))) >= FAILED_PAUSE_S
        assert "`q`: no" in str(it.refusals[0][1])
        assert it.is_live


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(503),
        httpx.Response(200, text="<html>"),
        httpx.ReadError("reset"),
        refusal(Problem.DRAINING, "Stopping."),
    ],
)
async def test_a_read_that_fails_is_tried_again(autojump_clock, failure) -> None:
    """Not at once; and all that was to be read is, when the engine answers again."""
    engine = StandIn()
    good, engine.answers["status"] = engine.answers["status"], failure
    async with fed(engine) as it:
        it.feed.show(RUNS)
        it.feed.open("a")
        await trio.sleep(5)
        assert min(gaps(engine.reads("status"))) >= FAILED_PAUSE_S
        engine.answers["status"] = good
        await trio.sleep(3)
        assert it.store.listing("runs").ids == ["a", "b"]
        assert "a" in it.store.trees


# -- long lists ------------------------------------------------------------------------------------


def many(prefix: str, next: str | None = None):
    rows = [run_row(f"{prefix}{n:03}") for n in range(PAGE_ROWS)]
    return page(*rows, next=next, total=10_000)


async def test_pages_are_read_at_the_edges(autojump_clock) -> None:
    """Behind the last row; the last page from the end, and from there backwards."""
    engine = StandIn()
    answers = iter([many("a", "a199"), many("b", "b199"), many("z", "z199"), many("y", "y199")])
    engine.answers["runs"] = lambda _: next(answers)
    async with fed(engine) as it:
        it.feed.show(Board("runs"))
        await trio.sleep(1)
        for edge in (Edge.AFTER, Edge.TAIL, Edge.BEFORE):
            it.feed.want_more(edge)
            await trio.sleep(1)
        asked = [(q["sort"], q.get("cursor")) for q in engine.queries("runs")]
        assert asked == [
            ("-submittedAt", None), ("-submittedAt", "a199"),
            ("submittedAt", None), ("submittedAt", "z199"),
        ]  # fmt: skip
        ids = it.store.listing("runs").ids
        assert (ids[0], ids[-1], len(ids)) == ("y199", "z000", 2 * PAGE_ROWS)


async def test_the_part_that_is_seen_is_kept_up(autojump_clock) -> None:
    """Far down the list its own rows are read again, and the window stays where it is."""
    engine = StandIn()
    engine.answers["runs"] = many("a", "a199")
    async with fed(engine) as it:
        it.feed.show(Board("runs"))
        await trio.sleep(1)
        it.feed.sees("a100")
        engine.happens("started", run="a150")
        await trio.sleep(1)
        it.feed.sees("unknown")
        engine.happens("started", run="a150")
        await trio.sleep(1)
        assert [q.get("cursor") for q in engine.queries("runs")] == [None, "a100", None]


async def test_at_the_tail_the_tail_is_kept_up(autojump_clock) -> None:
    """It was jumped to: reading the head again would take it away."""
    engine = StandIn()
    engine.answers["runs"] = many("z", "z199")
    async with fed(engine) as it:
        it.feed.show(Board("runs"))
        it.feed.want_more(Edge.TAIL)
        await trio.sleep(1)
        first = it.store.listing("runs").ids[0]
        engine.happens("started", run="z003")
        await trio.sleep(1)
        assert engine.queries("runs")[-1].get("cursor") == first == "z199"
        assert not it.store.listing("runs").at_head


async def test_a_search_that_finds_little_goes_on(autojump_clock) -> None:
    """Empty pages are not the end; but nobody is asked for ever."""
    engine = StandIn()
    cursors = iter(range(1_000))

    def answer(_: httpx.Request) -> RunPage:
        number = next(cursors)
        return page(*([run_row("found")] if number == 7 else []), next=f"c{number}")

    engine.answers["runs"] = answer
    async with fed(engine) as it:
        it.feed.show(Board("runs", "key:rare"))
        await trio.sleep(60)
        asked = [q.get("cursor") for q in engine.queries("runs")]
        assert asked == [None, *(f"c{n}" for n in range(SHORT_PAGES_MAX))]
        assert it.store.listing("runs").ids == ["found"]


# -- changing boards -------------------------------------------------------------------------------


async def test_a_page_of_another_filter_comes_too_late(autojump_clock) -> None:
    """What is answered for a filter that was left is not shown under the next one."""
    engine = StandIn()
    async with fed(engine) as it:
        await trio.sleep(1)
        engine.took_s = 1.0
        it.feed.show(Board("runs", "wf:old"))
        await trio.sleep(0.5)
        engine.answers["runs"] = page(run_row("new"))
        it.feed.show(Board("runs", "wf:new"))
        await trio.sleep(0.8)
        assert it.store.listing("runs").ids == []
        await trio.sleep(2)
        assert it.store.listing("runs").ids == ["new"]


async def test_a_page_that_was_asked_for_before_coming_back_is_dropped(autojump_clock) -> None:
    """There and back while a page is under way: it belongs to a window that is no more."""
    engine = StandIn()
    engine.answers["runs"] = many("a", "a199")
    async with fed(engine) as it:
        it.feed.show(RUNS)
        await trio.sleep(1)
        engine.took_s = 1.0
        it.feed.want_more(Edge.AFTER)
        await trio.sleep(0.5)
        it.feed.show(Board("runs", "wf:other"))
        it.feed.show(RUNS)
        engine.answers["runs"] = many("b", "b199")
        await trio.sleep(0.8)
        assert it.store.listing("runs").ids == []
        await trio.sleep(2)
        assert it.store.listing("runs").ids[0] == "b000"


async def test_a_board_that_is_come_back_to_is_still_there(autojump_clock) -> None:
    """Its rows are shown at once, and read again."""
    engine = StandIn()
    async with fed(engine) as it:
        it.feed.show(RUNS)
        await trio.sleep(1)
        it.feed.show(Board("causes"))
        await trio.sleep(1)
        it.feed.show(RUNS)
        assert it.store.listing("runs").ids == ["a", "b"]
        await trio.sleep(1)
        assert len(engine.reads("runs")) == 2
        it.feed.show(Board("runs", "is:stuck"))
        assert it.store.listing("runs").ids == []


async def test_a_list_that_is_held_whole_is_turned_where_it_is(autojump_clock) -> None:
    """And read again, as it may be another by now; under another filter nothing of it is kept."""
    engine = StandIn()
    async with fed(engine) as it:
        it.feed.show(RUNS)
        await trio.sleep(1)
        listing = it.store.listing("runs")
        ids = list(listing.ids)
        it.feed.show(replace(RUNS, newest_first=False))
        assert listing.ids == ids[::-1]
        await trio.sleep(1)
        assert len(engine.reads("runs")) == 2
        it.feed.show(replace(RUNS, q="is:failed"))
        assert listing.ids == []
