"""The brake: nothing more of a client, of a workflow or to a host starts, until it is released."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from msgspec import to_builtins

from engine.wire import CauseList, CauseRow, RetryPage, StepAt
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tests.tui.support import retry_row
from tui.act.open import open_run
from tui.data.inputs import CausesRead, RetriesRead
from tui.keys import BY_ID

BY_ADA: dict[str, Any] = {"kind": "client", "name": "shop", "since": at(-9), "actor": "ada",
                          "waiting": 40}  # fmt: skip
HOST: dict[str, Any] = {"host": "pay.test", "ended": 9, "succeeded": 9, "p95Ms": 9,
                        "byMinute": [[9, 9]] * 8, "inFlight": 3, "queued": 0}  # fmt: skip
OPEN = "pending,running,backing-off,waiting,paused"


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """With which parameters lists of runs were asked for."""
    found: list[dict[str, str]] = []
    answer = World._answer

    async def noted(world: World, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and request.url.path.endswith("/runs"):
            query = parse_qs(request.url.query.decode())
            found.append({name: values[0] for name, values in query.items()})
        return await answer(world, request)

    monkeypatch.setattr(World, "_answer", noted)
    return found


def counts(world: World, total: int, *, is_estimate: bool = False) -> None:
    """So many runs are found, whatever is asked for."""
    page = {"runs": [], "total": total, "totalIsEstimate": is_estimate, "next": None}
    world.answers["/runs"] = (200, page)


def held(world: World, *holds: dict[str, Any]) -> None:
    """The engine holds these, and says so."""
    world.answers["/holds"] = (200, {"holds": list(holds), "waiting": 40})
    world.live(holds=holds, hosts=[HOST])


async def yes(world: World) -> list[str]:
    """Answer the question that is on the screen."""
    world.clock.pass_s(1)
    return await world.press("y")


# -- holding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "kind", "name", "param"),
    [
        ("c", "client", "shop", {"client": "shop"}),
        ("w", "workflow", "order", {"workflow": "order"}),
        ("h", "host", "pay.test", {"q": "is:live host:pay.test"}),
    ],
)
def test_what_comes_is_held_too(
    key: str, kind: str, name: str, param: dict[str, str], asked: list[dict[str, str]]
) -> None:
    """S3-28 of the tour: a mark pauses what is there, and what comes in the next second runs. One
    key holds the row's client, its workflow or its host: which of them is asked, then why, and what
    it would hold is counted before the question is answered."""

    async def test(world: World) -> None:
        world.live(hosts=[HOST])
        await world.lists(run_row(1))
        counts(world, 14)
        lines = await world.press("H")
        for told in ("c  client shop", "w  workflow order", "h  host pay.test"):
            line_with(lines, told)
        await world.press(key)
        lines = await world.press(*"bad", "space", *"deploy", "enter")
        line_with(lines, "Hold it?")
        line_with(lines, f"{kind} {name}")
        line_with(lines, "bad deploy")
        line_with(lines, "holds 14 open runs")
        line_with(lines, "and what comes")
        line_with(lines, "in flight are let end")
        assert all(param.items() <= each.items() for each in asked)
        assert world.posts == [], "nothing is held before it is answered"
        world.answers["/holds"] = (200, BY_ADA | {"kind": kind, "name": name})
        lines = await yes(world)
        line_with(lines, f"held: {kind} {name} · H again releases it")
        assert world.posts == [
            ("/api/v1/holds", {"kind": kind, "name": name, "reason": "bad deploy"})
        ]
        assert world.store.status_outdated, "the top line says it soon"

    showing(test)


@on_screen()
async def test_open_runs_and_those_in_flight_are_counted(
    world: World, asked: list[dict[str, str]]
) -> None:
    """Of a client by two numbers of the engine's, without reading any run."""
    await world.lists(run_row(1))
    counts(world, 10_000, is_estimate=True)
    lines = await world.press("H", "w", "enter")
    line_with(lines, "holds 10,000+ open runs, and what comes")
    assert asked == [
        {"workflow": "order", "status": OPEN, "limit": "1"},
        {"workflow": "order", "status": "running", "limit": "1"},
    ]


@on_screen()
async def test_a_host_is_held_on_its_board(world: World) -> None:
    """There is nothing to choose; a name without a port holds at every port, and that is said. How
    many calls are let end is known of it."""
    world.live(hosts=[HOST, HOST | {"host": "z.test:9000"}])
    counts(world, 1)
    lines = await world.press("4", "H")
    assert "why" in lines[-2]
    lines = await world.press("enter")
    line_with(lines, "host pay.test")
    line_with(lines, "holds 1 open run with a step there, and what comes")
    line_with(lines, "at every port")
    line_with(lines, "3 calls in flight are let end")
    world.clock.pass_s(1)
    await world.press("escape", "j", "H", "enter")
    lines = await world.shown()
    line_with(lines, "host z.test:9000")
    assert not any("every port" in line for line in lines)
    assert world.posts == []


