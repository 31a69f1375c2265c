"""Who sees one client alone finds of its runs what all find, and of the others nothing."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from msgspec.structs import replace

from engine.core.cause import stuck
from engine.core.filter import parse
from engine.core.model import OPEN, DelayBy, Run, StepState
from engine.ports.views import (
    CauseRecord,
    RetriesFound,
    RetryQuery,
    RunQuery,
    RunsFound,
    StuckOf,
)
from engine.store.tables.views import filter as filters
from engine.store.tables.views import of_client
from engine.store.tables.views.views import TableViews
from tests.store.shelf import CLIENTS, NOW, a_run, a_step, fill, holds, random_runs
from tests.store.support import store_at

RUNS = random_runs(120)
FILTERS = (
    "", "is:stuck", "is:failed", "is:live is:late", "!is:completed wf:order*", "client:shop",
    "client:acme*", "is:failed is:completed", "is:failed client:shop", "error:funds", "due:<1m",
    "cause:*", "shop", "is:stuck client:acme.eu", "key:Test*", "!client:shop",
)  # fmt: skip


@pytest.fixture
async def views(path: Path):
    await fill(path, RUNS)
    async with store_at(path) as store:
        yield TableViews(store)


def own(client: str) -> list[Run]:
    return [run for run in RUNS if run.client == client]


def wanted(client: str, text: str, states: tuple[str, ...], *, newest_first: bool) -> list[str]:
    terms = parse(text) if text else ()
    ids = [
        run.id
        for run in own(client)
        if all(holds(term, run) for term in terms) and (not states or run.shown in states)
    ]
    return sorted(ids, reverse=newest_first)


async def pages(views: TableViews, query: RunQuery) -> list[RunsFound]:
    found = [await views.runs(query)]
    while (cursor := found[-1].next) is not None:
        found.append(await views.runs(replace(query, cursor=cursor)))
    return found


async def test_lists_are_the_clients_alone(views: TableViews) -> None:
    """Every filter, with states, either way round, on pages of any size; also where few rows are
    looked at for a page. No cursor is another client's run."""
    for text, states, newest, client in product(
        FILTERS, ((), ("failed",), ("running", "paused")), (True, False), CLIENTS
    ):
        ids = {run.id for run in own(client)}
        query = RunQuery(
            only=client, filter=parse(text) if text else None, states=states, now=NOW,
            newest_first=newest, limit=7,
        )  # fmt: skip
        whole = await pages(views, query)
        with (
            mock.patch.object(filters, "CHUNK_ROWS", 4),
            mock.patch.object(filters, "ROWS_LOOKED_AT_MAX", 8),
        ):
            short = await pages(views, query)
        for found in (whole, short):
            got = [run.id for page in found for run in page.runs]
            assert got == wanted(client, text, states, newest_first=newest), (query, found is short)
            assert {page.next for page in found if page.next} <= ids


async def test_another_clients_runs_are_not_there_by_any_name(views: TableViews) -> None:
    """By client, workflow or key: what is found is its own, and how many there are of it."""
    for client, other in zip(CLIENTS, reversed(CLIENTS), strict=True):
        assert await views.runs(RunQuery(other, only=client)) == RunsFound((), 0, False, None)
        of_itself = await views.runs(RunQuery(client, only=client, limit=500))
        assert of_itself == await views.runs(RunQuery(only=client, limit=500))
        assert (of_itself.total, of_itself.total_is_estimate) == (len(own(client)), False)
        for run in own(other)[:5]:
            names: Any = {"workflow": run.root.spec.workflow, "key": run.root.spec.key}
            assert (await views.runs(RunQuery(**names))).total == 1
            assert (await views.runs(RunQuery(**names, only=client))).total == 0
            assert (await views.runs(RunQuery(**names, only=other))).total == 1
        for workflow in {run.root.spec.workflow for run in RUNS}:
            many = [run for run in own(client) if run.root.spec.workflow == workflow]
            found = await views.runs(RunQuery(workflow=workflow, only=client, limit=500))
            assert (len(found.runs), found.total) == (len(many), len(many))


async def test_open_runs_by_whose_they_are(views: TableViews) -> None:
    """Of all clients that have any, and as many as of each alone; none that has ended counts."""
    found = await views.open_by_client()
    assert found == {
        client: count
        for client in CLIENTS
        if (count := sum(run.shown in OPEN for run in own(client)))
    }
    assert len(found) > 1
    assert {client: await views.open_runs(client) for client in found} == found


