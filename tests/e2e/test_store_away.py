"""A real engine whose database another process locks: who is answered what, and how it goes on."""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e import harness
from tests.e2e.harness import Answer, Call, Client, application, eventually, is_problem

pytestmark = pytest.mark.slow


async def gone(call: Call) -> Answer:
    """The step has failed for good."""
    return Answer(410, b"0")


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program has begun to write, and does not end it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def done(call: Call) -> Answer:
    """The step is done."""
    return Answer(200, b"1")


async def test_a_foreign_lock_and_its_end(tmp_path: Path) -> None:
    """Health, reads and recorded outcomes are answered, posts refused, and who holds the lock is
    said; afterwards the same engine goes on."""
    with harness.running(tmp_path, store_wait_ms=700) as engine:
        async with harness.client(engine.url) as shop, application(index=done) as app:
            before = await shop.post(app.at("index"), "before")
            assert before.status_code == 200
            with locked(tmp_path / "a.db"):
                first = await shop.post(app.at("index"), "first", timeout=1)
                assert is_problem(first, 503, "store-unavailable")
                assert (await shop.get("/healthz")).status_code == 200
                assert (await shop.get("/readyz")).text == "store-unavailable\n"
                refused = await shop.post(app.at("index"), "second")
                assert is_problem(refused, 503, "store-unavailable")
                assert refused.headers["retry-after"] == "1"
                again = await shop.post(app.at("index"), "before")
                assert (again.status_code, again.content) == (200, before.content)
                await eventually(lambda: bool(engine.events("store-still-unavailable")))
                status = (await shop.get("/api/v1/status")).json()
                assert status["ready"] is False
                assert status["store"]["why"] == "another program holds the write lock."

                assert f"process {os.getpid()} (" in status["store"]["heldBy"]
            await eventually(lambda: bool(engine.events("store-available")))
            assert (await shop.get("/readyz")).status_code == 200
            assert (await shop.post(app.at("index"), "first")).json()["attempts"] == 1
        assert engine.stop() == 0


async def test_what_is_recorded_is_listed_and_shown(tmp_path: Path) -> None:
    """Ten runs end, and another program takes the lock before their rows are in the tables: they
    are listed, counted, found and shown, with their bodies."""
    with harness.running(tmp_path) as engine:
        async with harness.client(engine.url) as shop, application(index=done, no=gone) as app:
            with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
                for number in range(10):
                    assert (await shop.post(app.at("index"), f"k{number}")).status_code == 200
                assert (await shop.post(app.at("no"), "no", retry={"count": 0})).status_code == 424
                other.execute("BEGIN IMMEDIATE")
                assert other.execute("SELECT count(*) FROM run").fetchone()[0] < 11
                late = await shop.post(app.at("index"), "new", prefer="respond-async")
                is_problem(late, 503, "store-unavailable")
                page = await shop.read("/runs")
                assert (len(page["runs"]), page["total"], page["totalIsEstimate"]) == (
                    11,
                    11,
                    False,
                )
                assert len((await shop.read("/runs?q=is:stuck"))["runs"]) == 1
                assert [each["runs"] for each in (await shop.read("/causes"))["causes"]] == [1]
                status = await shop.read("/status")
                assert (status["counts"]["completed"], status["stuckCount"]) == (10, 1)
                for run in page["runs"]:
                    tree = await shop.read(f"/runs/{run['id']}")
                    assert len(tree["steps"][0]["attemptRows"]) == 1
                answer = await shop.get(f"/api/v1/steps/{page['runs'][-1]['id']}/response")
                assert answer.content == b"1"
                other.execute("ROLLBACK")
            await eventually(lambda: bool(engine.events("store-available")))
            assert (await shop.read("/runs"))["runs"][-11:] == page["runs"]


async def test_a_stop_while_it_is_locked(tmp_path: Path) -> None:
    """Before its deadline, at which it would be struck down, with 1, and with what was not
    recorded."""
    with harness.running(tmp_path, stop_deadline_ms=3_000, drain_grace_ms=100) as engine:
        async with harness.client(engine.url) as shop, application(index=done) as app:
            with locked(tmp_path / "a.db"):
                await shop.post(app.at("index"), "k", timeout=1)
                engine.signal(signal.SIGTERM)
                assert await engine.ended() == 1
    assert not engine.events("stopped-at-deadline")
    (said,) = engine.events("engine-stopped")
    assert re.search(r" [3-9] events were not recorded", said["reason"])
    assert "Traceback" not in engine.text


async def test_a_deleted_file(tmp_path: Path) -> None:
    """Nothing is acknowledged any more; the engine ends by itself, with the reason as last word."""
    with harness.running(tmp_path) as engine:
        async with harness.client(engine.url) as shop, application(index=done) as app:
            assert (await shop.post(app.at("index"), "before")).status_code == 200
            for suffix in ("", "-wal", "-shm"):
                (tmp_path / f"a.db{suffix}").unlink()
            assert await engine.ended() == 1
    (said,) = engine.events("engine-stopped")
    assert said["reason"].startswith(f"{tmp_path / 'a.db'} was deleted while the engine ran.")
    assert "Traceback" not in engine.text


async def test_a_disk_that_is_full_and_has_room_again(tmp_path: Path) -> None:
    """A real write that the system refuses: nothing acknowledged is lost, what was refused is not
    recorded, an end that came meanwhile is; the same process goes on when there is room."""
    may_answer = trio.Event()

    async def slow(call: Call) -> Answer:
        await may_answer.wait()
        return Answer(200, b'"slow"')

    async def wait(shop: Client, url: str, answers: list[int]) -> None:
        answers.append((await shop.post(url, "waiting")).status_code)

    answers: list[int] = []
    with harness.running(tmp_path) as engine:
        async with (
            harness.client(engine.url) as shop,
            application(index=done, slow=slow) as app,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(wait, shop, app.at("slow"), answers)
            await eventually(lambda: len(app.called("slow")) == 1)
            unlimited = resource.prlimit(engine.pid, resource.RLIMIT_FSIZE)
            # No commit fits into so little of a log; the engine's own log does.
            resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (8_192, unlimited[1]))
            refused = [await shop.post(app.at("index"), f"k{n}", "x" * 9_000, timeout=1)
                       for n in range(3)]  # fmt: skip
            for answer in refused:
                is_problem(answer, 503, "store-unavailable")
            may_answer.set()
            await eventually(lambda: bool(engine.events("store-unavailable")))
            assert (answers, app.called("index")) == ([], [])
            resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, unlimited)
            await eventually(lambda: answers == [200])
            assert engine.events("store-available")
            for number in range(3):
                assert (await shop.post(app.at("index"), f"k{number}", "x" * 9_000)).json()[
                    "attempts"
                ] == 1
        assert len(app.called("slow")) == 1
        assert engine.stop() == 0
