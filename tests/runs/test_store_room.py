"""`store_bytes_max`: what is refused, what goes on, and what the log says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.outcome import Outcome
from engine.ports.caller import Invocation
from engine.runs.limits.bounds import EngineLimits
from engine.store.tables.reading import bytes_used
from tests.world import ok, recorded, world

LIMIT = 1_000_000
STEP = "http://app:9000/workflows/w/steps/a"


async def test_new_runs_are_refused_and_open_ones_go_on(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit and above it; below it all is taken. Keys that are known are answered, steps of
    open runs are recorded and called, and when there is room a run is taken again."""
    used = LIMIT - 1
    posted = trio.Event()

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index") and call.idempotency_key == "open":
            await posted.wait()
            recorded(await it.post(STEP, key="open", parent_token=call.parent_token))
        return ok()

    async with world(
        path, lambda call: app(call), limits=EngineLimits(store_bytes_max=LIMIT)
    ) as it:

        async def measured() -> int:
            return used

        monkeypatch.setattr(it.store, "bytes_used", measured)
        recorded(await it.post(key="before"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: it.post(key="open"))
            await trio.sleep(2)
            for now_used in (LIMIT, 2 * LIMIT):
                used = now_used
                await trio.sleep(2)
                with pytest.raises(Refused, match="1,000,000 bytes") as refused:
                    await it.post(key="new")
                assert refused.value.problem is Problem.STORE_UNAVAILABLE
                assert refused.value.members["limit"] == "store_bytes_max"
                assert refused.value.members["retryAfter"] == 60
            assert recorded(await it.post(key="before")).replayed
            posted.set()
        assert it.caller.times("steps/a")
        used = LIMIT - 1
        await trio.sleep(2)
        recorded(await it.post(key="new"))


async def test_the_log_warns_before_it_is_full(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 80 % on, once; again when it was below 75 % meanwhile."""
    said: list[tuple[str, int]] = []
    seen: list[tuple[int, bool, bool]] = []

    def warn(event: str, **values: Any) -> None:
        said.append((event, values["bytes_used"] * 100 // LIMIT))

    async def app(call: Invocation) -> Outcome:
        return ok()

    limits = EngineLimits(store_bytes_max=LIMIT)
    async with world(path, app, limits=limits, warn=warn) as it:
        room = it.engine.shared.store_room
        for percent in (79, 80, 85, 76, 81, 74, 80, 100, 101, 99, 90, 70, 80):

            async def measured(percent: int = percent) -> int:
                return percent * LIMIT // 100

            monkeypatch.setattr(it.store, "bytes_used", measured)
            await room.look()
            seen.append((percent, room.is_filling, room.is_full))
    assert [percent for percent, is_filling, _ in seen if not is_filling] == [79, 74, 70]
    assert [percent for percent, _, is_full in seen if is_full] == [100, 101]
    assert said == [
        ("store-fills", 80), ("store-fills", 80), ("store-full", 100), ("store-has-room", 99),
        ("store-fills", 80),
    ]  # fmt: skip


async def test_without_a_limit_nobody_looks(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sets nothing has what there was."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    async with world(path, app) as it:
        monkeypatch.setattr(it.store, "bytes_used", None)
        recorded(await it.post())
        await trio.sleep(10)


async def test_what_was_freed_does_not_count(autojump_clock: object, path: Path) -> None:
    """New runs use it before the file grows."""

    async def app(call: Invocation) -> Outcome:
        return ok(b"x" * 100_000)

    async with world(path, app) as it:
        for number in range(20):
            recorded(await it.post(key=f"k{number}"))
        await trio.sleep(3)
        before = await it.store.bytes_used()
        assert before > 2_000_000
        file = it.store.file_bytes
        db = it.store._connection
        db.execute("DELETE FROM journal WHERE large IS NOT NULL")
        assert await it.store.bytes_used() == bytes_used(db) < before / 2
        assert it.store.file_bytes >= file
