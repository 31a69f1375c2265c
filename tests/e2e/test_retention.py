"""Runs that have grown old, with a real engine: what goes, and what who asks for it is told."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from engine.cli.main import main
from engine.core.model import Run, StepSpec
from engine.core.retry import DAY_MS
from engine.core.rules.post import open_run
from engine.core.text.ulid import first_run_id
from engine.ports.store import Body, Write
from engine.process.exits import EXIT_REFUSED
from tests.e2e.harness import (
    EngineProcess,
    application,
    client,
    eventually,
    eventually_async,
    fine,
    is_problem,
    running,
)
from tests.e2e.sse import event_stream
from tests.store.support import URL, answered, started, store_at


def old_run(key: str, days: float) -> tuple[Run, list[Write]]:
    """A run of the client `shop` that completed so many days ago, and what is to be written."""
    at = round(time.time() * 1000 - days * DAY_MS)
    run = Run(id=first_run_id(at), client="shop", submitted_at=at)
    change, _ = open_run(run, StepSpec("w", key, URL, URL, "w", b"f" * 32), at)
    change.close(at)
    first = Write(change, (Body(run.id, 1, b"{}"),))
    return run, [first, started(run, at + 1), answered(run, at + 2)]


Atomic = Callable[..., Awaitable[str]]
"""The command against the engine at hand; `code`: its exit code."""


async def file_with(path: Path, *runs: tuple[str, float]) -> dict[str, str]:
    """A file of runs that completed so many days ago; their ids by key."""
    ids = {}
    async with store_at(path) as store:
        for key, days in runs:
            run, writes = old_run(key, days)
            ids[key] = run.id
            for write in writes:
                await store.write(write).wait()
    return ids


async def test_what_grew_old_goes_and_its_key_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command, at once; a run of today stays. Every look at what has gone is 410, with
    who it was and when; a post of its key calls nobody. Its events go too, and who comes back for
    them starts anew."""
    ids = await file_with(tmp_path / "a.db", ("old", 40), ("new", 0.5))
    monkeypatch.delenv("ATOMIC_TOKEN_FILE", raising=False)
    with running(tmp_path, retention_days=30) as engine:
        async with client(engine.url) as shop, application(w=fine) as app:

            async def atomic(*arguments: str, code: int = 0) -> str:
                invoke = partial(CliRunner().invoke, main, [*arguments, "--engine", engine.url])
                done = await trio.to_thread.run_sync(invoke)
                assert done.exit_code == code, done.output
                return done.output

            await eventually(lambda: engine.events("retention-set"))
            (waits,) = engine.events("retention-set")
            assert (waits["runs_that_go"], waits["retention_days"]) == (1, 30)
            lines = (await atomic("prune", "--dry-run")).splitlines()
            assert lines[0] == (
                "would go: 1 run (0 cancelled, 1 completed, 0 failed), 1 step with payloads and"
                " answers"
            )
            assert re.fullmatch(r"would go: \d events of before; about [\d,]+ \w+ in all", lines[1])
            assert re.fullmatch(
                r"stays: 1 run, of these 0 older runs with all of their events; \d events since",
                lines[2],
            )
            assert "would go: 0 runs" in await atomic("prune", "--dry-run", "--days", "50")
            assert (await shop.read("/status"))["retention"]["runsExpired"] == 0
            said = await atomic("prune")
            assert "goes, beside the engine's work: 1 run (" in said
            assert re.search(r"\nover: 1 run, 0 keys and \d events went in ", said)
            status = await shop.read("/status")
            assert (status["counts"]["completed"], status["retention"]["actsAt"]) == (1, None)
            await _check_events(engine, (await shop.read("/status"))["sequence"])
            run_id = ids["old"]
            for path in (
                f"runs/{run_id}", f"steps/{run_id}", f"steps/{run_id}/outcome",
                f"steps/{run_id}/payload", f"steps/{run_id}/response", f"steps/{run_id}-0/outcome",
            ):  # fmt: skip
                told = is_problem(await shop.get(f"/api/v1/{path}"), 410, "outcome-expired")
            told = is_problem(await shop.post(app.at("w"), "old"), 410, "outcome-expired")
            assert app.called("w") == []
            assert (told["runId"], told["runStatus"], told["idempotencyKey"]) == (
                run_id, "completed", "old",
            )  # fmt: skip
            assert told["finishedAt"].endswith("Z")
            await _check_looks_by_key(engine, run_id, atomic)
            acted = await shop.act(run_id, "retry")
            is_problem(acted, 410, "outcome-expired")
            assert (await shop.read(f"/steps/{ids['new']}/outcome"))["status"] == "completed"
            assert [it["id"] for it in (await shop.read("/runs"))["runs"]] == [ids["new"]]
            metrics = (await shop.get("/metrics")).text
            assert "atomic_runs_expired_total 1.0" in metrics
    with running(tmp_path) as engine:  # nobody asks for retention any more, and the key is known
        async with client(engine.url) as shop:
            is_problem(await shop.post(URL, "old"), 410, "outcome-expired")
            answer = await shop.http.post("/api/v1/prune", json={})
            is_problem(answer, 409, "not-possible")


