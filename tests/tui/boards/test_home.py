"""Home: whether all is well, in one line, and what is not below it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.text.times import rfc3339
from engine.wire import CauseList, CauseRow, Reason, RunPage
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing
from tests.tui.support import NOW
from tui.boards.home import ROWS_MIN, HomeRow, Section
from tui.boards.home import _rows_for as rows_for
from tui.data.inputs import CausesRead, LinkMoved, LinkState, RunsRead
from tui.data.listing import Edge

HOME = {"board": "home"}
DUE: list[dict[str, Any]] = [
    {"upToMs": 10_000, "attempts": 38},
    {"upToMs": 60_000, "attempts": 76},
    {"upToMs": 600_000, "attempts": 0},
    {"upToMs": None, "attempts": 1},
]
RATES = {"runsPerS": 3.1, "finishedPerS": 2.9, "attemptsPerS": 12.4}
HOLD = {"kind": "client", "name": "shop", "since": at(-9), "actor": "ada@desk", "waiting": 12,
        "reason": "bad deploy"}  # fmt: skip
WELL: dict[str, Any] = {"counts": {"completed": 10_204}, "stuckCount": 0, "lateCount": 0,
                        "hosts": [], "due": DUE, "rates": RATES}  # fmt: skip


def host(name: str, **more: Any) -> dict[str, Any]:
    """A host that got worse in the last minutes, unless more is said of it."""
    results = {"2xx": [9] * 8 + [5, 3, 1], "5xx": [0] * 8 + [4, 6, 3]}
    row = {"host": name, "ended": 90, "succeeded": 80, "p95Ms": 9, "byMinute": [[9, 8]] * 8,
           "inFlight": 0, "queued": 0, "results": results}  # fmt: skip
    return row | more


def causes(world: World, *runs: int) -> None:
    """So many runs for each of some causes."""
    rows = tuple(
        CauseRow(f"c{number}", count, 0, at(-99), at(-12), f"01K{number}", "order", "failed", None,
                 Reason("s", "charge", 402, "http-status", f"card_declined_{number}"))
        for number, count in enumerate(runs)
    )  # fmt: skip
    world.store.apply(CausesRead(CauseList(rows, sum(runs), 300_000)))


def running(world: World, *numbers: int) -> None:
    """These have been running for longest."""
    rows = tuple(run_row(number, submitted_at=at(-60 * number)) for number in numbers)
    world.store.apply(RunsRead("home", Edge.HEAD, RunPage(rows, len(rows), False)))


def home(test: Any, size: tuple[int, int] = (80, 24), **options: Any) -> None:
    """On a screen that begins with home."""
    showing(test, size=size, live=False, **(HOME | options))


# -- am I fine? ------------------------------------------------------------------------------------


def test_all_is_well_in_one_line() -> None:
    """At 80 by 24 it is the first line below the boards, and whole."""

    async def test(world: World) -> None:
        world.live(**WELL)
        lines = await world.shown()
        assert lines[1].startswith(" 0 Home  1 Runs ")
        told = "✓ All is well: nothing needs a person, no host is in trouble, nothing is held"
        assert lines[2].strip() == told

    home(test)


def test_what_is_dismissed_is_named() -> None:
    """It needs nobody until it comes again, and is there: in one line of 80 cells, too."""

    async def test(world: World) -> None:
        world.live(**WELL)
        world.store.apply(CausesRead(CauseList((), 0, 0, dismissed_causes=2, dismissed_runs=274)))
        told = "✓ All is well but for 274 dismissed: no host is in trouble, nothing is held"
        assert (await world.shown())[2].strip() == told
        world.live(**WELL | {"lateCount": 12})
        assert (await world.shown())[2].strip() == "late 12 · 274 dismissed"

    home(test)


@on_screen(board="home")
async def test_causes_are_read_again_when_fewer_runs_need_a_person(world: World) -> None:
    """A colleague has dismissed one: no event tells that."""
    world.live(**WELL | {"stuckCount": 7})
    causes(world, 6, 1)
    world.live(**WELL | {"stuckCount": 7})
    assert not world.store.listing("causes").outdated
    world.live(**WELL | {"stuckCount": 1})
    assert world.store.listing("causes").outdated


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"stuckCount": 1}, "✗ 1 run needs a person"),
        ({"stuckCount": 303}, "✗ 303 runs need a person"),
        ({"hosts": [host("erp:8080")]}, "erp:8080 got worse"),
        ({"hosts": [host("a"), host("b")]}, "2 hosts are in trouble"),
        ({"hosts": [host("a", ended=63, succeeded=0, results={})]}, "a is down"),
        ({"hosts": [host("a", breakerSince=at(-9), results={})]}, "a has its breaker open"),
        ({"lateCount": 12}, "late 12"),
        ({"lateCount": 10_000}, "late 10,000+"),
        ({"holds": [HOLD]}, "client shop is held"),
        ({"holds": [HOLD | {"kind": "all", "name": "*"}]}, "everything is held"),
        ({"holds": [HOLD, HOLD | {"name": "b"}]}, "2 holds"),
        ({"store": {"available": False}}, "the store cannot be written"),
        ({"draining": True}, "the engine is stopping"),
    ],
)  # fmt: skip
def test_what_is_not_well_is_said_first(status: dict[str, Any], told: str) -> None:
    """In the same line; and then it is not said that all is well."""

    async def test(world: World) -> None:
        world.live(**WELL | status)
        line = (await world.shown())[2]
        assert line.strip() == told
        world.live(**WELL)
        assert "All is well" in (await world.shown())[2]

    home(test)


def test_what_needs_a_person_stands_before_the_rest() -> None:
    """All of it is in the line, as far as there is room."""

    async def test(world: World) -> None:
        world.live(**WELL | {"stuckCount": 7, "hosts": [host("erp")], "holds": [HOLD]})
        told = "✗ 7 runs need a person · erp got worse · client shop is held"
        assert (await world.shown())[2].strip() == told

    home(test)


def test_who_sees_one_client_is_told_nothing_of_hosts() -> None:
    """Not that they are well either."""

    async def test(world: World) -> None:
        token = {"name": "t", "role": "read", "client": "shop"}
        world.live(counts={}, stuckCount=0, lateCount=0, due=DUE, token=token)
        lines = await world.shown()
        assert lines[2].strip() == "✓ All is well: nothing needs a person, nothing is held"
        assert not any("TRIES" in line for line in lines)

    home(test)


def test_what_is_not_heard_of_any_more_is_not_said_to_be_so() -> None:
    """When the engine has gone, it is told as it was."""

    async def test(world: World) -> None:
        world.live(**WELL)
        world.store.apply(LinkMoved(LinkState.LOST, "refused", 2, 3.0))
        assert (await world.shown())[2].strip().startswith("as it was: ✓ All is well")

    home(test)


# -- the rows --------------------------------------------------------------------------------------


def test_each_kind_has_its_rows() -> None:
    """Stuck by cause, hosts that got worse beside how they were, what is held by whom, what is due
    as a histogram, the oldest that runs, and how much is done."""

    async def test(world: World) -> None:
        more = {"stuckCount": 9, "hosts": [host("erp:8080"), host("ok", results={})],
                "holds": [HOLD]}  # fmt: skip
        world.live(**WELL | more)
        causes(world, 7, 2)
        running(world, 14, 3)
        lines = await world.shown()
        assert "7 402 card_declined_0" in line_with(lines, "STUCK")
        line_with(lines, "2 402 card_declined_1")
        row = line_with(lines, "HOSTS")
        for told in ("59% erp:8080 got worse", "0% before, 5xx 13", "▁▁▁▁▁▁▁▁▃▅▅"):
            assert told in row
        assert not any(" ok " in line for line in lines)
        assert "12 client shop" in line_with(lines, "HELD")
        assert "by ada@desk: bad d" in line_with(lines, "HELD")
        assert "38 <10s  ━━━━━━━━━━━━ " in line_with(lines, "DUE")
        line_with(lines, "76 <1m   ━━━━━━━━━━━━━━━━━━━━━━━━ ")
        line_with(lines, " 1 later ━ ")
        row = line_with(lines, "RUNNING")
        assert "▸ order 00000014 › charge" in row
        assert row.rstrip().endswith("14m00")
        row = line_with(lines, "TRIES")
        for told in ("12/s", "59% fail", "3.1/s submitted", "2.9/s ended"):
            assert told in row

    home(test)


def test_it_all_fits_whatever_has_happened() -> None:
    """At 80 by 24 no kind pushes another one off the screen; what there is no room for is
    counted. A taller screen has more of it."""

    async def test(world: World) -> None:
        holds = [HOLD | {"name": f"c{number}"} for number in range(9)]
        hosts = [host(f"h{number}") for number in range(9)]
        world.live(**WELL | {"stuckCount": 60, "hosts": hosts, "holds": holds, "lateCount": 3})
        causes(world, *range(9, 0, -1))
        running(world, *range(20, 10, -1))
        lines = await world.shown()
        for part in ("STUCK", "HOSTS", "HELD", "DUE", "RUNNING", "TRIES"):
            line_with(lines, part)
        line_with(lines, "more runs, for other reasons")
        line_with(lines, "more hosts")
        line_with(lines, "more holds: atomic holds ")
        line_with(lines, " 3 late")
        assert len(world.app.selection().ids) == 18
        await world.pilot.resize_terminal(140, 40)
        await world.pilot.pause()
        await world.shown()
        assert len(world.app.selection().ids) == 34

    home(test)


def test_what_is_stuck_is_counted_before_its_causes_are_read() -> None:
    """And what is stuck for causes beyond those that the engine lists."""

    async def test(world: World) -> None:
        world.live(**WELL | {"stuckCount": 303})
        assert "303 runs need a person" in line_with(await world.shown(), "STUCK")
        causes(world, 300)
        world.live(**WELL | {"stuckCount": 303})
        lines = await world.shown()
        assert "300 402 card_declined_0" in line_with(lines, "STUCK")
        line_with(lines, "3 more runs, for other reasons")

    home(test)


def test_what_a_hold_keeps_is_due_at_no_time() -> None:
    """So nothing is due; but something waits."""

    async def test(world: World) -> None:
        due = [each | {"attempts": 0} for each in DUE]
        world.live(**WELL | {"due": due, "holds": [HOLD], "counts": {"backing-off": 35}})
        told = "held: 35 back off, none is due"
        assert told in line_with(await world.shown(), "DUE")

    home(test)


def test_nothing_is_due() -> None:
    """That is said, not drawn."""

    async def test(world: World) -> None:
        world.live(**WELL | {"due": [each | {"attempts": 0} for each in DUE]})
        assert "nothing waits to be tried again" in line_with(await world.shown(), "DUE")

    home(test)


def test_a_run_that_has_ended_is_not_the_oldest() -> None:
    """Its row goes at once, not when the list is read again."""

    async def test(world: World) -> None:
        world.live(**WELL)
        running(world, 14, 3)
        await world.shown()
        run = run_row(14).id
        world.event("run", "run-moved", run, run, status="completed", rev=9)
        assert "00000003" in line_with(await world.shown(), "RUNNING")
        assert world.store.listing("home").outdated

    home(test)


def test_before_the_engine_has_told_anything() -> None:
    """It is said to be asked; nothing is said to be well."""

    async def test(world: World) -> None:
        lines = await world.shown()
        line_with(lines, "Connecting …")
        world.store.apply(LinkMoved(LinkState.LIVE))
        lines = await world.shown()
        line_with(lines, "reading the status …")
        assert not any("well" in line for line in lines)

    home(test)


@pytest.mark.parametrize("lines", range(0, 60, 7))
def test_rows_are_shared_out(lines: int) -> None:
    """What says nothing in part is there whole, some of each, and as many rows as there are lines
    and things."""
    wanted = {"STUCK": 20, "HOSTS": 1, "HELD": 0, "DUE": 5, "RUNNING": 10, "TRIES": 1}
    found = rows_for(wanted, lines)
    assert (found["DUE"], found["TRIES"], found["HELD"]) == (5, 1, 0)
    assert found["STUCK"] >= ROWS_MIN
    least = 5 + 1 + 1 + 2 * ROWS_MIN
    assert sum(found.values()) == min(sum(wanted.values()), max(least, lines))


def test_a_section_that_is_cut_tells_of_its_rest() -> None:
    """Its last row stands for what is behind; of what fits there is none."""
    rows = [HomeRow(f"{number}") for number in range(4)]
    section = Section(rows, lambda shown: HomeRow(f"rest of {shown}") if shown < 4 else None)
    assert [row.id for row in section.cut(4)] == ["0", "1", "2", "3"]
    assert [row.id for row in section.cut(3)] == ["0", "1", "rest of 2"]
    assert [row.id for row in Section(rows).cut(2)] == ["0", "1"]


def test_a_cursor_that_nobody_moved_is_on_what_needs_a_person() -> None:
    """What comes in above it goes before it, and so when its row leaves; on another row it stays
    there."""

    async def test(world: World) -> None:
        none = [each | {"attempts": 0} for each in DUE]
        world.live(**WELL | {"due": none})
        assert (await world.shown())[4].startswith("▌DUE")
        for more in ({"hosts": [host("a")]}, {"stuckCount": 3, "hosts": [host("a")]}):
            world.live(**WELL | more)
            lines = await world.shown()
        assert lines[4].startswith("▌STUCK")
        assert not any("has left" in line for line in lines)
        await world.press("j", "enter", "escape")
        world.live(**WELL | {"stuckCount": 3, "hosts": [host("a")], "holds": [HOLD]})
        causes(world, 2, 1)
        line_with(await world.shown(), "▌HOSTS")

    home(test)


# -- going on from it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("downs", "view", "q"),
    [
        (0, "runs", "is:stuck cause:c0"),
        (1, "runs", "is:live host:erp"),
        (2, "runs", "is:live client:shop"),
        (3, "retries", ""),
        (7, "run", ""),
        (8, "events", ""),
    ],
)
def test_enter_goes_deeper_and_escape_comes_back(downs: int, view: str, q: str) -> None:
    """Each row leads to what it is of, and home is where one comes back to."""

    async def test(world: World) -> None:
        world.live(**WELL | {"stuckCount": 7, "hosts": [host("erp")], "holds": [HOLD]})
        causes(world, 7)
        running(world, 14)
        world.trees = {}
        await world.shown()
        await world.press(*["j"] * downs, "enter")
        assert (world.app.looking.view, world.app.looking.filter) == (view, q)
        await world.press("escape")
        assert world.app.looking.view == "home"

    home(test)


def test_home_is_a_floor() -> None:
    """`esc` stays there, and `q` leaves the dashboard; another board is one too."""

    async def test(world: World) -> None:
        world.live(**WELL)
        await world.shown()
        await world.press("escape", "escape")
        assert world.app.looking.view == "home"
        await world.press("1", "escape")
        assert world.app.looking.view == "runs"
        lines = await world.press("0")
        assert world.app.looking.view == "home"
        assert "q Quit" in lines[-1]
        line_with(await world.press("s"), "what needs a person stands first here")

    home(test)


@on_screen(size=(160, 24))
async def test_the_row_under_the_cursor_is_told_in_whole(world: World) -> None:
    """What was cut on it stands below the board."""
    world.live(**WELL | {"stuckCount": 7, "holds": [HOLD]})
    causes(world, 7)
    line_with(await world.press("0"), "7 runs, 402 card_declined_0 · order")
    told = "by ada@desk: bad deploy; 12 steps waiting · atomic release client shop"
    assert told in (await world.press("j"))[-2]


@on_screen()
async def test_what_others_wrote_is_made_safe(world: World) -> None:
    """Names of hosts, clients, workflows and reasons are anybody's."""
    bad = "\x1b[31mred\u202e"
    world.live(**WELL | {"stuckCount": 2, "hosts": [host(bad)], "holds": [HOLD | {"name": bad}]})
    row = CauseRow("c", 2, 0, rfc3339(NOW), rfc3339(NOW), "01K", bad, "failed", None,
                   Reason("s", bad, 402, "http-status", bad))  # fmt: skip
    world.store.apply(CausesRead(CauseList((row,), 2, 300_000)))
    lines = await world.press("0", "j", "j")
    assert all(line.isprintable() for line in lines)
    assert "␛[31mred" in "".join(lines)
