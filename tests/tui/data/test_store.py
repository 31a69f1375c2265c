"""What the store makes of answers, of the connection, and of the stream as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.text.times import rfc3339
from engine.wire import BulkAnswer, CauseList, CauseRow, RetryPage, status_of
from engine.wire.events import Event
from tests.tui.support import (
    HEARTBEAT,
    NOW,
    RUN,
    STEADY,
    FakeClock,
    event,
    event_read,
    page,
    retry_row,
    run_row,
    status_read,
    step_at,
    step_row,
    store_at,
    tree_read,
)
from tui.boards.cells import NONE, Seen, next_cell
from tui.data import store as stores
from tui.data.inputs import (
    CausesRead,
    JobsRead,
    LinkMoved,
    LinkState,
    RetriesRead,
    RunsRead,
    StatusRead,
    TreeGone,
)
from tui.data.listing import Edge
from tui.data.model import State
from tui.data.store import Store


def head(*ids: str, next: str | None = None) -> RunsRead:
    """The first page of runs."""
    return RunsRead("runs", Edge.HEAD, page(*map(run_row, ids), next=next))


def job(state: str = "running", id: str | None = "j1") -> BulkAnswer:
    return BulkAnswer(id, state, "retry", "is:stuck", 5, 4, 1, {"running": 1}, 20)


# -- the connection --------------------------------------------------------------------------------


def test_silence_is_stale() -> None:
    """Two heartbeats that did not come: what is shown may have passed, whatever the socket says."""
    clock = FakeClock()
    store = store_at(clock)
    told = [store.stale]
    for passed in (10, 0.1):
        clock.pass_s(passed)
        told.append(store.stale)
    assert told == [False, False, True]
    told = []
    for read in (HEARTBEAT, LinkMoved(LinkState.LOST, "reset", 1, 0.5)):
        store.apply(read)
        told.append(store.stale)
    assert told == [False, True]


def test_the_link_tells_since_when_and_when_next() -> None:
    """A countdown to the next try, and how long it has been away."""
    clock = FakeClock()
    store = store_at(clock)
    clock.pass_s(5)
    store.apply(LinkMoved(LinkState.LOST, "reset", 1, 0.5))
    clock.pass_s(1)
    store.apply(LinkMoved(LinkState.LOST, "refused", 2, 1.5))
    link = store.link
    assert (link.since, link.retry_at, link.tries) == (1_005.0, 1_007.5, 2)
    store.apply(LinkMoved(LinkState.LIVE))
    assert (link.retry_at, link.reason) == (None, "")
    assert store.take_changes().link


def test_another_instance_is_a_restart() -> None:
    """It is told, with when the new one began: as near as is known."""
    clock = FakeClock()
    store = store_at(clock)
    store.apply(status_read(NOW, clock, startedAt=rfc3339(NOW - 99_000)))
    before = store.link.restarted_at
    store.apply(event_read("", "heartbeat", {"serverTime": rfc3339(NOW), "instance": "b"}))
    assert before is None
    assert store.link.restarted_at == NOW  # not when the old one began
    store.apply(status_read(NOW, clock, instance="b", startedAt=rfc3339(NOW - 3_000)))
    assert store.link.restarted_at == NOW - 3_000
    assert store.instance == "b"


def test_a_store_that_was_put_back_is_believed() -> None:
    """An engine that starts on an older copy of its file knows less: that is how it is then."""
    clock = FakeClock()
    store = store_at(clock)
    store.apply(status_read(NOW, clock))
    store.apply(tree_read(step_row(rev=9), step_row("ship", parent=RUN, rev=4), rev=5))
    store.apply(status_read(NOW, clock, instance="b"))
    assert store.trees[RUN].outdated
    store.apply(tree_read(step_row(status="pending"), status="pending"))
    assert store.runs[RUN].state == store.trees[RUN].run.state == "pending"
    assert [step.state for step in store.trees[RUN].steps.values()] == ["pending"]
    assert not store.trees[RUN].outdated


def test_a_reset_makes_all_of_it_outdated() -> None:
    """Events were missed: trees and lists are to be read again, all of them."""
    store = store_at()
    store.apply(tree_read(step_row()))
    store.apply(head(RUN))
    store.apply(CausesRead(CauseList((), 0, 300_000)))
    assert not store.listing("runs").outdated
    epoch = store.epoch
    store.apply(event_read("f-7", "reset", {"reason": "unknown id"}))
    assert store.epoch == epoch + 1
    assert store.trees[RUN].outdated
    assert store.listing("runs").outdated
    assert store.listing("causes").outdated
    assert store.link.missed_events == 1
    assert store.last_event_id == "f-7"


def test_what_is_no_event_is_counted() -> None:
    """A line that makes no sense, and a kind of a later engine, stop nothing."""
    store = store_at()
    store.apply(event_read("f-1", "step", {"kind": "acted"}))
    store.apply(event_read("f-2", "weather", {"sunny": True}))
    assert store.link.unreadable == 1
    assert (store.events_seen, store.last_event_id) == (0, "f-2")


def test_an_id_that_is_none_is_not_sent_back() -> None:
    """It would not even fit into a header."""
    store = store_at()
    store.apply(event_read("f-1", "weather", {}))
    store.apply(event_read("\x1b]52", "weather", {}))
    assert store.last_event_id == "f-1"


# -- counts ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_counts_are_only_what_was_read() -> None:
    """However many events come by, the numbers are the engine's own."""
    clock = FakeClock()
    store = store_at(clock)
    store.apply(status_read(NOW, clock, counts={"running": 2_214, "failed": 512}))
    store.apply(tree_read(step_row()))
    for seq in range(10_000):
        status = ("failed", "running")[seq % 2]
        store.apply(event("run-moved", seq + 2, status, seq=seq))
        store.apply(event("accepted", 1, "pending", f"s{seq}", seq=seq, parentId=RUN, spec={}))
    assert store.counts == {"running": 2_214, "failed": 512}
    store.apply(event_read("", "counts", {"counts": {"running": 7}}))
    assert store.counts == {"running": 7}


