"""Many steps below one: told in one line, listed when it is opened, searched, and sorted."""

from __future__ import annotations

import time
from typing import Any

from tests.tui.on_screen import World, at, line_with, on_screen, run_row
from tests.tui.on_screen import step_row as screen_row
from tests.tui.support import NOW, RUN, attempt_row, step_row, store_at, tree_read
from tui.act.open import open_run
from tui.boards.cells import Seen, text_of
from tui.boards.rest import Rest, median_text, rest_in_short, rest_lines, rest_of
from tui.boards.rows import GRIDS, BoardRows
from tui.boards.steptree import Arranged, lines
from tui.data.filter import step_filter, steps_fault
from tui.data.store import Store

FOLD = f"{RUN}+rest"


def wide(count: int = 100, **more: Any) -> Store:
    """A fan-out whose n-th step took n times 10 ms; the 40th failed first, then the 20th."""
    store = store_at()
    steps = []
    for n in range(1, count + 1):
        failed = n in (20, 40)
        status = "failed" if failed else "completed"
        ended = 50_000 + (40 - n) if failed else n * 10
        row = attempt_row(1, "failure" if failed else "success", 0, n * 10,
                          http_status=500 if failed else 200)  # fmt: skip
        why: dict[str, Any] = {
            "http_status": 500,
            "error": "http-status",
            "excerpt": f"deadlock {n}",
        }
        steps.append(
            step_row(f"ship{n:05}", status, parent=RUN, attempts=[row], ended=ended, **more,
                     **(why if failed else {}))
        )  # fmt: skip
    store.apply(tree_read(step_row(status="waiting"), *steps))
    return store


def rest(count: int = 100) -> Rest:
    return rest_of([step for step in wide(count).trees[RUN].steps.values() if step.parent_id])


def test_percentiles_are_of_steps_that_have_ended() -> None:
    """By nearest rank: half of a hundred took the fiftieth's time or less."""
    told = rest_of([step for step in wide().trees[RUN].steps.values() if step.parent_id])
    assert (told.percentile(50), told.percentile(95)) == (520, 970)  # two of them took 50 s
    assert median_text(told) == "p50 0.5s"
    assert told.slowest is not None
    assert told.slowest.name == "ship00020"
    one = rest(1)
    assert (one.percentile(50), one.percentile(95), one.percentile(100)) == (10, 10, 10)
    assert rest_of([]).percentile(50) is None


def test_the_line_and_the_inspector_tell_what_matters() -> None:
    """p50, p95, the slowest, and which failed first and why."""
    told = rest()
    short = " ".join(rest_in_short(told, Seen(NOW)))
    assert short == "p95 1.0s slowest 50s first ✗ 14:14:10"
    whole = [text_of(line) for line in rest_lines(told, Seen(NOW), 90, is_open=False)]
    assert whole[0] == "steps ×100  ✓98 ✗2"
    assert whole[1] == "took   p50 0.5s, p95 1.0s, slowest 50s (ship00020)"
    assert whole[2] == "failed first 14:14:10: ship00040: 500 deadlock 40"
    assert whole[4].strip("▁▇ ") == ""
    assert whole[-1].startswith("enter lists them")


def test_nothing_that_has_ended_has_no_times() -> None:
    """Its states are told all the same."""
    store = store_at()
    store.apply(
        tree_read(step_row(), *[step_row(f"s{n}", "pending", parent=RUN) for n in range(60)])
    )
    (_, line) = lines(store.trees[RUN])
    assert line.rest is not None
    assert (median_text(line.rest), rest_in_short(line.rest, Seen(NOW))) == ("", [])


def test_the_line_tells_of_those_with_lines_of_their_own_too() -> None:
    """What is folded is mostly well: what failed first stands beside it."""
    line = lines(wide().trees[RUN])[-1]
    assert line.rest is not None
    assert (len(line.rest.steps), line.rest.among) == (98, 100)
    assert "first ✗ 14:14:10" in rest_in_short(line.rest, Seen(NOW))
    told = [text_of(it) for it in rest_lines(line.rest, Seen(NOW), 90, is_open=False)]
    assert told[1].endswith("slowest 50s (ship00020), of all 100")


def test_a_fold_lists_all_and_folds_again() -> None:
    """Each of its steps has a line, below the one that tells of them all."""
    store = wide()
    folded = lines(store.trees[RUN])
    assert [line.id for line in folded[-2:]] == [f"{RUN}-ship00040", FOLD]
    assert folded[-1].collapsed
    found = lines(store.trees[RUN], Arranged(listed={RUN}))
    assert len(found) == 1 + 100 + 1
    at_fold = [line.id for line in found].index(FOLD)
    assert (at_fold, found[at_fold].prefix, found[at_fold].collapsed) == (3, "├─ ", False)
    assert (found[-1].id, found[-1].prefix) == (f"{RUN}-ship00100", "└─ ")


