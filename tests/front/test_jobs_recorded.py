"""Bulk jobs over the end of their engine: what goes on, for whom, and what is kept how long."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace

from engine.core.access.token import Role, Token
from engine.core.errors import Problem, Refused
from engine.core.filter import parse
from engine.front.access.who import Who
from engine.front.api.bulk import filter_of
from engine.jobs import bulk
from engine.jobs.bulk import KEPT_MS
from engine.ports.jobs import CameTo, Job
from engine.wire import BulkAnswer
from tests.front.desk import Desk, Shelved, Written, many, working

CI = Token("ci", b"d" * 32, Role.OPERATE)


async def _after_restart(desk: Desk, job: BulkAnswer) -> BulkAnswer:
    """How the job ends with the next engine on the store."""
    desk.bulk = desk.engine()
    async with working(desk):
        return await desk.ended(job.id)


async def test_a_job_goes_on_where_it_was(autojump_clock: object) -> None:
    """Every run once, none left out; who asked, from where and why stay with it, and what was
    counted; its key is known."""
    async with working(many(5)) as desk:
        desk.troubles["R1"] = Refused(Problem.NOT_POSSIBLE, "It has completed.")
        begun = await desk.ask("once", ratePerS=1, reason="up again")
        await trio.sleep(2.5)
    assert [run_id for _, run_id in desk.acts] == ["R0", "R1", "R2"]
    ended = await _after_restart(desk, begun)
    assert (ended.state, ended.done, ended.skipped) == ("done", 4, {"not-possible": 1})
    assert ended.reasons == {"not-possible": ("It has completed.",)}
    assert (ended.actor, ended.address, ended.reason) == ("ada", "::1", "up again")
    assert ended.started_at == begun.started_at
    assert [run_id for _, run_id in desk.acts] == [f"R{n}" for n in range(5)]
    assert len(set(desk.said)) == 1
    assert ("bulk-job-goes-on", {"job": begun.id, "action": "retry", "left": 2}) in desk.logged
    desk.bulk = desk.engine()
    async with working(desk):
        assert (await desk.ask("once")).id == begun.id
        assert (await desk.refusal("once", first=1)).problem is Problem.KEY_REUSED


class Late(Written):
    """What is kept some seconds later."""

    def __init__(self) -> None:
        self.at = trio.current_time() + 3

    async def wait(self) -> None:
        await trio.sleep_until(self.at)


class Slow(Shelved):
    """A store in which a job is found when the commit with it is over."""

    commit: Late | None = None

    def record(self, job: Job, came_to: CameTo | None = None) -> Written:
        super().record(job, came_to)
        if self.commit is None:
            self.commit = Late()
        return self.commit

    async def job_of_key(self, only: str | None, key: str) -> Job | None:
        found = await super().job_of_key(only, key)
        is_there = self.commit is not None and trio.current_time() >= self.commit.at
        return found if is_there else None


async def test_one_key_begins_one_job_though_its_caller_hangs_up(autojump_clock: object) -> None:
    """Who asks again, before the job that was begun is durable, is told of that, when it is."""
    desk = many(2)
    desk.store = Slow()
    desk.bulk = desk.engine()
    async with working(desk):
        asked_at = trio.current_time()
        with trio.move_on_after(1) as hung_up:
            await desk.ask("once")
        assert hung_up.cancelled_caught
        with pytest.raises(Refused, match="another"):
            await desk.ask("once", q="is:paused")
        begun = await desk.ask("once")
        assert trio.current_time() - asked_at == 3
        assert (await desk.ended(begun.id)).done == 2
    assert await desk.jobs() == [begun.id]
    assert len(desk.acts) == 2


async def test_an_abort_is_not_forgotten(autojump_clock: object) -> None:
    """Who was told that it stops finds it stopped, also if the engine ended at once."""
    async with working(many(5)) as desk:
        begun = await desk.ask(ratePerS=1)
        await trio.sleep(1.5)
        await desk.bulk.abort(str(begun.id), "bob")
    ended = await _after_restart(desk, begun)
    assert (ended.state, ended.done, ended.stopped_because) == ("aborted", 2, "bob aborted it")


async def test_one_clients_job_stays_its_own(autojump_clock: object) -> None:
    """After a restart as before: nobody else bound to a client finds it, or stops it."""
    async with working(many(5)) as desk:
        begun = await desk.ask("once", only="shop", ratePerS=1)
    desk.bulk = desk.engine()
    async with working(desk):
        assert await desk.jobs("shop") == await desk.jobs() == [begun.id]
        assert await desk.jobs("cafe") == []
        for only in ("cafe", "sho"):
            for call in (
                desk.bulk.job(str(begun.id), only),
                desk.bulk.abort(str(begun.id), "eve", only),
            ):
                with pytest.raises(Refused, match="There is no job"):
                    await call
        assert (await desk.ask("once", only="cafe")).id != begun.id
        assert (await desk.ended(begun.id)).done == 5


async def test_a_client_finds_its_runs_of_a_job_on_all(autojump_clock: object) -> None:
    """By `job:`, which shows it no others; another client's job is none for it."""
    async with working(many(2)) as desk:
        of_all = await desk.ask()
        of_shop = await desk.ask(only="shop")
        for client, jobs in (("shop", (of_all, of_shop)), ("cafe", (of_all,)), (None, (of_shop,))):
            for job in jobs:
                q = f"job:{job.id}/refused is:failed"
                assert await filter_of(desk.bulk, q, Who(client=client)) == parse(q)
        with pytest.raises(Refused, match="There is no job"):
            await filter_of(desk.bulk, f"job:{of_shop.id}", Who(client="cafe"))
        with pytest.raises(Refused, match="There is no job"):
            await desk.bulk.job(str(of_all.id), "shop")


