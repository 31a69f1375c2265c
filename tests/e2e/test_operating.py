"""What operators do with many runs at once: filters, causes, what is tried next, bulk jobs."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine.client import AsyncClient, Refused
from engine.wire import BulkAnswer, Rates, RetryRow
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Application,
    Call,
    Client,
    EngineProcess,
    application,
    client,
    eventually_async,
    fine,
    is_problem,
    running,
)

NO_RETRY = {"count": 0}
PAUSES = {"count": 0, "onExhausted": "pause"}
HOUR_MS = 3_600_000
SLOW_RETRY = {"count": 5, "backOff": HOUR_MS, "maxBackOff": HOUR_MS, "jitter": 0}


class Ward:
    """Endpoints that are ill until they are mended."""

    def __init__(self) -> None:
        self.mended = False

    async def ill(self, call: Call) -> Answer:
        return Answer(200 if self.mended else 503, b'"of the ill one"')

    async def lame(self, call: Call) -> Answer:
        return Answer(200 if self.mended else 404, b'"of the lame one"')


@pytest.fixture
async def ward() -> Ward:
    return Ward()


@pytest.fixture
async def app(ward: Ward) -> AsyncIterator[Application]:
    async with application(fine=fine, ill=ward.ill, lame=ward.lame) as app:
        yield app


@pytest.fixture
async def atomic(engine: EngineProcess) -> AsyncIterator[AsyncClient]:
    """The client of the Python library."""
    async with AsyncClient(engine.url) as atomic:
        yield atomic


async def fail(
    shop: Client, app: Application, count: int, name: str = "ill", **members: Any
) -> None:
    """So many runs that have failed, or (`retry`) whatever becomes of them."""
    for number in range(count):
        key, retry = f"{name}-{number}", members.get("retry", NO_RETRY)
        await shop.post(app.at(name), key, prefer="respond-async", **members | {"retry": retry})

    async def all_done() -> bool:
        page = await shop.read(f"/runs?client={shop.name}&status=running")
        return not page["runs"]

    await eventually_async(all_done)


async def finished(atomic: AsyncClient, job: BulkAnswer) -> BulkAnswer:
    """The job when it has ended."""
    assert job.id is not None
    now = job

    async def has_ended() -> bool:
        nonlocal now
        now = await atomic.operate.bulk_job(str(job.id))
        return now.ended_at is not None

    await eventually_async(has_ended)
    return now


async def test_runs_by_a_filter(shop: Client, app: Application, atomic: AsyncClient) -> None:
    """Terms find runs, alone and beside the other parameters; page after page finds them all."""
    await fail(shop, app, 3)
    await fail(shop, app, 2, "fine")
    mine = f"client:{shop.name}"

    async def found(q: str, **others: Any) -> list[str]:
        rows = [row async for row in atomic.operate.runs(filter=f"{mine} {q}", **others)]
        return [row.idempotency_key for row in rows]

    assert await found("is:failed") == ["ill-2", "ill-1", "ill-0"]
    assert await found("!is:failed") == ["fine-1", "fine-0"]
    assert await found("code:5xx ILL-1") == ["ill-1"]
    assert await found("step:fine", sort="submittedAt") == ["fine-0", "fine-1"]
    assert await found(f"host:127.0.0.1:{app.port} age:<1h key:*-1") == ["fine-1", "ill-1"]
    assert await found("is:failed", status="completed") == []
    assert await found("age:>1d") == []
    first = await atomic.operate.run_page(filter=f"{mine} is:failed", limit=2)
    assert (len(first.runs), first.total_is_estimate) == (2, True)
    last = await atomic.operate.run_page(filter=f"{mine} is:failed", limit=2, cursor=first.next)
    assert (len(last.runs), last.next) == (1, None)
    whole = await atomic.operate.run_page(filter=f"{mine} is:failed")
    assert (whole.total, whole.total_is_estimate) == (3, False)
    assert (await atomic.operate.run_page(client=shop.name, filter=" ")).total == 5


async def test_a_row_says_where_the_run_is_and_why_it_is_stuck(
    shop: Client, app: Application, atomic: AsyncClient
) -> None:
    """The step at fault, in a list as in the tree; a run that needs nobody has no cause."""
    await fail(shop, app, 1)
    await fail(shop, app, 1, "fine")
    well, stuck = (await atomic.operate.run_page(client=shop.name)).runs
    assert (well.cause, well.stuck_at) == (None, None)
    assert stuck.cause is not None
    assert stuck.stuck_at == stuck.ended_at
    assert stuck.at is not None
    assert (stuck.at.name, stuck.at.url, stuck.at.status) == ("ill", app.at("ill"), "failed")
    assert (stuck.at.http_status, stuck.at.attempts, stuck.at.retries_max) == (503, 1, 0)
    assert stuck.at.started_at is not None
    assert (await atomic.operate.run(stuck.id)).run == stuck


@pytest.mark.parametrize(
    ("q", "position"), [("colour:red", 0), ("is:failed try:x", 10), ('"a', 0), ("a\0", 1)]
)
async def test_a_filter_that_cannot_be_read(
    shop: Client, atomic: AsyncClient, q: str, position: int
) -> None:
    """400 says which member is at fault and where in it, wherever a filter can be given."""
    for path in ("runs", "retries"):
        answer = await shop.http.get(f"/api/v1/{path}", params={"q": q})
        document = is_problem(answer, 400, "invalid-request")
        assert (document["member"], document["position"]) == ("q", position)
    with pytest.raises(Refused) as caught:
        await atomic.operate.bulk("retry", q)
    assert caught.value.members["member"] == "q"
    assert caught.value.members["position"] == position


async def test_causes(shop: Client, app: Application, atomic: AsyncClient) -> None:
    """Five failed runs are two decisions; the cause finds its runs, until they are dismissed."""
    await fail(shop, app, 3)
    await fail(shop, app, 2, "lame", retry=PAUSES)
    host = f"127.0.0.1:{app.port}"
    before = await atomic.operate.causes()
    ill, lame = (each for each in before.causes if each.at and host in each.at.url)
    assert (ill.runs, ill.new_runs, ill.status, ill.workflow_name) == (3, 3, "failed", "w")
    assert (lame.runs, lame.new_runs, lame.status) == (2, 2, "paused")
    assert ill.at is not None
    assert (ill.at.name, ill.at.http_status) == ("ill", 503)
    assert ill.first_at <= ill.last_at
    assert before.runs >= 5
    assert before.new_within_ms == 300_000
    rows = (await atomic.operate.run_page(filter=f"cause:{ill.cause}")).runs
    assert [row.idempotency_key for row in rows] == ["ill-2", "ill-1", "ill-0"]
    assert rows[0].id == ill.run_id
    await atomic.operate.act(rows[0].id, "dismiss")
    (now,) = (each for each in (await atomic.operate.causes()).causes if each.cause == ill.cause)
    assert (now.runs, now.run_id) == (2, rows[1].id)


async def test_what_is_tried_next(shop: Client, app: Application, atomic: AsyncClient) -> None:
    """By time, page after page, by a filter of the runs; who is woken leaves the list."""
    await fail(shop, app, 3, retry=SLOW_RETRY)
    mine = f"client:{shop.name}"
    found: list[RetryRow] = []
    cursor = None
    while True:
        page = await atomic.operate.retry_page(filter=mine, limit=1, cursor=cursor)
        found += page.retries
        cursor = page.next
        if cursor is None:
            break
    assert [row.at.due_at for row in found] == sorted(str(row.at.due_at) for row in found)
    assert len({row.run_id for row in found}) == 3
    assert {(row.client, row.workflow_name) for row in found} == {(shop.name, "w")}
    assert {(row.at.name, row.at.status, row.at.attempts) for row in found} == {
        ("ill", "backing-off", 1)
    }
    assert (await atomic.operate.retry_page(filter=f"{mine} due:<1m")).retries == ()
    await atomic.operate.act(found[0].run_id, "pause")
    left = (await atomic.operate.retry_page(filter=mine)).retries
    assert [row.run_id for row in left] == [row.run_id for row in found[1:]]
    for query in ("cursor=x", "cursor=0-", "limit=0", "sort=name"):
        document = is_problem(await shop.get(f"/api/v1/retries?{query}"), 400, "invalid-request")
        assert f"`{query.partition('=')[0]}`" in document["detail"]


async def test_all_stuck_runs_go_on(
    shop: Client, app: Application, ward: Ward, atomic: AsyncClient
) -> None:
    """Mend the endpoint, look, and retry what failed: every run completes, once for each key."""
    await fail(shop, app, 5)
    await fail(shop, app, 1, "lame", retry=PAUSES)
    q = f"is:stuck client:{shop.name}"
    dry = await atomic.operate.bulk("retry", q, dry_run=True)
    assert (dry.id, dry.matched, dry.total, dry.skipped) == (None, 6, 5, {"it is paused": 1})
    assert [row.id for row in dry.sample_runs] == list(dry.sample)
    assert {row.status for row in dry.sample_runs} == {"failed"}
    with pytest.raises(Refused, match="6 runs match now, not 5"):
        await atomic.operate.bulk("retry", q, expect=5)
    ward.mended = True
    job = await atomic.operate.bulk(
        "retry", q, expect=6, rate_per_s=500, reason="they are up again", key=f"{shop.name}"
    )
    assert (job.state, job.total, job.reason) == ("running", 5, "they are up again")
    assert (job.actor, job.address) == ("http:127.0.0.1", "127.0.0.1")
    done = await finished(atomic, job)
    assert (done.state, done.done, done.skipped) == ("done", 5, {"it is paused": 1})
    again = await atomic.operate.bulk("retry", q, expect=6, key=f"{shop.name}")
    assert again == _not_counted(done)
    await finished(atomic, await atomic.operate.bulk("resume", q, expect=1))

    async def all_completed() -> bool:
        page = await atomic.operate.run_page(client=shop.name, status="completed")
        return page.total == 6

    await eventually_async(all_completed)
    assert (await atomic.operate.bulk_job(str(job.id))).runs == {"completed": 5}
    assert len((await atomic.operate.run_page(filter=f"job:{job.id}")).runs) == 5
    for wrong in ("none", f"{job.id}"[:10]):
        with pytest.raises(Refused, match=f"There is no job '{wrong}'. Jobs are kept") as refused:
            await atomic.operate.run_page(filter=f"is:failed !job:{wrong}/refused")
        assert (refused.value.status, refused.value.members["position"]) == (400, 11)
        with pytest.raises(Refused, match="There is no job"):
            await atomic.operate.bulk("retry", f"job:{wrong}", expect=0)
    assert (await atomic.operate.run_page(filter=q)).runs == ()
    assert len(app.called("ill")) == 10


def _not_counted(job: BulkAnswer) -> BulkAnswer:
    """The job as it stands on lists."""
    return replace(job, runs=None, failures=())


@pytest.mark.slow
async def test_a_job_is_aborted(shop: Client, app: Application, atomic: AsyncClient) -> None:
    """It stops before its next run; it stands on the list, and cannot be aborted twice."""
    await fail(shop, app, 3)
    q = f"is:failed client:{shop.name}"
    job = await atomic.operate.bulk("dismiss", q, expect=3, rate_per_s=1)
    assert job.id is not None
    await atomic.operate.bulk_abort(job.id)
    done = await finished(atomic, job)
    assert done.state == "aborted"
    assert done.done < 3
    dismissed = await atomic.operate.run_page(filter=f"is:dismissed client:{shop.name}")
    assert len(dismissed.runs) == done.done
    assert (await atomic.operate.bulk_jobs())[0] == _not_counted(done)
    with pytest.raises(Refused, match="The job is aborted"):
        await atomic.operate.bulk_abort(job.id)
    with pytest.raises(Refused, match="There is no job"):
        await atomic.operate.bulk_job("none")


async def test_what_a_job_must_say(shop: Client) -> None:
    """No filter at all would mean every run there is; what changes something must be JSON."""
    answer = await shop.http.post("/api/v1/bulk", json={"action": "cancel", "q": " "})
    assert is_problem(answer, 400, "invalid-request")["member"] == "q"
    answer = await shop.http.post("/api/v1/bulk", content=b"{}")
    is_problem(answer, 415, "unsupported-media-type")
    answer = await shop.http.post("/api/v1/bulk/none/abort", content=b"{}")
    is_problem(answer, 415, "unsupported-media-type")


async def test_status_for_operators(shop: Client, app: Application, atomic: AsyncClient) -> None:
    """How many need a person, what is due when, how hosts do, how much ends."""
    before = await atomic.operate.status()
    await fail(shop, app, 2)
    await fail(shop, app, 1, "lame", retry=SLOW_RETRY)
    await fail(shop, app, 1, "fine")
    await (
        atomic.operate.retry_page()
    )  # rows follow their events within a second: this waits for them
    after = await atomic.operate.status()
    unsaid = {name for name, it in msgspec.structs.asdict(after).items() if it is None}
    assert unsaid == {"alerts", "retention", "backup", "token", "defined_twice", "pages_url"}
    assert after.stuck_count == (before.stuck_count or 0) + 2
    assert [bucket.up_to_ms for bucket in after.due or ()] == [10_000, 60_000, 600_000, None]
    later = [(status.due or ())[3].attempts for status in (before, after)]
    assert later[1] == later[0] + 1
    (host,) = (row for row in after.hosts or () if row.host == f"127.0.0.1:{app.port}")
    assert (host.ended, host.succeeded, host.in_flight, host.queued) == (4, 1, 0, 0)
    assert (host.p95_ms or 0) >= 1
    assert len(host.by_minute) == 8
    assert [sum(column) for column in zip(*host.by_minute, strict=True)] == [4, 1]
    came = {why: sum(counts) for why, counts in host.results.items()}
    assert (came["2xx"], sum(came.values())) == (1, 4)
    assert (len(host.results["2xx"]), len(host.retries), sum(host.retries)) == (11, 11, 0)
    assert None not in msgspec.structs.astuple(after.rates or Rates())


async def test_bodies_and_parts_of_them(
    shop: Client, app: Application, atomic: AsyncClient
) -> None:
    """Payload and answers of attempts, whole or a stretch; beyond the end there is nothing."""
    posted = await shop.post(app.at("ill"), payload="0123456789", retry=NO_RETRY)
    id = posted.json()["runId"]
    whole = await atomic.operate.payload(id)
    assert (whole.data, whole.kept_bytes, whole.full_bytes) == (b'"0123456789"', 12, 12)
    part = await atomic.operate.payload(id, first=1, count=3)
    assert (part.data, part.kept_bytes, part.full_bytes) == (b"012", 12, 12)
    assert (await atomic.operate.payload(id, first=9)).data == b'89"'
    beyond = await atomic.operate.payload(id, first=100, count=5)
    assert (beyond.data, beyond.kept_bytes) == (b"", 12)
    answer = await atomic.operate.answer(id, 1, count=8)
    assert (answer.data, answer.content_type) == (b'"of the ', "application/json")
    assert answer.full_bytes == 16
    with pytest.raises(Refused, match="no attempt"):
        await atomic.operate.answer(id, 2)
    with pytest.raises(Refused, match="no step"):
        await atomic.operate.payload("none")
    with pytest.raises(ValueError, match="counts from 0"):
        await atomic.operate.payload(id, count=0)


@pytest.mark.slow
async def test_a_stop_does_not_wait_for_jobs(tmp_path: Path) -> None:
    """The engine stops well with a job under way, and the next one goes on with it."""
    ward = Ward()
    async with application(ill=ward.ill) as app:
        with running(tmp_path, **SETTINGS) as engine:
            async with client(engine.url) as shop, AsyncClient(engine.url) as atomic:
                await fail(shop, app, 3)
                job = await atomic.operate.bulk("dismiss", "is:failed", expect=3, rate_per_s=1)

                async def has_begun() -> bool:
                    return (await atomic.operate.bulk_job(str(job.id))).done > 0

                await eventually_async(has_begun)
            engine.signal(signal.SIGTERM)
            assert await engine.ended() == 0
            assert not engine.events("bulk-action-failed")
        with running(tmp_path, **SETTINGS) as engine:
            async with AsyncClient(engine.url) as atomic:
                assert [it.id for it in await atomic.operate.bulk_jobs()] == [job.id]
                done = await finished(atomic, job)
                assert (done.state, done.done, done.skipped) == ("done", 3, {})
                gone = await atomic.operate.run_page(filter=f"is:dismissed job:{job.id}")
                assert len(gone.runs) == 3
