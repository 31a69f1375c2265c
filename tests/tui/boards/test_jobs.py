"""Bulk jobs: what they left alone, what came of their runs, and that their end is told."""

from __future__ import annotations

from typing import Any

import httpx
import trio
from msgspec import to_builtins

from engine.wire import BulkAnswer, BulkList, FailedRuns
from tests.tui.engine_stand_in import StandIn, fed
from tests.tui.on_screen import World, line_with, on_screen
from tests.tui.support import NOW, store_at
from tui.boards.cells import Seen, text_of
from tui.boards.jobs import (
    begin_told,
    came_cell,
    end_told,
    how_far,
    job_cells,
    job_told,
    left_alone,
    not_come_to,
)
from tui.data.feed import JOB_EVERY_S, Board
from tui.data.inputs import JobRead, JobsRead

RUNS = {"completed": 57, "failed": 2, "running": 1}


def job(state: str = "done", **more: Any) -> BulkAnswer:
    """60 of 64 were retried."""
    given: dict[str, Any] = {"matched": 64, "total": 61, "done": 60, "rate_per_s": 20}
    given |= {"skipped": {"it is paused": 3, "it has ended meanwhile": 1}} | more
    failures = (FailedRuns(503, None, 2),) if "runs" in more else ()
    return BulkAnswer(
        "01K-67VZ0G3G",
        state,
        "retry",
        "is:stuck cause:9",
        started_at="",
        failures=failures,
        **given,
    )


def told(of: BulkAnswer) -> str:
    return " · ".join(text for text, _ in job_told(of))


def test_what_was_left_alone_and_what_was_not_come_to() -> None:
    """Two figures: the action did not fit the one, the other is still to come, or never will."""
    stopped = job("aborted", done=10, stopped_because="by ana")
    assert (left_alone(stopped), not_come_to(stopped)) == (4, 50)
    cells = {key: text_of(cell) for key, cell in job_cells(stopped, Seen(NOW)).items()}
    assert (cells["done"], cells["left"], cells["came"]) == ("10 of 61", "4", "by ana")
    assert told(stopped) == (
        "job 67VZ0G3G · 1 left alone: it has ended meanwhile · 3 left alone: it is paused"
        " · 50 not come to · by ana"
    )


def test_what_came_of_its_runs() -> None:
    """In the words of the command line; what failed has failed again."""
    came = "57 completed, 2 failed again (503), 1 running"
    of = job(runs=RUNS)
    assert text_of(job_cells(of, Seen(NOW))["came"]) == came
    assert f"60 retried: {came}" in told(of)
    assert end_told(of) == (f"job 67VZ0G3G ended: 60 of 61 retried: {came}", "alarm")
    well = job(runs={"completed": 60})
    assert end_told(well) == ("job 67VZ0G3G ended: 60 of 61 retried: 60 completed", "strong")


def test_who_began_it_is_told_where_it_has_no_column() -> None:
    """In the line below the board."""
    assert told(job(actor="carla@desk")).startswith("job 67VZ0G3G by carla@desk · ")
    assert told(job()).startswith("job 67VZ0G3G · ")


def test_what_is_not_read_yet_is_not_nothing() -> None:
    """A list of jobs does not count what came of their runs; of none acted on nothing came."""
    assert came_cell(job())[0] == "not read yet"
    assert came_cell(job(done=0))[0] == came_cell(job(runs={}))[0] == "—"


def test_how_far_it_is() -> None:
    """By its rate; of a canary what it waits for."""
    assert how_far(job("running", done=20)) == "about 2s left"
    assert how_far(job("running", done=5, first=5)) == "waits until the first 5 have completed"
    assert how_far(job("running", done=5, first=5, first_completed=True)) == "about 2s left"


def test_a_list_does_not_take_back_what_is_known() -> None:
    """It does not count what came of the runs; and a job that ends is told of once."""
    store = store_at()
    store.apply(JobsRead((job("running"),)))
    store.apply(JobRead(job(runs=RUNS)))
    assert store.jobs_ended == ["01K-67VZ0G3G"]
    store.jobs_ended.clear()
    store.apply(JobsRead((job(),)))
    kept = store.job("01K-67VZ0G3G")
    assert kept is not None
    assert (kept.runs, kept.failures) == (RUNS, (FailedRuns(503, None, 2),))
    assert store.jobs_ended == []


def acts_as(of: BulkAnswer, who: str = "carla@desk") -> dict[str, Any]:
    """What an event says of a job's act."""
    return {"action": "retry", "actor": f"{who} bulk:{of.id}"}