LOST = [
    ({}, "taken away"),
    ({"ci": replace(CI, expires_at=1)}, "has run out"),
    ({"ci": replace(CI, role=Role.READ)}, "may not do this any more"),
    ({"ci": replace(CI, client="cafe")}, "may not do this any more"),
]


@pytest.mark.parametrize(("tokens", "why"), LOST)
@pytest.mark.parametrize("restarts", [True, False])
@pytest.mark.parametrize("only", [None, "shop"])
async def test_who_may_not_any_more_does_nothing_more(
    autojump_clock: object, tokens: dict[str, Token], why: str, only: str | None, *, restarts: bool
) -> None:
    """A job stops before its next run when its token is gone, whether that was while the engine
    was away or not."""
    async with working(many(5)) as desk:
        desk.tokens, desk.token = {"ci": replace(CI, client=only)}, "ci"
        begun = await desk.ask(only=only, ratePerS=1)
        await trio.sleep(1.5)
        if not restarts:
            desk.tokens = tokens
            ended = await desk.ended(begun.id)
    if restarts:
        desk.tokens = tokens
        ended = await _after_restart(desk, begun)
    assert (ended.state, ended.done) == ("aborted", 2)
    assert ended.stopped_because is not None
    assert why in ended.stopped_because
    assert "the token ci" in ended.stopped_because


@pytest.mark.parametrize("tokens", [{"ci": replace(CI, digest=b"e" * 32)}, {"ci": CI}])
async def test_a_token_that_is_good_still(autojump_clock: object, tokens: dict[str, Token]) -> None:
    """Another secret of the same token changes nothing, nor does one that reaches further now."""
    async with working(many(3)) as desk:
        desk.tokens, desk.token = {"ci": replace(CI, client="shop")}, "ci"
        begun = await desk.ask(only="shop", ratePerS=1)
    desk.tokens = tokens
    assert (await _after_restart(desk, begun)).done == 3


async def test_in_a_copy_of_the_store_no_job_goes_on(autojump_clock: object) -> None:
    """What was restored is looked at first: a cancel of last week is nobody's wish now."""
    async with working(many(5)) as desk:
        begun = await desk.ask(ratePerS=1)
        await trio.sleep(1.5)
    desk.store.file_id = "f2"
    ended = await _after_restart(desk, begun)
    assert (ended.state, ended.done, len(desk.acts)) == ("aborted", 2, 2)
    assert "restored from a copy" in str(ended.stopped_because)


