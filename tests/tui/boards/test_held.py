"""What is held, on the boards, a run's page and the top line: in the words of `atomic holds`."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from engine.wire import HoldRow
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tests.tui.support import NOW
from tui.boards.held import hold_text
from tui.text import fmt

BY_ADA: dict[str, Any] = {"kind": "client", "name": "shop", "since": at(-9), "actor": "ada"}
DEPLOY = BY_ADA | {"reason": "bad deploy", "waiting": 3}
AT_DESK = DEPLOY | {"actor": "ada@desk"}
LATER = BY_ADA | {"kind": "host", "name": "b", "actor": "bob@desk", "since": at(-4)}
IN_WORDS = f"held: client shop since {fmt.time_of_day(NOW - 9_000)} by ada: bad deploy"
ROW = HoldRow(**{**BY_ADA, "reason": "bad deploy"})
PENDING = {"status": "pending", "attempts": 0, "failures": 0, "started_at": None}
OPERATOR = {"name": "desk", "role": "operate", "client": None}


def test_a_hold_in_words() -> None:
    """As the command has it; of another day with its date, and of one released how it lets go."""
    row = HoldRow("client", "shop", at(0), "ada", reason="bad deploy", waiting=1)
    told = "by ada: bad deploy; 1 step waiting"
    assert hold_text(row, NOW, UTC) == f"held: client shop since 14:13:20 {told}"
    assert hold_text(row, NOW + 86_400_000, UTC) == (
        f"held: client shop since 2026-09-21 14:13:20 {told}"
    )
    released = HoldRow("host", "app", at(0), "ada", released_at=at(5), rate_per_s=5, waiting=2_000)
    assert hold_text(released, NOW, UTC) == (
        "released: host app at 14:13:25, 5 a second; 2,000 steps waiting"
    )
    assert hold_text(HoldRow("host", "app", "long ago", "ada"), NOW) == (
        "held: host app since long ago by ada"
    )


@pytest.mark.parametrize(
    ("holds", "cells", "told"),
    [
        ([AT_DESK], 140, "  held: client shop since 14:13:11 by ada@desk, 3 waiting"),
        ([AT_DESK], 96, "  held: client shop since 14:13:11 by ada, 3 waiting"),
        ([AT_DESK], 82, "  held since 14:13:11 by ada, 3 waiting"),
        ([AT_DESK], 80, "  held since 14:13:11 by ada  "),
        ([AT_DESK], 60, "  1 hold, 3 waiting"),
        ([BY_ADA], 120, "  held: client shop since 14:13:11 by ada  "),
        ([DEPLOY, LATER], 120, "  2 holds, the last since 14:13:16 by bob"),
        ([LATER, DEPLOY], 60, "  2 holds"),
        ([BY_ADA | {"name": "x" * 64}], 120, "held: client xxxxxxxxxxxxxxxxxxxxxxx… since 14:13"),
        ([BY_ADA | {"releasedAt": at(0)}], 120, ""), ([], 120, ""),
    ],
)  # fmt: skip
def test_the_top_line_says_that_something_is_held(
    holds: list[dict[str, Any]], cells: int, told: str
) -> None:
    """Since when and by whom, one also by its name where there is room; and nothing of one that was
    released."""

    async def test(world: World) -> None:
        world.live(holds=holds)
        top = (await world.shown())[0]
        assert told in top
        assert bool(told) is ("held" in top or "hold" in top)

    showing(test, size=(cells, 24))


@on_screen(size=(120, 30))
async def test_the_list_says_which_runs_are_held_by_whom_and_why(world: World) -> None:
    """What would start stands as held; a call in flight goes on, and what has ended or is paused
    says its own reason. The foot has the whole of it, and the command."""
    world.live(holds=[DEPLOY])
    await world.lists(
        run_row(1, "running", at=PENDING),
        run_row(2, "running"),
        run_row(3, "backing-off", at={"due_at": at(7), "attempts": 1}),
        run_row(4, "backing-off", at={"due_at": at(-7), "attempts": 1}),
        run_row(5, "paused"),
        run_row(6, "failed"),
        run_row(7, "running", at=PENDING, client="billing"),
    )
    lines = await world.shown()
    for number, next_one in (1, "held"), (2, "▸ 3s"), (3, "in 7s"), (4, "held"):
        row = line_with(lines, f"0000000{number}")
        assert f" {next_one} " in row
        assert "held by ada: bad deploy" in row
    for number in (5, 6, 7):
        assert "held" not in line_with(lines, f"0000000{number}")
    foot = line_with(lines, "row 1 of 7")
    assert f"{IN_WORDS}; 3 steps waiting · atomic" in foot
    world.live(holds=[])
    assert "held" not in "".join(await world.shown())


@on_screen()
async def test_a_narrow_list_says_it_of_the_row_under_the_cursor(world: World) -> None:
    """Who, why, and the command as far as there is room."""
    world.live(holds=[BY_ADA | {"reason": "why"}])
    lines = await world.lists(run_row(1, "running", at=PENDING))
    assert "held by ada: why · atomic release" in line_with(lines, "row 1 of 1")


@pytest.mark.parametrize(
    ("hold", "is_on"),
    [
        ({"kind": "workflow", "name": "order"}, True),
        ({"kind": "host", "name": "pay.test"}, True),
        ({"kind": "host", "name": "pay.test:80"}, True),
        ({"kind": "host", "name": "pay.test:443"}, False),
    ],
)  # fmt: skip
@on_screen()
async def test_holds_of_each_kind(world: World, hold: dict[str, str], is_on: bool) -> None:
    """By the run's workflow, or the host of the step at which it is."""
    world.live(holds=[BY_ADA | hold])
    lines = await world.lists(run_row(1, "running", at=PENDING))
    assert (" held " in line_with(lines, "00000001")) is is_on