def test_the_status_is_taken_as_far_as_it_fits() -> None:
    """An older or later engine's members do not reach code that would not expect them."""
    clock = FakeClock()
    store = store_at(clock)
    store.apply(
        status_read(
            NOW, clock, counts=[], hosts=None, rates="fast", stuckCount="x", lateCount=3, more=[1]
        )
    )
    assert (store.counts, store.hosts) == ({}, {})
    assert store.status.rates is None
    assert store.status.stuck_count is None
    assert store.status.late_count == 3


def test_hosts_come_with_the_status() -> None:
    """In the engine's order; a host that is told of no more is gone."""
    clock = FakeClock()
    store = store_at(clock)
    host = {
        "host": "api.acme.io", "ended": 9, "succeeded": 8, "p95Ms": 12, "byMinute": [[1, 1]],
        "inFlight": 2, "queued": 0,
    }  # fmt: skip
    store.apply(status_read(NOW, clock, hosts=[host, host | {"host": "b"}]))
    assert store.listing("hosts").ids == ["api.acme.io", "b"]
    assert store.hosts["api.acme.io"].by_minute == ((1, 1),)
    store.apply(status_read(NOW, clock, hosts=[host | {"host": "b"}]))
    assert (store.listing("hosts").ids, list(store.hosts)) == (["b"], ["b"])
    store.apply(status_read(NOW, clock, hosts=[{"host": 7}]))
    assert list(store.hosts) == ["b"], "one answer of another kind empties no board"


# -- lists -----------------------------------------------------------------------------------------


def test_retries_are_in_the_order_they_were_read() -> None:
    """A page takes the place of the one before it, with all that is on it."""
    store = store_at()
    store.apply(RetriesRead("retries", RetryPage((retry_row("a", 5), retry_row("b", 7)), "more")))
    store.apply(RetriesRead("retries", RetryPage((retry_row("b", 7), retry_row("c", 9)))))
    assert store.listing("retries").ids == ["b", "c"]
    assert list(store.retries) == ["b", "c"]
    assert store.retries["c"].at.due_at == NOW + 9


def test_a_retry_follows_its_events_until_the_list_is_read_again() -> None:
    """It says that it runs, and not that it is late; what was known already changes nothing."""
    store = store_at()
    store.apply(RetriesRead("retries", RetryPage((retry_row("a", 5),))))  # of revision 4
    store.apply(event("started", 4, "running", "a", at=5, number=9))
    assert (store.retries["a"].at.state, store.retries["a"].at.attempts) == ("backing-off", 3)
    store.apply(event("started", 5, "running", "a", seq=2, at=5, number=4))
    begun = store.retries["a"]
    assert (begun.rev, begun.at.state, begun.at.attempts) == (5, "running", 4)
    assert next_cell(State.BACKING_OFF, begun.at, Seen(NOW + 9_000)) == ("▸ 8s", "running")
    ended = event("attempt-ended", 6, "completed", "a", seq=3, at=90, number=4)
    store.apply(ended)
    assert next_cell(State.BACKING_OFF, store.retries["a"].at, Seen(NOW + 9_000)) == NONE
    assert store.listing("retries").ids == ["a"]


