"""The board of events: a choice with one row for what belongs together, and all of them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from engine.core.text.times import rfc3339
from engine.wire.events import Event, Heartbeat, Reset
from tests.tui.on_screen import World, line_with, on_screen, run_row
from tests.tui.scene import scene
from tests.tui.support import NOW, RUN, event, head_text, row_text, store_at
from tui.boards.cells import EVENTS, Cell, layout, text_of
from tui.boards.rows import BoardRows
from tui.data import store as kept
from tui.data.filter import event_filter, events_fault
from tui.data.model import short_id
from tui.data.store import Store
from tui.past import happened
from tui.text import fmt

SHIP = f"{RUN}-ship"
SPEC = {"name": "ship", "workflow": "order", "url": "http://acme.test/ship", "key": "ord-1"}
FAILED = {"countsAs": "failure", "error": "http-status", "httpStatus": 402, "excerpt": "declined"}
RETRIED: list[tuple[str, str, str, int, dict[str, Any]]] = [
    ("acted", "pending", RUN, 0, {"action": "retry", "actor": "ana", "reason": "mended"}),
    ("reopened", "pending", SHIP, 0, {"awaitingPost": True}),
    ("reopened", "pending", RUN, 0, {}),
    ("run-moved", "pending", RUN, 0, {"before": "failed"}),
    ("started", "running", RUN, 9, {"number": 2}),
    ("run-moved", "running", RUN, 9, {"before": "pending"}),
    ("replaced", "pending", SHIP, 20, {"spec": SPEC}),
    ("started", "running", SHIP, 21, {"number": 2}),
    ("attempt-ended", "completed", SHIP, 90, {"number": 2, "countsAs": "success"}),
    ("attempt-ended", "completed", RUN, 99, {"number": 2, "countsAs": "success"}),
]
"""What a person's retry of a failed run is told as, up to before its run ends."""
ENDED = ("run-moved", "completed", RUN, 99, {"before": "running"})


def told(store: Store, *happened: tuple[str, str, str, int, dict[str, Any]]) -> Store:
    """The same, told to a store."""
    for kind, status, step, at, members in happened:
        seq = store.events_seen + 1
        store.apply(event(kind, seq, status, step, seq=seq, at=at, **members))
    return store


class Board:
    """The board of events."""

    def __init__(self, store: Store) -> None:
        self._rows = BoardRows(store)

    def ids(self, q: str, *, every: bool) -> list[str]:
        """Its rows, the newest first."""
        looking = self._rows.looking
        looking.filters["events"], looking.every_event = q, every
        return self._rows.ids("events")

    def cells(self, row_id: str) -> dict[str, Cell] | None:
        """What stands on a row."""
        return self._rows.cells("events", row_id)


def rows(store: Store, q: str = "", *, every: bool = False) -> list[str]:
    """What and DETAIL of each row, the newest first."""
    board = Board(store)
    found = [board.cells(id) for id in board.ids(q, every=every)]
    return [f"{text_of(c['what'])} {text_of(c['more'])}".strip() for c in found if c is not None]


def test_a_retry_is_one_row() -> None:
    """And how its run ends another; all of it can be had."""
    store = told(store_at(), *RETRIED)
    assert rows(store) == ["✎ retry by ana · “mended”"]
    told(store, ENDED)
    assert rows(store) == ["✓ run completed", "✎ retry by ana · “mended”"]
    assert len(rows(store, every=True)) == len(RETRIED) + 1


def test_an_act_says_what_came_of_it_in_its_own_row() -> None:
    """A cancellation ends steps and the run, a result that is set is an act's and an event: each is
    one row, in the state that it led to."""
    store = told(
        store_at(),
        ("acted", "cancelled", RUN, 0, {"action": "cancel", "actor": "ana"}),
        ("cancelled", "cancelled", SHIP, 0, {}),
        ("cancelled", "cancelled", RUN, 0, {}),
        ("run-moved", "cancelled", RUN, 0, {"before": "running"}),
        ("acted", "completed", SHIP, 5, {"action": "skip", "actor": "bo"}),
        ("result-set", "completed", SHIP, 5, {"act": "skip", "actor": "bo"}),
    )
    assert rows(store) == ["✎ skip by bo", "✎ cancel by ana"]


