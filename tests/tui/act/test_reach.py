"""What the token may not do is said beforehand: by keys that act, and by those that show bodies."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.access.token import Role
from engine.wire import AttemptRow, Status, status_of
from tests.tui.on_screen import (
    World,
    accepted,
    at,
    line_with,
    on_screen,
    run_row,
    showing,
    step_row,
)
from tui.data.reach import bound_to, releasing_takes, why_no_bodies, why_not_act

ACTS = "this token may read, not act (role read): that takes the role operate"
BODIES = "this token may not see bodies (role read): that takes the role operate"
READER = {"name": "looker", "role": "read", "client": None}


def told(**token: Any) -> Status:
    return status_of({"token": {"name": "t", "client": None} | token} if token else {})


@pytest.mark.parametrize("role", Role)
def test_what_each_role_may(role: Role) -> None:
    """As the table of routes has it, which the engine goes by."""
    status = told(role=role)
    may = role in (Role.OPERATE, Role.ADMIN)
    assert (why_not_act(status) == "", why_no_bodies(status) == "") == (may, may)
    assert (releasing_takes(status) == "") is may


@pytest.mark.parametrize("status", [told(), told(role="a-later-one"), Status()])
def test_what_is_not_known_is_left_to_the_engine(status: Status) -> None:
    """An engine without tokens, one that does not tell, a role of a later one."""
    assert (why_not_act(status), why_no_bodies(status), bound_to(status)) == ("", "", "")
    assert releasing_takes(status) == ""


def test_who_sees_one_client_releases_nothing() -> None:
    """Whatever the role."""
    status = told(role="operate", client="shop")
    assert (bound_to(status), why_not_act(status)) == ("shop", "")
    assert releasing_takes(status)


@pytest.mark.parametrize("key", ["R", "P", "C", "E", "M", "S", "K", "A", "D", "X", "z"])
@on_screen(size=(100, 24))
async def test_keys_that_act_say_so_before_any_question(world: World, key: str) -> None:
    """And nothing is asked of the engine."""
    world.live(token=READER)
    run = run_row(1, "failed")
    world.runs(run)
    world.tree(run, step_row(run.id, None, "failed"))
    for keys in ((key,), ("enter", key)):
        lines = await world.press(*keys)
        if "that is for" not in "".join(lines):
            line_with(lines, ACTS)
        assert len(world.app.screen_stack) == 1
        assert not world.app.prompt.kind
    assert world.posts == []


@on_screen(size=(100, 24))
async def test_a_whole_filter_and_the_menu_say_so_too(world: World) -> None:
    """Marked rows and all of a filter; the menu lists why of each."""
    world.live(token=READER)
    await world.lists(run_row(1, "failed"), run_row(2, "failed"))
    line_with(await world.press("a", "R"), ACTS)
    lines = await world.press("u", "x")
    assert sum("may read, not act" in line for line in lines) >= 6
    assert world.posts == []


@pytest.mark.parametrize("key", ["p", "b", "o", "e"])
@on_screen(size=(100, 24))
async def test_bodies_say_so(world: World, key: str) -> None:
    """Instead of a screen with a refusal on it. Nobody is asked for one, also not for the
    inspector, which says why it has none."""
    world.live(token=READER)
    run = run_row(1, "failed")
    world.runs(run)
    failed = step_row(
        run.id, None, "failed", http_status=402, error="http-status",
        attempt_rows=(AttemptRow(1, 1, "failure", at(-50), at(-40), 402, "http-status"),),
    )  # fmt: skip
    world.tree(run, failed)
    world.answers["/response"] = (403, {"detail": "it was asked"})
    world.answers["/payload"] = (403, {"detail": "it was asked"})
    lines = await world.open_first()
    world.clock.pass_s(1)
    line_with(lines, f"answer to try 1: {BODIES}")
    lines = await world.press(key)
    assert lines[-2].strip() == BODIES
    assert len(world.app.screen_stack) == 1
    assert "it was asked" not in "".join(lines)


@on_screen(size=(100, 24))
async def test_what_is_copied_without_a_body(world: World) -> None:
    """An id, a key and a URL are no bodies; what takes one is not offered, and says why."""
    world.live(token=READER)
    await world.lists(run_row(1))
    lines = await world.press("y")
    for name in ("payload", "answer", "curl"):
        assert "role read" in line_with(lines, f" {name} ")
    assert "role read" not in line_with(lines, "  key ")
    await world.press("p")
    assert len(world.app.screen_stack) == 2, "it cannot be chosen"


@on_screen(size=(100, 24))
async def test_a_token_that_gets_the_role_acts(world: World) -> None:
    """The status is read every few seconds: another token in the file is noticed."""
    run = run_row(1)
    world.answers["/actions"] = accepted(run)
    world.live(token=READER)
    lines = await world.lists(run)
    line_with(lines, "READ ONLY")
    await world.press("P")
    assert world.posts == []
    world.live(token=READER | {"role": "operate"})
    assert "READ ONLY" not in "".join(await world.shown())
    await world.press("P")
    assert [members["action"] for _, members in world.posts] == ["pause"]


@pytest.mark.parametrize(
    ("token", "cells", "says"),
    [
        (READER, 100, ""), (None, 100, ""),
        ({"name": "shop-desk", "role": "read", "client": "shop"}, 100,
         " token shop-desk, client shop alone "),
        ({"name": "shop-desk", "role": "read", "client": "shop"}, 80, " token shop-desk "),
        ({"name": "n" * 64, "role": "read", "client": "c" * 64}, 80, f" token {'n' * 23}… "),
    ],
)  # fmt: skip
def test_the_top_line_names_a_token_of_one_client(
    token: dict[str, Any] | None, cells: int, says: str
) -> None:
    """What is counted there is of that client alone. How much ends it is not told."""

    async def test(world: World) -> None:
        world.live(**({"token": token} if token else {"rates": {"finishedPerS": 3}}))
        top = (await world.shown())[0]
        assert top.endswith(says)
        assert ("token" in top) is bool(says)
        assert ("ended" in top) is (not says)

    showing(test, size=(cells, 24))


@on_screen()
async def test_who_sees_one_client_is_told_why_there_are_no_hosts(world: World) -> None:
    """They say something of the others."""
    world.live(token={"name": "shop-desk", "role": "read", "client": "shop"})
    lines = await world.press("4")
    line_with(lines, "This token tells of the client shop alone.")
    assert "reading" not in "".join(lines)