@pytest.mark.parametrize("keys", [("escape",), ("n",), ("q",), ("enter",)])
@on_screen()
async def test_no_is_the_answer_unless_it_is_yes(world: World, keys: tuple[str, ...]) -> None:
    """Nothing is held by accident."""
    await world.lists(run_row(1))
    counts(world, 1)
    await world.press("H", "c", "enter")
    world.clock.pass_s(1)
    await world.press(*keys)
    assert world.posts == []


@pytest.mark.parametrize(("characters", "is_taken"), [(500, True), (501, False)])
@on_screen()
async def test_a_reason_has_a_length(world: World, characters: int, is_taken: bool) -> None:
    """What is too long is not cut; that is said."""
    await world.lists(run_row(1))
    counts(world, 1)
    await world.press("H", "c")
    world.app.prompt.field.value = "x" * characters
    lines = await world.press("enter")
    assert any("Hold it?" in line for line in lines) is is_taken
    if not is_taken:
        line_with(lines, "hold: nothing was done: a reason has at most 500 characters")


@on_screen()
async def test_a_row_of_the_retries_and_of_a_run(world: World) -> None:
    """Of the client, the workflow and the host that they are of, each."""
    world.store.apply(RetriesRead("retries", RetryPage((retry_row("s", 9_000),))))
    lines = await world.press("2", "H")
    for told in ("c  client shop", "w  workflow order.fulfil", "h  host hooks.acme.io"):
        line_with(lines, told)
    await world.press("escape")
    run = run_row(1)
    world.runs(run)
    world.tree(run, step_row(run.id, None, "running"),
               step_row(run.id, "mail", "running", url="http://smtp.test:25/x"))  # fmt: skip
    open_run(world.app, run.id, f"{run.id}-mail")
    await world.shown()
    lines = await world.press("H")
    for told in ("c  client shop", "w  workflow order", "h  host smtp.test:25"):
        line_with(lines, told)


@on_screen()
async def test_a_cause_is_of_whom_its_latest_run_is(
    world: World, asked: list[dict[str, str]]
) -> None:
    """Which the row does not say: the engine does."""
    step = StepAt("s", "charge", "http://pay.test/x", "failed", 1, 1, 1)
    row = CauseRow("c0", 7, 0, at(-99), at(-12), "01K", "order", "failed", step)
    world.store.apply(CausesRead(CauseList((row,), 7, 300_000)))
    await world.press("3")
    latest = to_builtins(run_row(1, client="mart"))
    world.answers["/runs"] = (200, {"runs": [latest], "total": 1, "totalIsEstimate": False})
    lines = await world.press("H")
    for told in ("c  client mart", "w  workflow order", "h  host pay.test"):
        line_with(lines, told)
    assert asked == [{"q": "is:stuck cause:c0", "limit": "1"}]
    counts(world, 7)
    line_with(await world.press("w", "enter"), "workflow order")


@on_screen()
async def test_on_home_a_row_is_what_it_is_of(world: World) -> None:
    """A host in trouble, a run, what is held; what is due is of nobody."""
    bad = HOST | {"ended": 9, "succeeded": 0}
    due = [{"upToMs": None, "attempts": 3}]
    world.live(hosts=[bad], stuckCount=0, due=due, holds=[BY_ADA])
    counts(world, 2)
    await world.press("0")
    line_with(await world.press("H", "enter"), "host pay.test")
    world.clock.pass_s(1)
    await world.press("escape", "j")
    assert "H Release" in (await world.shown())[-1]
    lines = await world.press("j", "H")
    line_with(lines, "Hold: no client, workflow or host is under the cursor")


# -- releasing -------------------------------------------------------------------------------------


@on_screen()
async def test_again_releases_at_a_rate(world: World) -> None:
    """What is held under the cursor is released: how fast is asked, with a default, and what waits
    is told with how long that takes."""
    world.runs(run_row(1))
    held(world, BY_ADA | {"reason": "bad deploy"})
    await world.shown()
    lines = await world.press("H")
    line_with(lines, "c  client shop     release: held by ada: bad deploy")
    line_with(lines, "w  workflow order  hold")
    lines = await world.press("c")
    assert world.app.prompt.field.value == "20"
    lines = await world.press("enter")
    line_with(lines, "Release it?")
    line_with(lines, "by ada: bad deploy; 40 steps waiting")
    line_with(lines, "40 steps wait: 20 a second, about 2s")
    assert world.posts == []
    world.answers["/release"] = (200, BY_ADA | {"releasedAt": at(0)})
    line_with(await yes(world), "released: client shop, 20 a second")
    body = {"kind": "client", "name": "shop", "ratePerS": 20}
    assert world.posts == [("/api/v1/holds/release", body)]


@pytest.mark.parametrize(
    ("typed", "sent", "told"),
    [
        ("1", 1, "about 40s"), ("1,000", 1_000, "1,000 a second"), ("", None, "as their hosts"),
        ("0", "no", ""), ("1001", "no", ""), ("fast", "no", ""), ("-5", "no", ""), ("²", "no", ""),
    ],
)  # fmt: skip
@on_screen()
async def test_a_rate_has_its_limits(world: World, typed: str, sent: Any, told: str) -> None:
    """From one to a thousand; none is as the hosts take them."""
    world.runs(run_row(1))
    held(world, BY_ADA)
    await world.shown()
    await world.press("H", "c")
    world.app.prompt.field.value = typed
    lines = await world.press("enter")
    if sent == "no":
        line_with(lines, "release: nothing was done, a rate is 1 to 1,000 a second")
        assert len(world.app.screen_stack) == 1
        return
    line_with(lines, told)
    world.answers["/release"] = (200, BY_ADA)
    await yes(world)
    ((_, body),) = world.posts
    assert body.get("ratePerS") == sent