def test_a_failure_and_what_it_means_for_the_run_are_one_row() -> None:
    """With the reason; the row is the step's, and it keeps its place when the run's end comes."""
    store = told(store_at(), ("attempt-ended", "failed", RUN, 5, FAILED | {"number": 3}))
    board = Board(store)
    before = board.ids("", every=False)
    assert rows(store) == ["✗ try 3 failed 402 declined"]
    told(store, ("run-moved", "failed", RUN, 5, {"before": "running"}))
    assert rows(store) == ["✗ run failed try 3 · 402 declined"]
    assert board.ids("", every=False) == before
    cells = board.cells(before[0])
    assert cells is not None
    assert text_of(cells["what"]) == "✗ run failed"


def test_a_run_ends_by_its_failure_also_where_others_are_told_of_between() -> None:
    """A busy engine tells of several changes at once."""
    store = told(store_at(), ("attempt-ended", "failed", RUN, 5, FAILED | {"number": 3}))
    other = ("attempt-ended", "failed", SHIP, 5, FAILED | {"number": 1, "runId": "other"})
    told(store, other, ("run-moved", "failed", RUN, 5, {"before": "running"}))
    assert rows(store) == ["✗ try 1 failed 402 declined", "✗ run failed try 3 · 402 declined"]


def test_nothing_that_failed_is_left_out() -> None:
    """Two steps that fail in one moment are two rows; so is what fails in the moment of an act, of
    another run, or somewhat later."""
    failed = ("attempt-ended", "failed", SHIP, 5, FAILED | {"number": 1})
    other = ("attempt-ended", "backing-off", f"{RUN}-bill", 5, FAILED | {"number": 2})
    acted = ("acted", "paused", RUN, 5, {"action": "pause", "actor": "ana"})
    assert len(rows(told(store_at(), failed, other))) == 2
    assert len(rows(told(store_at(), acted, failed))) == 2
    late = ("run-moved", "failed", RUN, 6, {"before": "running"})
    assert rows(told(store_at(), failed, late)) == ["✗ run failed", "✗ try 1 failed 402 declined"]


@pytest.mark.parametrize(
    ("kind", "status", "members", "is_told"),
    [
        ("accepted", "pending", {"spec": SPEC}, False),
        ("started", "running", {"number": 1}, False),
        ("attempt-ended", "completed", {"countsAs": "success"}, False),
        ("attempt-ended", "waiting", {"countsAs": "interruption"}, False),
        ("attempt-ended", "backing-off", {"countsAs": "failure"}, True),
        ("attempt-ended", "backing-off", {"countsAs": "crash"}, True),
        ("late-end", "cancelled", {"number": 1}, True),
        ("run-moved", "running", {}, False),
        ("run-moved", "backing-off", {}, False),
        ("run-moved", "completed", {}, True),
        ("run-moved", "cancelled", {}, True),
        ("run-moved", "paused", {}, True),
        ("paused", "paused", {"reason": "operator"}, False),
        ("paused", "paused", {"reason": "poisoned"}, True),
        ("payload-set", "pending", {"actor": "ana"}, True),
        ("retargeted", "pending", {}, True),
        ("engine-error", "paused", {}, True),
        ("woken", "backing-off", {}, False),
        ("of-a-later-engine", "running", {}, True),
    ],
)
def test_which_are_told(kind: str, status: str, members: dict[str, Any], is_told: bool) -> None:
    """Acts, failures, ends, and pauses that nobody asked for; what is not known here, too."""
    assert len(rows(told(store_at(), (kind, status, RUN, 0, members)))) == is_told


@pytest.mark.parametrize("every", [False, True])
def test_rows_are_the_same_however_events_come(every: bool) -> None:
    """One by one, in pieces or at once: also where a change is cut in two."""
    random, happened = Random(7), [*RETRIED, ENDED] * 3
    store = told(store_at(), *happened)
    for _ in range(20):
        again, left = store_at(), list(happened)
        board = Board(again)
        while left:
            piece = random.randint(1, 9)
            told(again, *left[:piece])
            del left[:piece]
            board.ids("", every=every)
        assert board.ids("", every=every) == Board(store).ids("", every=every)


# -- the filter ------------------------------------------------------------------------------------


