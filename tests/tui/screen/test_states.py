"""What stands on the screen when there is nothing to list, and when there is no room."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from engine.wire import ExpiredRow, RunPage
from tests.tui.golden import same
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, step_row
from tests.tui.support import store_at
from tui.boards.around.notices import Viewed, in_words, notice
from tui.boards.cells import text_of
from tui.data.inputs import LinkMoved, LinkState, RunsRead, TreeGone
from tui.data.listing import Edge
from tui.text.sanitize import width

REFUSED = "The engine at http://engine.test cannot be reached: All connection attempts failed"
UNTRUSTED = (
    "The engine at https://engine.test cannot be reached: [SSL: CERTIFICATE_VERIFY_FAILED]"
    " certificate verify failed: self-signed certificate (_ssl.c:1006)"
)
LOGIN = "GET http://engine.test/api/v1/events was answered HTTP 401 (text/html), not as the engine"

ASKS = "Unauthorized: This engine asks for a token: send `Authorization: Bearer atomic_…`. (401)"
MAY_NOT = "Forbidden: This takes the role read; the token billing has the role submit. (403)"


def first_run(world: World) -> None:
    """An engine that has never run anything."""
    world.live()
    world.runs()


def empty(world: World) -> None:
    """Nothing is open."""
    world.live(counts={"completed": 10_204})
    world.runs()


def restarted(world: World) -> None:
    """Another process of the engine answers than before."""
    world.live(counts={"running": 1})
    world.runs(run_row(1))
    world.store.apply(LinkMoved(LinkState.LOST, "reset", 1, 0.5))
    world.live(instance="two", startedAt=at(-1), counts={"running": 1})


def moved(state: LinkState, reason: str = "", tries: int = 0, delay_s: float = 0.0) -> (
    Callable[[World], None]
):  # fmt: skip
    """The connection is so, and never was otherwise."""
    return lambda world: world.store.apply(LinkMoved(state, reason, tries, delay_s))


NOBODY = "01K" + "9" * 23
STATES = {
    "first-run": first_run,
    "empty": empty,
    "connecting": lambda world: None,
    "loading": lambda world: world.live(),
    "error": moved(LinkState.LOST, REFUSED, 2, 4.0),
    "rejected": moved(LinkState.REJECTED, LOGIN),
    "unauthorized": moved(LinkState.UNAUTHORIZED, ASKS),
    "forbidden": moved(LinkState.FORBIDDEN, MAY_NOT),
    "untrusted": moved(LinkState.UNTRUSTED, UNTRUSTED),
    "restarted": restarted,
}


@pytest.mark.parametrize("state", STATES)
@on_screen(live=False)
async def test_each_state_has_its_picture(world: World, state: str) -> None:
    """What it is, why, and what can be done, in place of an empty table."""
    STATES[state](world)
    lines = [line.rstrip() for line in await world.shown()]
    same(f"state-{state}", "\n".join(lines) + "\n")


@on_screen(live=False)
async def test_a_lost_engine_is_tried_again_before_ones_eyes(world: World) -> None:
    """The countdown moves, and when the engine answers the board is there."""
    world.store.apply(LinkMoved(LinkState.LOST, REFUSED, 2, 4.0))
    line_with(await world.shown(), "next     try 2 in 4s")
    world.clock.pass_s(1)
    world.app.tick()
    line_with(await world.shown(), "next     try 2 in 3s")
    world.live()
    lines = await world.lists(run_row(1))
    line_with(lines, "STATE")
    line_with(lines, "order")
    assert not any("cannot be reached" in line for line in lines)


@on_screen()
async def test_what_was_read_stays_when_the_engine_goes(world: World) -> None:
    """Rows are not replaced by an explanation: they were true, and are marked as stale."""
    world.runs(run_row(1))
    world.store.apply(LinkMoved(LinkState.LOST, REFUSED, 2, 4.0))
    lines = await world.shown()
    line_with(lines, "charge")
    line_with(await world.press("2"), "The engine cannot be reached.")


@on_screen()
async def test_a_run_that_is_opened_while_the_engine_is_away(world: World) -> None:
    """What its row knows stands there, and that its steps will be read; then they are."""
    run = run_row(7, "backing-off", at={"status": "backing-off", "due_at": at(60)})
    await world.lists(run)
    world.store.apply(LinkMoved(LinkState.LOST, REFUSED, 2, 2.0))
    lines = await world.press("enter")
    for told in ("order 00000007  ↻ backing-off", "client   shop", "key      key-7",
                 "age      1m00", "step     charge", "host     pay.test", "tries    2/12",
                 "next     ≈1m00", "last     503", "Its steps are read when the engine",
                 "The engine cannot be reached."):  # fmt: skip
        line_with(lines, told)
    world.live()
    world.tree(run, step_row(run.id, None, "running"), step_row(run.id, "charge", "running"))
    assert not any("cannot be reached" in line for line in await world.shown())
    line_with(await world.shown(), "└─ ▸ charge")


@on_screen()
async def test_the_drawer_is_there_again_when_there_are_steps(world: World) -> None:
    """In whatever shape the terminal was while there were none."""
    run = run_row(7)
    world.runs(run)
    world.store.apply(LinkMoved(LinkState.LOST, REFUSED, 2, 2.0))
    await world.open_first()
    await world.pilot.resize_terminal(140, 40)
    await world.pilot.pause()
    await world.shown()
    await world.pilot.resize_terminal(80, 24)
    world.live()
    world.tree(run, step_row(run.id, None, "running"))
    line_with(await world.shown(), "POST   http://pay.test/order")
    await world.pilot.resize_terminal(140, 40)
    await world.pilot.pause()
    line_with(await world.shown(), "POST   http://pay.test/order")


@on_screen()
async def test_a_run_that_is_not_there_is_said_to_be_gone(world: World) -> None:
    """It is not `reading` for ever."""
    await world.press("colon", *"run", "space", *NOBODY, "enter")
    line_with(await world.shown(), "reading run 99999999")
    world.store.apply(TreeGone(NOBODY))
    line_with(await world.shown(), "knows no run 99999999")


@pytest.mark.parametrize("cells", [20, 38, 58, 78])
def test_notices_fit(cells: int) -> None:
    """At every width, with an address and an error that are longer than the screen."""
    store = store_at()
    url = f"https://ada:secret@engine.test/{'x' * 100}"
    for state in LinkState:
        store.apply(LinkMoved(state, f"{UNTRUSTED} {'y' * 200}", 2, 4.0))
        for view in ("home", "runs", "retries", "causes", "hosts", "events", "jobs", "run"):
            told = [text_of(line) for line in notice(store, Viewed(view=view, url=url), cells)]
            assert told
            assert not any("secret" in line for line in told)
            if cells >= 58:
                assert all(width(line) <= cells for line in told), told


def test_a_list_by_key_says_what_retention_removed() -> None:
    """In the place of that nothing matches; with the next filter it is forgotten."""
    store, asked = store_at(), Viewed(view="runs", url="", q="key:k")
    store.apply(LinkMoved(LinkState.LIVE, "", 0, 0.0))
    row = ExpiredRow("01Z", "shop", "order", "k", "failed", at(-9), "2026-10-02T12:00:00.000Z")
    gone = (replace(row, removed_at="2026-11-01T12:00:00.000Z"), *[row] * 4)
    store.apply(RunsRead("runs", Edge.HEAD, RunPage((), 0, False, None, gone)))
    told = [text_of(line) for line in notice(store, asked, 80)]
    assert told[:4] == [
        "Retention removed shop / order / k", "failed 2026-10-02, removed 2026-11-01; run 01Z",
        "Retention removed shop / order / k", "failed 2026-10-02; run 01Z",
    ]  # fmt: skip
    assert told[6:] == ["and 2 more of that key"]
    store.apply(RunsRead("runs", Edge.HEAD, RunPage((), 0, False)))
    assert text_of(notice(store, asked, 80)[0]) == "Nothing matches key:k"


def test_errors_are_told_in_words() -> None:
    """What the system calls it says little to most; what is not known is left as it is."""
    assert in_words(REFUSED) == "nothing answers there: the connection was refused"
    assert in_words("[Errno -2] Name or service not known") == "there is no host of that name"
    assert in_words(UNTRUSTED) == "self-signed certificate"
    assert in_words("the engine closed the stream") == "the engine closed the stream"


def test_a_recording_has_no_more_than_is_in_it() -> None:
    """A board that was not looked at while it was made."""
    asked = Viewed(view="causes", url="", is_recording=True)
    assert notice(store_at(), asked, 70) == [("Not in this recording.", "dim")]


@on_screen()
async def test_hint_until_the_help_was_read(world: World) -> None:
    """One dim line says how to find everything, until `?` was pressed once."""
    first_run(world)
    assert any("? keys · / filter · enter opens" in line for line in await world.shown())
    await world.press("question_mark")
    lines = await world.press("escape")
    assert not any("? keys · / filter" in line for line in lines)


@on_screen()
async def test_the_hint_has_no_key_that_does_nothing_here(world: World) -> None:
    """What is stuck cannot be filtered, so it does not say that `/` does."""
    lines = await world.press("3")
    line_with(lines, "? keys · enter opens")


@on_screen()
async def test_a_terminal_without_room(world: World) -> None:
    """One line says what there is and what is needed; no key acts; room brings all back."""
    first_run(world)
    await world.lists(run_row(1))
    for size, told in (((52, 10), "too small: have 52×10, need 60×12"), ((59, 40), "59×40"),
                       ((200, 11), "200×11")):  # fmt: skip
        await world.pilot.resize_terminal(*size)
        lines = await world.shown()
        assert told in lines[0]
        assert "".join(lines[1:]).strip() == ""
        await world.press("P", "enter", "2")
        assert (world.posts, world.app.looking.view) == ([], "runs")
    await world.pilot.resize_terminal(60, 12)
    await world.pilot.pause()
    lines = await world.shown()
    line_with(lines, "STATE")
    assert world.app.grid().has_focus


@on_screen()
async def test_a_question_is_covered_too(world: World) -> None:
    """What is asked cannot be answered unseen, and is there again afterwards."""
    await world.lists(run_row(1))
    await world.press("C")
    await world.pilot.resize_terminal(52, 10)
    world.clock.pass_s(1)
    await world.press("y")
    assert world.posts == []
    await world.pilot.resize_terminal(80, 24)
    await world.pilot.pause()
    line_with(await world.shown(), "Cancel?")


@on_screen(size=(52, 10), live=False)
async def test_a_dashboard_that_begins_without_room(world: World) -> None:
    """It says so from the start."""
    assert "too small: have 52×10" in (await world.shown())[0]


def test_the_token_file_is_named() -> None:
    """Which file's token was sent, for both refusals; without one, where to name it."""
    for state in (LinkState.UNAUTHORIZED, LinkState.FORBIDDEN):
        store = store_at()
        store.apply(LinkMoved(state, "No."))
        asked = Viewed(view="runs", url="http://engine.test", token_file="/etc/a\x1b.token")
        told = "\n".join(text_of(line) for line in notice(store, asked, 70))
        assert "token of /etc/a" in told
        assert "\x1b" not in told
        bare = Viewed(view="runs", url="http://engine.test")
        lines = [text_of(line) for line in notice(store, bare, 70)]
        assert not any(line.startswith("token of") for line in lines)
