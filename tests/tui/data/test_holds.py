"""What is held, as the dashboard knows it: which hold is on what, and when a run is read again."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.text.times import rfc3339
from engine.wire import HoldRow
from tests.tui.support import (
    NOW,
    RUN,
    FakeClock,
    event,
    page,
    run_row,
    status_read,
    step_row,
    store_at,
    tree_read,
)
from tui.data.holds import NOTHING_HELD, Holds
from tui.data.inputs import RunsRead
from tui.data.listing import Edge
from tui.data.store import Store

URL = "http://app:9000/index"


def hold(kind: str, name: str, **more: Any) -> HoldRow:
    return HoldRow(kind, name, rfc3339(NOW), "ada", **more)


def told(**more: Any) -> dict[str, Any]:
    """A hold as the status tells of it."""
    return {"kind": "client", "name": "shop", "since": rfc3339(NOW), "actor": "ada"} | more


@pytest.mark.parametrize(
    ("kind", "name", "is_held"),
    [
        ("client", "shop", True), ("client", "order", False),
        ("workflow", "order", True), ("workflow", "shop", False),
        ("host", "app:9000", True), ("host", "app", True), ("host", "app:9001", False),
        ("all", "*", True), ("galaxy", "shop", False),
    ],
)  # fmt: skip
def test_what_is_on_a_step(kind: str, name: str, is_held: bool) -> None:
    """By the client, the workflow, or the host with its port or without; never by one released."""
    row = hold(kind, name)
    assert Holds.of((row,)).over("shop", "order", URL) == ([row] if is_held else [])
    released = hold(kind, name, released_at=rfc3339(NOW))
    assert Holds.of((released,)).over("shop", "order", URL) == []


@pytest.mark.parametrize("url", ["", "no url", "ftp://app/x", "http://[::1", "//"])
def test_what_is_no_url_has_no_host(url: str) -> None:
    """Whatever an engine tells breaks nothing."""
    assert Holds.of((hold("host", "app"),)).over("shop", "order", url) == []


@pytest.mark.parametrize(
    ("name", "host", "is_held"),
    [
        ("app:9000", "app:9000", True), ("app", "app:9000", True), ("app:9001", "app:9000", False),
        ("app:443", "app", True), ("app:80", "app", True), ("app:9000", "app", False),
        ("[::1]", "[::1]:9000", True), ("app", "application", False),
    ],
)  # fmt: skip
def test_what_is_on_a_host(name: str, host: str, is_held: bool) -> None:
    """As it stands in URLs, where 80 and 443 are left out."""
    row = hold("host", name)
    assert Holds.of((row,)).over_host(host) == ([row] if is_held else [])
    assert NOTHING_HELD.over_host(host) == []


def test_all_that_are_on_a_step() -> None:
    """Each has to be released before it starts."""
    rows = (hold("client", "shop"), hold("workflow", "order"), hold("host", "app"),
            hold("host", "app:9000"), hold("client", "other"))  # fmt: skip
    assert {row.name for row in Holds.of(rows).over("shop", "order", URL)} == {
        "shop", "order", "app", "app:9000",
    }  # fmt: skip
    assert [row.name for row in Holds.of(rows).over_host("app:9000")] == ["app", "app:9000"]


def test_a_host_that_is_held_is_listed_though_nobody_calls_it() -> None:
    """Once: also where it is held by its name alone, and listed with its port."""
    clock = FakeClock()
    store = store_at(clock)
    row = {"host": "app:9000", "ended": 0, "succeeded": 0, "p95Ms": None, "byMinute": [],
           "inFlight": 0, "queued": 0}  # fmt: skip
    holds = [told(kind="host", name=name) for name in ("app", "db:5432")]
    store.apply(status_read(NOW, clock, hosts=[row], holds=holds))
    assert list(store.hosts) == ["app:9000", "db:5432"]
    store.apply(status_read(NOW, clock, hosts=[row], holds=[]))
    assert list(store.hosts) == ["app:9000"]


def with_tree(clock: FakeClock) -> Store:
    store = store_at(clock)
    store.apply(status_read(NOW, clock))
    store.apply(tree_read(step_row("index", "pending", rev=1)))
    return store


@pytest.mark.parametrize(
    ("more", "is_news"),
    [({}, False), ({"waiting": 7}, False), ({"reason": "x"}, True), ({"releasedAt": "z"}, True)],
)
def test_a_run_is_read_again_when_a_hold_is_another(more: dict[str, Any], is_news: bool) -> None:
    """No event tells of a hold under which nothing has wanted to start; how much waits is none."""
    clock = FakeClock()
    store = with_tree(clock)
    store.apply(status_read(NOW, clock, holds=[told()]))
    assert store.trees[RUN].outdated, "it is new"
    store.apply(tree_read(step_row("index", "pending", rev=1)))
    store.apply(status_read(NOW, clock, holds=[told(**more)]))
    assert store.trees[RUN].outdated is is_news


def test_a_step_that_is_held_and_one_that_starts() -> None:
    """By what it is held is read; its start ends what was told with the run."""
    store = with_tree(FakeClock())
    store.apply(event("held", 2, "pending", since=rfc3339(NOW - 5_000)))
    tree = store.trees[RUN]
    assert (tree.steps[RUN].held_since, tree.outdated) == (NOW - 5_000, True)
    row = step_row("index", "pending", rev=2, held_since=rfc3339(NOW - 5_000))
    store.apply(tree_read(row, holds=(hold("client", "shop"),)))
    tree = store.trees[RUN]
    assert [each.name for each in tree.holds] == ["shop"]
    store.apply(event("started", 3, "running", seq=2, number=1))
    assert (tree.steps[RUN].held_since, tree.holds, tree.outdated) == (None, (), False)


def test_a_step_that_events_tell_of_is_held_by_its_host() -> None:
    """As one that was read: its URL says which port it is at."""
    store = store_at()
    store.apply(RunsRead("runs", Edge.HEAD, page(run_row())))
    spec = {"name": "mail", "workflow": "order", "url": "https://smtp/x"}
    store.apply(event("accepted", 1, "pending", f"{RUN}-m", seq=1, parentId=RUN, spec=spec))
    store.apply(event("started", 2, "running", f"{RUN}-m", seq=2, number=1))
    store.apply(event("run-moved", 2, "running", seq=3))
    at = store.runs[RUN].at
    assert at is not None
    assert (at.host, at.url) == ("smtp", "https://smtp/x")
    assert Holds.of((hold("host", "smtp:443"),)).over("shop", "order", at.url)