POSTED: list[tuple[str, str, str, int, dict[str, Any]]] = [
    ("accepted", "pending", RUN, 0, {"client": "shop", "spec": SPEC | {"name": "index"}}),
    ("accepted", "pending", SHIP, 1, {"parentId": RUN, "spec": SPEC}),
    ("attempt-ended", "backing-off", SHIP, 5, FAILED | {"number": 1}),
    ("acted", "backing-off", SHIP, 7, {"action": "retry", "actor": "ana"}),
    ("run-moved", "completed", RUN, 9, {}),
]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("error:decl", 1), ("code:4xx", 1), ("code:402 try:1", 1), ("try:>1", 0),
        ("is:completed", 1), ("!is:completed", 2), ("is:live", 2), ("wf:ord*", 3), ("wf:other", 0),
        ("client:shop", 3), ("key:ord-1", 3), ("step:ship", 2), ("!step:ship", 1),
        ("is:failed", 1), ("is:failed host:acme.test", 1), ("is:failed ana", 0),
        ("host:acme.test", 3), ("ana", 1), ("declined", 1), (short_id(RUN).lower(), 3), ("  ", 3),
    ],
)  # fmt: skip
def test_the_filter_of_events(q: str, found: int) -> None:
    """The language of filters, of what is known of an event and its run."""
    assert len(rows(told(store_at(), *POSTED), q)) == found


def test_an_act_has_a_sign_of_its_own() -> None:
    """Not that of the state in which its run stood: a note of a failed run has not failed."""
    store = told(store_at(), ("acted", "failed", RUN, 1, {"action": "note", "actor": "tess"}))
    store = told(store, ("attempt-ended", "failed", SHIP, 5, FAILED | {"number": 1}))
    assert [row.partition(" · ")[0][:6] for row in rows(store)] == ["✗ try ", "✎ note"]


def test_what_is_not_known_of_an_event_is_not_found() -> None:
    """Neither list nor event has told whose it is."""
    store = told(store_at(), ENDED)
    assert rows(store, "wf:*") == rows(store, "client:*") == rows(store, "host:*") == []
    assert len(rows(store, "!wf:order")) == 1


def test_what_an_event_has_not_is_said() -> None:
    """And what there is; nothing is filtered by what cannot be read."""
    found = events_fault("is:failed due:<1m")
    assert found is not None
    assert found.at == 10
    assert found.detail.startswith("`due:` is of runs. Of events there are is:, wf:")
    assert event_filter("due:<1m") is None
    assert events_fault("is:often") is not None
    assert events_fault("is:failed ana") is None


# -- limits ----------------------------------------------------------------------------------------


def test_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit all, beyond it the newest."""
    monkeypatch.setattr(happened, "EVENTS_SHOWN_MAX", 3)
    store = told(store_at(), *[("run-moved", "completed", RUN, at, {}) for at in range(3)])
    board = Board(store)
    assert board.ids("", every=False) == ["f-3", "f-2", "f-1"]
    told(store, ENDED)
    assert board.ids("", every=False) == ["f-4", "f-3", "f-2"]


def test_what_matters_is_kept_longer_than_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand attempts do not push an act of an hour ago off the board."""
    monkeypatch.setattr(kept, "EVENTS_KEPT_MAX", 5)
    store = told(store_at(), *RETRIED)
    assert store.events_dropped == len(RETRIED) - 5
    assert rows(store) == ["✎ retry by ana · “mended”"]
    assert len(rows(store, every=True)) == 5


# -- on the screen ---------------------------------------------------------------------------------


def test_the_detail_stands_near_the_step() -> None:
    """At 220 columns too; nothing is at the far edge."""
    starts, at = {}, 0
    for column, cells in layout(EVENTS, 217):
        starts[column.key], at = at, at + cells + 1
    assert starts["more"] - starts["step"] <= 41
    assert starts["run"] < starts["step"]
    assert head_text(EVENTS, 217).split() == [
        "TIME",
        "WHAT",
        "RUN",
        "WORKFLOW",
        "›",
        "STEP",
        "DETAIL",
    ]
    board = Board(scene())
    line = row_text(EVENTS, board.cells(board.ids("", every=False)[0]) or {}, 217)
    assert "order.fulfil › ship" in line