async def test_another_s_job_is_heard_of(autojump_clock: object) -> None:
    """By its acts, from any board: it is read, each second while it runs, and not once more than
    needed where that is refused."""
    engine = StandIn()
    path = "bulk/01K-67VZ0G3G"
    engine.answers[path] = job("running", actor="carla@desk")
    async with fed(engine) as it:
        it.feed.show(Board("home"))
        await trio.sleep(1)
        for _ in range(3):
            engine.happens("acted", status="backing-off", **acts_as(job()))
        await trio.sleep(3 * JOB_EVERY_S)
        assert it.store.jobs_begun == ["01K-67VZ0G3G"]
        engine.answers[path] = job("aborted", runs=RUNS)
        await trio.sleep(2 * JOB_EVERY_S)
        assert it.store.jobs_ended == ["01K-67VZ0G3G"]
        assert len(it.store.take_moved_jobs()) == 1
        engine.answers["bulk/other"] = httpx.Response(404, json={"type": "/problems/not-found"})
        engine.happens("acted", status="backing-off", action="retry", actor="ana bulk:other")
        await trio.sleep(5 * JOB_EVERY_S)
        assert len(engine.reads("bulk/other")) == 1
        assert not it.refusals
        assert not it.store.take_moved_jobs()


@on_screen(actor="me@desk")
async def test_another_s_job_is_told_of_on_any_board(world: World) -> None:
    """That it began and how it ended, by whom; `X` from there is for one's own."""
    running = job("running", actor="carla@desk")
    world.event("step", "acted", "01R", "01R", status="backing-off", rev=9, **acts_as(running))
    assert world.store.jobs_heard == {running.id}
    world.store.apply(JobRead(running))
    line_with(await world.shown(), "job 67VZ0G3G by carla@desk began: retry 61 runs · 6 shows it")
    line_with(await world.press("X"), "the job that runs is another's: 6 chooses it")
    world.store.apply(JobRead(job("aborted", done=5, actor="carla@desk")))
    line_with(await world.shown(), "job 67VZ0G3G by carla@desk stopped: 5 of 61 retried")
    assert (
        begin_told(job(total=1), "ana")[0] == "job 67VZ0G3G by ana began: retry 1 run · 6 shows it"
    )


async def test_a_job_is_read_until_its_runs_have_ended(autojump_clock: object) -> None:
    """While it runs from any board, and then while it is looked at: each second, and no more when
    nothing can come of it."""
    engine = StandIn()
    path = "bulk/01K-67VZ0G3G"
    engine.answers["bulk"] = BulkList((job("running"),))
    engine.answers[path] = job("running")
    async with fed(engine) as it:
        it.feed.show(Board("jobs"))
        await trio.sleep(0.5)
        it.feed.show(Board("causes"))
        await trio.sleep(3 * JOB_EVERY_S)
        assert len(engine.reads(path)) >= 3
        engine.answers["bulk"] = BulkList((job(),))
        engine.answers[path] = job(runs=RUNS)
        await trio.sleep(2 * JOB_EVERY_S)
        assert it.store.jobs_ended == ["01K-67VZ0G3G"]
        read = len(engine.reads(path))
        await trio.sleep(10)
        assert len(engine.reads(path)) == read, "it is over, and nobody looks at it"
        it.feed.look_at_job("01K-67VZ0G3G")
        await trio.sleep(3 * JOB_EVERY_S)
        assert len(engine.reads(path)) > read + 1, "one of its runs still goes on"
        engine.answers[path] = job(runs={"completed": 60})
        await trio.sleep(2 * JOB_EVERY_S)
        read = len(engine.reads(path))
        await trio.sleep(10)
        assert len(engine.reads(path)) == read


@on_screen(size=(140, 30))
async def test_a_job_lists_its_runs_and_tells_of_its_end(world: World) -> None:
    """Not those that its filter finds now: after a success these are none."""
    world.store.apply(JobsRead((job("running"),)))
    lines = await world.press("2", "6")
    line_with(lines, "reading retries")  # the board that it was opened from
    line_with(lines, "q Back")
    line_with(lines, "LEFT ALONE")
    line_with(lines, "3 left alone: it is paused")
    world.store.apply(JobRead(job(runs=RUNS)))
    line_with(await world.shown(), "job 67VZ0G3G ended: 60 of 61 retried: 57 completed, 2 failed")
    await world.press("q")
    assert world.app.looking.view == "retries"
    await world.press("6", "enter")
    assert world.app.looking.view == "runs"
    assert world.app.looking.filter == "job:01K-67VZ0G3G"
    assert to_builtins(world.posts) == []