@on_screen()
async def test_what_is_held_still_is_told(world: World) -> None:
    """A step under two holds waits for both."""
    world.runs(run_row(1))
    others = [BY_ADA | {"kind": "workflow", "name": f"w{number}"} for number in range(5)]
    held(world, BY_ADA, *others, BY_ADA | {"kind": "host", "name": "z", "releasedAt": at(0)})
    await world.shown()
    lines = await world.press("H", "c", "enter")
    line_with(lines, "held still: workflow w0")
    line_with(lines, "and 2 more")
    assert not any("host z" in line for line in lines)


@on_screen()
async def test_what_somebody_has_released_meanwhile(world: World) -> None:
    """Nothing is done, and it is said."""
    world.runs(run_row(1))
    held(world, BY_ADA)
    await world.shown()
    world.answers["/holds"] = (200, {"holds": [BY_ADA | {"releasedAt": at(0)}], "waiting": 0})
    line_with(await world.press("H", "c", "enter"), "client shop is not held any more")
    assert world.posts == []


@pytest.mark.parametrize(
    ("hold", "told"),
    [
        ({"kind": "host", "name": "pay.test"}, "h  host pay.test"),
        ({"kind": "host", "name": "pay.test:80"}, "h  host pay.test:80"),
        ({"kind": "all", "name": "*"}, "a  everything"),
    ],
)
@on_screen()
async def test_what_is_held_by_another_name_is_what_is_released(
    world: World, hold: dict[str, str], told: str
) -> None:
    """A host at its port or at every one, and everything."""
    world.runs(run_row(1))
    held(world, BY_ADA | hold)
    await world.shown()
    row = line_with(await world.press("H"), told)
    assert "release: held by ada" in row


@on_screen()
async def test_a_held_host_is_released_on_its_board(world: World) -> None:
    """The footer says which way the key goes."""
    world.live(hosts=[HOST])
    assert "H Hold" in (await world.press("4"))[-1]
    held(world, BY_ADA | {"kind": "host", "name": "pay.test"})
    assert "H Release" in (await world.shown())[-1]
    await world.press("H", "enter")
    line_with(await world.shown(), "Release it?")


# -- who may, and when -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ({"role": "read", "client": None}, "this token may read, not act (role read)"),
        ({"role": "operate", "client": "shop"}, "this token is of the client shop alone"),
        ({"role": "operate", "client": None}, ""),
    ],
)
@on_screen(size=(120, 24))
async def test_who_may_not_hold_is_told_before_anything_is_asked(
    world: World, token: dict[str, Any], told: str
) -> None:
    """It takes the role operate, of a token that is bound to no client."""
    world.live(token={"name": "t"} | token)
    await world.lists(run_row(1))
    counts(world, 1)
    lines = await world.press("H")
    assert (len(world.app.screen_stack) == 1) is bool(told)
    if told:
        line_with(lines, f"Hold: {told}")


@on_screen()
async def test_marks_are_not_what_is_held(world: World) -> None:
    """One thing is held, not rows: whoever marked some is told."""
    await world.lists(run_row(1), run_row(2))
    lines = await world.press("space", "H")
    line_with(lines, "Hold: one client, workflow or host is held, not what is marked")


@on_screen()
async def test_a_question_does_not_open_over_another_board(world: World) -> None:
    """As with everything else that the engine is asked first."""
    await world.lists(run_row(1))
    counts(world, 1)
    await world.press("H", "c")
    world.answers_after = asyncio.Event()
    await world.pilot.press("enter", "3")
    world.answers_after.set()
    await world.works_end()
    line_with(await world.shown(), "hold: the board is another one now")
    assert len(world.app.screen_stack) == 1


@on_screen()
async def test_the_menu_holds_what_it_was_opened_for(world: World) -> None:
    """Though another row is under the cursor by now."""
    first, second = run_row(1, client="mart"), run_row(2)
    await world.lists(first, second)
    await world.press("x")
    await world.lists(second)
    line_with(await world.press("H"), "c  client mart")


@on_screen()
async def test_z_takes_back_nothing_from_before_a_hold(world: World) -> None:
    """Whoever presses it means the last thing that was done."""
    world.app.acting.doing.remember([])
    await world.lists(run_row(1))
    counts(world, 1)
    await world.press("H", "c", "enter")
    world.answers["/holds"] = (200, BY_ADA)
    await yes(world)
    line_with(await world.press("z"), "what was done last is not taken back")


def test_the_key_is_where_there_is_something_to_hold() -> None:
    """On every board whose rows are of a client, a workflow or a host."""
    assert BY_ID["hold"].views == {"home", "runs", "retries", "causes", "hosts", "run"}