@pytest.mark.parametrize(
    ("what", "outdated"),
    [
        (event("run-moved", 9, "failed"), {"home", "runs", "causes"}),
        (event("attempt-ended", 9, "backing-off", "s"), {"runs", "retries"}),
        (event("started", 9, "running", "due"), {"runs", "retries"}),
        (event("started", 9, "running", "s"), {"runs"}),
        (event("acted", 9, "failed", action="dismiss"), {"home", "runs", "causes", "jobs"}),
        (HEARTBEAT, set()),
    ],
)
def test_which_lists_an_event_makes_outdated(what: Event, outdated: set[str]) -> None:
    """Also a list that the row is not on yet: it may be now."""
    store = store_at()
    store.apply(head(RUN))
    store.apply(RetriesRead("retries", RetryPage((retry_row("due", 5),))))
    store.apply(CausesRead(CauseList((), 0, 1)))
    store.apply(JobsRead((job("done"),)))
    store.apply(RunsRead("home", Edge.HEAD, page(run_row(RUN))))
    store.apply(what)
    names = {"home", "runs", "retries", "causes", "jobs"}
    assert {name for name in names if store.listing(name).outdated} == outdated


def test_new_runs_are_told_until_they_are_read() -> None:
    """`+2 new` beside a list that is not at its head."""
    store = store_at()
    store.apply(head("a"))
    for run in ("b", "c"):
        store.apply(event_read("f", "step", {"kind": "accepted", "runId": run, "stepId": run}))
    store.apply(event_read("f", "step", {"kind": "accepted", "runId": "c", "stepId": "c-1"}))
    assert store.listing("runs").unseen == 2
    store.apply(head("c", "b", "a"))
    assert store.listing("runs").unseen == 0


def test_causes_come_whole() -> None:
    """In the engine's order."""
    store = store_at()
    row = CauseRow("c1", 7, 2, rfc3339(NOW), rfc3339(NOW), RUN, "w", "failed", step_at())
    store.apply(CausesRead(CauseList((row,), 7, 300_000)))
    assert store.listing("causes").ids == ["c1"]
    assert store.causes["c1"].runs == 7
    assert store.listing("causes").total == 1


# -- bounds ----------------------------------------------------------------------------------------


def test_runs_are_bounded_and_those_on_the_list_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many have been seen; a row of the list never goes blank."""
    monkeypatch.setattr(stores, "RUNS_KEPT_MAX", 10)
    store = store_at()
    store.apply(head(*[f"r{n}" for n in range(5)]))
    for n in range(100):
        store.apply(tree_read(id=f"other{n}"))
    assert len(store.runs) == 10
    assert [f"r{n}" for n in range(5) if f"r{n}" not in store.runs] == []


def test_trees_and_events_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trees looked at last, and the latest events."""
    store = store_at()
    for n in range(9):
        store.apply(tree_read(id=f"r{n}"))
    assert list(store.trees) == ["r5", "r6", "r7", "r8"]
    for seq in range(stores.EVENTS_KEPT_MAX + 7):
        store.apply(event("acted", 1, "running", seq=seq))
    assert len(store.events) == stores.EVENTS_KEPT_MAX
    assert (store.events_seen, store.events_dropped) == (stores.EVENTS_KEPT_MAX + 7, 7)


def test_a_run_that_is_gone() -> None:
    """The engine does not know it any more: nor do we."""
    store = store_at()
    store.apply(tree_read(step_row()))
    store.take_changes()
    store.apply(TreeGone(RUN))
    assert store.trees == {}
    assert RUN in store.take_changes().runs


def test_an_old_page_does_not_undo_an_event() -> None:
    """It was answered before."""
    store = store_at()
    store.apply(head(RUN))
    store.apply(event("run-moved", 2, "failed"))
    store.apply(head(RUN))
    assert store.runs[RUN].state == "failed"


def test_changes_are_taken_once() -> None:
    """The screen draws what they name, and then nothing."""
    store = store_at()
    store.apply(tree_read(step_row()))
    store.apply(event("started", 2, "running", number=1))
    changes = store.take_changes()
    assert (changes.steps, changes.runs, changes.events) == ({RUN}, {RUN}, 1)
    assert bool(changes)
    assert not store.take_changes()


# -- hostile ---------------------------------------------------------------------------------------

odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 10**40, 1.5, "", "\x1b[31m", "0001-01-01", [], [None], [["x"]], {}, {"x": []}]
)


@STEADY
@given(
    st.dictionaries(
        st.sampled_from(
            ["serverTime", "startedAt", "instance", "counts", "hosts", "rates", "stuckCount"]
        ),
        odd,
    )
)
def test_no_status_can_raise(members: dict[str, Any]) -> None:
    """Whatever answers: another server's JSON, a later engine's."""
    store = Store(FakeClock())
    store.apply(StatusRead(status_of(members), 0.0, 1.0))
    assert store.time.now_ms() > 0
    assert all(isinstance(count, int) for count in store.counts.values())