def happens(world: World) -> None:
    """A run is posted, fails once and is retried by somebody, and another one ends."""
    for kind, status, step, at, members in POSTED:
        world.clock.pass_s(1)
        stream = {"attempt-ended": "attempt", "run-moved": "run"}.get(kind, "step")
        world.event(stream, kind, RUN, step, status=status, rev=at + 1, **members)


@on_screen()
async def test_the_board_says_that_it_shows_a_choice(world: World) -> None:
    """And how to see everything; there it says how to come back."""
    opened = await world.press("5")
    assert "Nothing has happened since" in line_with(opened, "Nothing")
    assert line_with(opened, "`atomic tui --replay 1h` shows what happened before.")
    happens(world)
    shown = await world.shown()
    assert line_with(shown, "acts, failures, ends · m shows all · 3 of 5 · following")
    assert "m Every event" in shown[-1]
    every = await world.press("m")
    assert line_with(every, "every event · m shows a choice · 5 of 5")
    assert line_with(every, "step posted")
    assert not any("step posted" in line for line in await world.press("m"))


@on_screen(size=(160, 40))
async def test_the_board_says_what_it_has_not(world: World) -> None:
    """What was before the dashboard was opened, and what people did to no run."""
    world.store.apply(Event("f-0", "heartbeat", Heartbeat(rfc3339(NOW), "a")))
    happens(world)
    since = fmt.time_of_day(NOW)
    told = f"since {since} (before: --replay 1h) · holds, notes of causes: atomic audit"
    assert line_with(await world.press("5"), told)
    assert line_with(await world.press("/", *"hold", "enter"), "`atomic audit` lists them")


@on_screen()
async def test_events_that_were_missed_are_told(world: World) -> None:
    """What stands there is not all since then, once the stream could not go on where it broke."""
    happens(world)
    assert not any("some missed" in line for line in await world.press("5"))
    world.store.apply(Event("", "reset", Reset()))
    assert line_with(await world.shown(), "3 of 5 · some missed · following")


@on_screen()
async def test_events_are_filtered(world: World) -> None:
    """`/` there takes the language of filters; esc takes the filter away again."""
    happens(world)
    shown = await world.press("5", "/", *"code:402", "enter")
    assert line_with(shown, "filter code:402 · acts, failures, ends · m shows all · 1 of 5")
    assert line_with(shown, "try 1 failed")
    assert not any("run completed" in line for line in shown)
    assert line_with(await world.press("escape"), "run completed")
    wrong = await world.press("/", *"due:<1m", "enter")
    assert line_with(wrong, "`due:` is of runs")


@on_screen()
async def test_nothing_of_the_choice(world: World) -> None:
    """Why the board is empty, and how all is seen: it is no sign that nothing happens."""
    world.event("attempt", "started", RUN, RUN, status="running", rev=1, number=1)
    shown = await world.press("5")
    assert line_with(shown, "Nobody acted, nothing failed and no run ended: 1 event.")
    assert line_with(shown, "m shows every event")
    found = await world.press("/", *"wf:x", "enter")
    assert line_with(found, "Nothing matches wf:x among 0 acts, failures and ends.")
    assert line_with(await world.press("m"), "Nothing matches wf:x among 1 event.")


@on_screen()
async def test_enter_opens_the_step_that_failed(world: World) -> None:
    """Also where the row tells what it meant for the run, and when its event is no longer among
    those of all."""
    run = run_row(1)
    world.runs(run)
    world.event("attempt", "attempt-ended", run.id, f"{run.id}-x", status="failed", rev=1, **FAILED)
    world.event("run", "run-moved", run.id, run.id, status="failed", rev=9, before="running")
    world.store.events.clear()
    assert line_with(await world.press("5"), "run failed")
    await world.press("enter")
    assert (world.app.looking.run_id, world.app.looking.opened_at) == (run.id, f"{run.id}-x")


@on_screen()
async def test_one_key_shows_more_on_two_boards(world: World) -> None:
    """What `m` lists is the board's: all events here, dismissed causes there."""
    happens(world)
    await world.press("5", "m")
    assert (world.app.looking.every_event, world.app.looking.with_dismissed) == (True, False)
    await world.press("3", "m")
    assert (world.app.looking.every_event, world.app.looking.with_dismissed) == (True, True)