def test_children_are_sorted_by_took() -> None:
    """The slowest first; what has not ended goes on longer than what has."""
    store = store_at()
    running = step_row("runs", "running", parent=RUN, attempts=[attempt_row(1, "running", 5)])
    rows = [step_row(), running]
    rows += [step_row(f"s{n}", "completed", parent=RUN, ended=n,
                      attempts=[attempt_row(1, "success", 0, n)]) for n in range(3)]  # fmt: skip
    store.apply(tree_read(*rows, status="running", rev=9))
    shown = BoardRows(store)
    shown.looking.go("run")
    shown.looking.open_run(RUN)
    shown.looking.sort("next")
    shown.draw_run(GRIDS["run"], 80)
    names = [line.step.name for line in shown.looking.lines.values() if line.step]
    assert names[:5] == ["index", "runs", "s2", "s1", "s0"]


def test_a_filter_of_steps() -> None:
    """The language of runs, as far as steps have what it asks for; else it is said what they
    have."""
    steps = list(wide().trees[RUN].steps.values())

    def found(q: str) -> int:
        keeps = step_filter(q)
        assert keeps is not None
        return sum(map(keeps, steps))

    assert found("is:failed") == found("error:deadlock") == found("code:5xx") == 2
    assert found("deadlock is:failed !ship00020") == 1
    assert found("step:ship0000*") == 9
    assert found("!is:live") == 100
    assert found("is:stuck try:1") == 2
    assert found("host:app:9000 !step:ship*") == 1
    assert step_filter("  ") is None
    fault = steps_fault("is:failed wf:order")
    assert fault is not None
    assert (fault.at, fault.detail[:16]) == (10, "`wf:` is of runs")
    assert step_filter("wf:order") is None


def test_what_is_found_has_those_above_it() -> None:
    """And nothing is folded: what was asked for is all there."""
    store = wide(200)
    found = lines(store.trees[RUN], Arranged({RUN}, keeps=step_filter("is:completed")))
    assert len(found) == 1 + 198
    assert [line.id for line in lines(store.trees[RUN], Arranged(keeps=step_filter("nobody")))] == [
        RUN
    ]


def test_ten_thousand_are_listed_in_a_moment() -> None:
    """A screen waits for it each time that something of the run changes."""
    tree = wide(10_000).trees[RUN]
    begin = time.process_time()
    found = lines(tree, Arranged(listed={RUN}))
    assert len(found) == 10_002
    assert time.process_time() - begin < 2.0, "some 0.05 s on a quiet machine"


def fill(world: World, count: int = 500) -> str:
    """A wide run on the screen; two of its steps have failed among those that are folded."""
    run = run_row(1, "failed")
    world.runs(run)
    rows = [screen_row(run.id, None, "failed", attempt_rows=())]
    for n in range(count):
        status = "failed" if n % 10 == 3 else "completed"
        rows.append(screen_row(run.id, f"s{n:05}", status, attempt_rows=(), ended_at=at(n / 10)))
    world.tree(run, *rows)
    open_run(world.app, run.id)
    return run.id


@on_screen(size=(100, 30))
async def test_enter_opens_the_fold(world: World) -> None:
    """Then they are a list like any other, to its end; on the line itself they are folded again."""
    run_id = fill(world)
    lines = await world.press("G")
    line_with(lines, "▹ steps ×480  ✓450 ✗30")
    lines = await world.press("enter", "G")
    line_with(lines, "└─ ✓ s00499")
    assert len(world.app.selection().ids) == 502
    world.app.selection().move_to_id(f"{run_id}+rest")
    line_with(await world.press("enter"), "▹ steps ×480")
    line_with(await world.press("l"), "▾ steps ×480")
    line_with(await world.press("h"), "▹ steps ×480")
    line_with(await world.press("k", "l"), "no step is below s")
    assert world.posts == []


@on_screen(size=(100, 30))
async def test_the_next_problem_is_also_found_among_the_folded(world: World) -> None:
    """They are listed for it: of fifty that failed all are reached, and not twenty."""
    fill(world)
    await world.shown()
    seen = set()
    for _ in range(55):
        await world.press("n")
        seen.add(world.app.selection().cursor_id)
    assert len(seen) == 50 + 1  # the root failed by itself here


@on_screen(size=(100, 30))
async def test_a_run_is_searched(world: World) -> None:
    """`/` there; `esc` takes it back, and then the run."""
    fill(world)
    await world.shown()
    line_with(await world.press("slash"), " steps / ")
    world.app.prompt.field.value = "wf:order"
    line_with(await world.press("enter"), "of steps there are is:".replace("of", "Of"))
    world.app.prompt.field.value = "s0012"
    lines = await world.press("enter")
    line_with(lines, "filter s0012 · 10 of 501 steps")
    line_with(lines, "└─ ✓ s00129")
    assert len(world.app.selection().ids) == 11
    await world.press("escape")
    assert len(world.app.selection().ids) == 22
    assert world.app.looking.view == "run"
    await world.press("escape")
    assert world.app.looking.view == "runs"