async def test_a_job_is_there_with_all_its_runs_or_not_at_all(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that ends while it writes them down has told nobody of a job: the next forgets
    what there is of it."""
    monkeypatch.setattr(bulk, "ADDED_AT_ONCE", 2)
    desk = many(5)
    desk.store.lists["half"] = {"R0": 1}
    async with working(desk):
        await trio.sleep(1)
        assert desk.store.lists == {}
        begun = await desk.ask(ratePerS=1000)
        assert list(desk.store.lists[str(begun.id)]) == [f"R{n}" for n in range(5)]
        assert (await desk.ended(begun.id)).done == 5


async def test_jobs_are_kept_for_thirty_days(autojump_clock: object) -> None:
    """After their end, and their keys with them."""
    async with working(many(1)) as desk:
        first = await desk.ended((await desk.ask("a")).id)
        await trio.sleep(KEPT_MS / 1000 - 1)
        assert (await desk.ask("a")).id == first.id
        await trio.sleep(3_700)
        with pytest.raises(Refused, match="kept for 30 days after their end"):
            await desk.bulk.job(str(first.id))
        assert desk.store.lists == {}
        assert (await desk.ask("a")).id != first.id


@pytest.mark.parametrize(("limit", "most"), [("JOBS_KEPT_MAX", 3), ("RUNS_KEPT_MAX", 6)])
async def test_of_too_many_the_oldest_go(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    """By how many they are, or their runs: of each client's, and of those for all. Nobody's push
    out another's."""
    monkeypatch.setattr(bulk, limit, most)
    async with working(many(2)) as desk:
        kept: dict[str | None, list[str]] = {}
        for only in ("shop", None, "cafe"):
            for _ in range(4 if only == "cafe" else 3):
                job = await desk.ended((await desk.ask(only=only)).id)
                kept.setdefault(only, []).insert(0, str(job.id))
        under_way = await desk.ask(only="cafe", ratePerS=1)
        await trio.sleep(0.1)
        assert await desk.jobs("shop") == kept["shop"]
        assert await desk.jobs("cafe") == [under_way.id, *kept["cafe"][:3]]
        assert set(kept[None]) < set(await desk.jobs())


async def test_jobs_that_have_ended_are_in_no_memory(autojump_clock: object) -> None:
    """They are read when somebody asks."""
    async with working(many(3)) as desk:
        job = await desk.ended((await desk.ask()).id)
        assert (job.total, desk.bulk._jobs) == (3, {})


async def test_a_store_that_cannot_be_read_keeps_no_engine_from_starting(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says so, and the jobs are there for the next start."""

    async def unreadable(*_: object) -> list[str]:
        raise Refused(Problem.STORE_UNAVAILABLE, "damaged")

    desk = many(1)
    monkeypatch.setattr(desk.store, "unbegun", unreadable)
    async with working(desk):
        assert desk.logged == [("bulk-jobs-unreadable", {"why": "damaged"})]
        assert (await desk.ended((await desk.ask()).id)).done == 1


async def test_a_list_that_cannot_be_read_is_waited_for(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was done: the job goes on when the store is back."""
    async with working(many(2)) as desk:
        tried, to_do = 0, desk.store.to_do

        async def away_twice(*asked: object) -> object:
            nonlocal tried
            tried += 1
            if tried <= 2:
                raise Refused(Problem.STORE_UNAVAILABLE, "away")
            return await to_do(*asked)  # type: ignore[arg-type]

        monkeypatch.setattr(desk.store, "to_do", away_twice)
        assert (await desk.ended((await desk.ask()).id)).done == 2


async def test_many_runs_are_not_counted_at_every_look(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts are good for longer the more runs there are; of none they are always new."""
    monkeypatch.setattr(bulk, "COUNTED_PER_S", 1)
    async with working(many(5)) as desk:
        begun = await desk.ask(ratePerS=1_000)
        assert (await desk.shown(begun.id)).runs == {}
        await desk.ended(begun.id)
        assert (await desk.shown(begun.id)).runs == {"completed": 5}
        desk.store.states = {"R0": "failed"}
        await trio.sleep(4.9)
        assert (await desk.shown(begun.id)).runs == {"completed": 5}
        await trio.sleep(0.1)
        assert (await desk.shown(begun.id)).runs == {"failed": 1, "completed": 4}