async def test_counts_are_the_clients_alone(views: TableViews) -> None:
    """By state, of what needs a person, of what is late and due; each up to a bound, and then the
    total of a list is told as an estimate."""
    for client in CLIENTS:
        runs = own(client)
        counts = {it.value: sum(run.shown == it for run in runs) for it in StepState}
        assert await views.client_counts(client) == {k: v for k, v in counts.items() if v}
        found = await views.client_summary(client, NOW)
        assert found.runs == await views.client_counts(client)
        assert found.stuck == sum(stuck(run) is not None for run in runs)
        (late,) = parse("is:late")
        assert found.late >= sum(holds(late, run) for run in runs if run.shown in OPEN)
        assert sum(each.attempts for each in found.due) + found.late == found.timed
        with mock.patch.object(of_client, "COUNTED_MAX", 3):
            few = await views.client_summary(client, NOW)
            assert set(few.runs.values()) <= {1, 2, 3}
            assert few.stuck == 3
            beside = await views.client_summary(client, NOW, stuck_beside=1)
            assert beside.stuck == 4
            page = await views.runs(RunQuery(only=client, limit=2))
            assert page.total_is_estimate
    nobody = await views.client_summary("nobody", NOW)
    assert (nobody.runs, nobody.stuck, nobody.late, nobody.timed) == ({}, 0, 0, 0)


def told(found: list[CauseRecord]) -> set[tuple[str, int, int, int]]:
    return {(it.cause, it.runs, it.first_at, it.last_at) for it in found}


async def test_causes_are_the_clients_alone(views: TableViews) -> None:
    """With the latest of its own runs; those of all clients are those of each together."""
    for client in CLIENTS:
        found = await views.causes(0, client)
        needs = [need for run in own(client) if (need := stuck(run)) is not None]
        causes = {
            need.cause: [it.since for it in needs if it.cause == need.cause] for need in needs
        }
        assert told(found) == {(k, len(v), min(v), max(v)) for k, v in causes.items()}
        assert {it.latest.client for it in found} == {client}
        every = await views.stuck_of(causes, client)
        assert every == {k: StuckOf(len(v), max(v)) for k, v in causes.items()}
        left_out = {it.cause for it in found[:1]}
        assert await views.causes(0, client, left_out) == found[1:]
    assert await views.causes(0, "nobody") == []
    assert await views.stuck_of(causes, "nobody") == {}


async def retry_pages(views: TableViews, query: RetryQuery) -> list[RetriesFound]:
    found = [await views.retries(query)]
    while (behind := found[-1].next) is not None:
        found.append(await views.retries(replace(query, after=behind)))
    return found


async def test_what_is_tried_next_is_the_clients_alone(views: TableViews) -> None:
    """In the order of all, on pages of any size; no cursor is another client's step."""
    live = {run.id for run in RUNS if run.shown in OPEN}
    for text, client in product(("", "wf:order*", "is:stuck", "due:<1m"), CLIENTS):
        terms = parse(text) if text else None
        every = await retry_pages(views, RetryQuery(NOW, filter=terms, limit=500))
        all_of_it = [it for page in every for it in page.retries]
        mine = [it for it in all_of_it if it.client == client and it.at.id.split("-")[0] in live]
        for limit in (1, 3, 500):
            query = RetryQuery(NOW, filter=terms, limit=limit, only=client)
            found = await retry_pages(views, query)
            assert [it for page in found for it in page.retries] == mine, query
            assert {page.next[1] for page in found if page.next} <= {it.at.id for it in mine}


async def test_a_held_step_is_not_tried_next(path: Path) -> None:
    """Its time has come and gone, and nothing of it is due: neither listed nor counted."""
    back_off: Any = {"state": StepState.BACKING_OFF, "due_at": NOW + 5, "delay_by": DelayBy.POLICY}
    runs = [a_run("01A", a_step("01A", **back_off)),
            a_run("01B", a_step("01B", **back_off, held_since=NOW))]  # fmt: skip
    await fill(path, runs)
    async with store_at(path) as store:
        views = TableViews(store)
        found = await views.retries(RetryQuery(NOW, only="shop"))
        assert [it.at.id for it in found.retries] == ["01A"]
        assert found == await views.retries(RetryQuery(NOW))
        assert (await views.client_summary("shop", NOW)).timed == 1


async def test_whose_run_it_is(views: TableViews) -> None:
    """One by one, and many at once; of what there is not, nothing."""
    ids = [run.id for run in RUNS]
    assert await views.clients_of([*ids, "nothing"]) == {run.id: run.client for run in RUNS}
    assert [await views.client_of(id) for id in (*ids, "nothing")] == [
        *(run.client for run in RUNS), None,
    ]  # fmt: skip