def held_run(world: World, *, name: str = "charge", **status: Any) -> None:
    """A run of which a step is held, as it is read."""
    world.live(**status)
    run = run_row(1)
    root = step_row(run.id, None, "running")
    step = step_row(run.id, name, "pending", attempts=0, attempt_rows=(), held_since=at(-5))
    world.runs(run)
    world.tree(run, root, step)
    world.tree_held(run.id, ROW)


@pytest.mark.parametrize("status", [{"holds": [DEPLOY]}, {}])
def test_a_run_says_by_what_it_is_held(status: dict[str, Any]) -> None:
    """The step that cannot start, by whom and why, and the command; also to who is not told of
    holds by the status, as the run itself tells."""

    async def test(world: World) -> None:
        held_run(world, token=OPERATOR, **status)
        lines = await world.open_first("j")
        assert " held " in line_with(lines, "└─ ◌ charge")
        line_with(lines, IN_WORDS.replace("held: ", "held   "))
        line_with(lines, "atomic release client shop lets it start")
        line_with(lines, f"maxElapsed stands still since {fmt.time_of_day(NOW - 5_000)}")
        assert IN_WORDS in line_with(lines, "Runs › order")
        line_with(await world.press("k"), "atomic release client shop")

    showing(test, size=(140, 30))


@on_screen(size=(140, 30))
async def test_a_hold_that_is_over_is_told_no_more(world: World) -> None:
    """When the last step that was held has started, whatever was read with the run."""
    held_run(world)
    assert "held" in "".join(await world.open_first("j"))
    run = run_row(1)
    world.event("attempt", "started", run.id, f"{run.id}-charge", number=1, status="running", rev=4)
    assert "held" not in "".join(await world.shown())


@pytest.mark.parametrize(
    "token", [{"role": "read", "client": None}, {"role": "operate", "client": "shop"}]
)
@on_screen(size=(240, 30))
async def test_who_may_not_release_is_told_what_that_takes(
    world: World, token: dict[str, Any]
) -> None:
    """The command names what to do, and is not offered as if it worked."""
    held_run(world, token={"name": "t"} | token)
    lines = await world.open_first("j")
    line_with(lines, "of the role operate that is bound to no client")


@on_screen(size=(120, 24))
async def test_the_board_of_hosts_says_which_is_held(world: World) -> None:
    """Also one that nobody calls; by whom, why and how it ends of the one under the cursor."""
    hold = BY_ADA | {"kind": "host", "name": "smtp:2525", "reason": "it sends twice"}
    world.live(hosts=[], holds=[hold])
    lines = await world.press("4")
    line_with(lines, "▌held smtp:2525")
    foot = line_with(lines, "1 host")
    assert "by ada: it sends twice · atomic release host smtp:2525" in foot


@on_screen(size=(160, 24))
async def test_what_others_wrote_is_made_safe(world: World) -> None:
    """A reason is anybody's text, and so is who says to have acted."""
    hold = {"reason": "\x1b[31mred\u202e", "actor": "\x9bada", "name": "\x1b]0;x\x07"}
    world.live(holds=[BY_ADA | hold, BY_ADA | {"kind": "host"} | hold], hosts=[])
    await world.lists(run_row(1, at=PENDING, client="\x1b]0;x\x07"))
    for lines in (await world.shown(), await world.press("4")):
        assert all(line.isprintable() for line in lines)
        assert "\u241b[31mred\u2426" in "".join(lines)


@on_screen(size=(240, 24))
async def test_all_holds_on_a_run_are_told(world: World) -> None:
    """To release one of them is not enough."""
    other = {"kind": "workflow", "name": "order", "actor": "bob", "reason": "also"}
    world.live(holds=[BY_ADA | {"reason": "why"}, BY_ADA | other])
    run = run_row(1, "running", at=PENDING)
    world.tree(run, step_row(run.id, None, "running"))
    lines = await world.lists(run)
    assert "held by ada and 1 more: why" in line_with(lines, "00000001")
    foot = line_with(lines, "row 1 of 1")
    assert "atomic release client shop" in foot
    assert "by bob: also · atomic release workflow order" in foot
    lines = await world.open_first()
    line_with(lines, "atomic release client shop")
    line_with(lines, "atomic release workflow order")