async def _check_looks_by_key(engine: EngineProcess, run_id: str, atomic: Atomic) -> None:
    """They say what a look by id does; a list is still one."""
    async with client(engine.url) as shop:
        by_id = is_problem(await shop.get(f"/api/v1/runs/{run_id}"), 410, "outcome-expired")
        told = {it: by_id[it] for it in (
            "runId", "client", "workflowName", "idempotencyKey", "runStatus", "submittedAt",
            "finishedAt", "removedAt",
        )}  # fmt: skip
        for asked in ("key=old", "key=old&workflow=w", "key=old&client=shop&workflow=w",
                      "q=key:old", "q=key:old&client=shop"):  # fmt: skip
            page = await shop.read(f"/runs?{asked}")
            assert (page["runs"], page["expired"]) == ([], [told])
        for asked in ("key=new", "key=ol", "key=old&workflow=v", "q=key:old*", "q=old",
                      "q=key:old+is:failed", "key=old&status=failed",
                      "key=old&cursor=0"):  # fmt: skip
            assert "expired" not in await shop.read(f"/runs?{asked}")
    named = ("--workflow", "w", "--key", "old")
    for command in ("show", "outcome", "retry"):
        said = await atomic(command, *named, code=EXIT_REFUSED)
        for known in (run_id, "client shop", "workflow w", "key old", "(completed)", "removed 20"):
            assert known in said
        assert "(410 outcome-expired)" in said
    assert f": {run_id}, client shop, workflow w, key old: completed 20" in await atomic(
        "runs", *named
    )
    assert "There is no run" in await atomic("show", *named[:-1], "none", code=EXIT_REFUSED)


async def _check_events(engine: EngineProcess, latest: str) -> None:
    async def has_said_so() -> bool:
        return bool(engine.events("runs-expired"))

    await eventually_async(has_said_so)
    removed = engine.events("runs-expired")[0]["events_removed"]
    assert removed == engine.events("retention-set")[0]["events_that_go"] > 0
    file_id = latest.rpartition("-")[0]
    for at, name in ((removed - 1, "reset"), (removed, "heartbeat")):
        async with event_stream(engine, f"{file_id}-{at}") as stream:
            assert (await stream.next()).name == name
            if name == "heartbeat":
                assert (await stream.next()).id == f"{file_id}-{at + 1}"


async def test_what_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    """Other days but in a dry run; keys that would go before failed runs do; no days at all."""
    with running(tmp_path, retention_days=30) as engine:
        async with client(engine.url) as shop:
            for body, words in (
                ({"retentionDays": 10}, "are for a dry run"),
                ({"dryRun": True, "keysKeptDays": 59}, "twice"),
                ({"dryRun": True, "retentionDays": 0}, "retentionDays"),
                ({"dryRun": True, "retentionDays": 36_501}, "retentionDays"),
            ):
                answer = await shop.http.post("/api/v1/prune", json=body)
                assert words in is_problem(answer, 400, "invalid-request")["detail"]
            body = {"dryRun": True, "keysKeptDays": 60, "retentionDays": 30}
            answer = await shop.http.post("/api/v1/prune", json=body)
            assert answer.json() == {
                "dryRun": True, "retentionDays": 30, "keysKeptDays": 60, "keys": 0,
                "runs": {"completed": 0, "failed": 0, "cancelled": 0},
                "steps": 0, "events": 0, "bytesAbout": 0,
                "runsStay": 0, "runsCarried": 0, "eventsStay": 0,
            }  # fmt: skip
