"""The audit: kept before the act, completed by the answer, and never filled by who guesses."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from engine.core.events import Actor
from engine.ports.audit import AuditEntry, AuditQuery
from engine.ports.registry import KIND_HOLD, Registered
from engine.registry.audit import (
    DAY_MS,
    FORGET_EVERY_S,
    OTHERS,
    REFUSALS_EACH_MAX,
    REFUSALS_EVERY_S,
    REFUSALS_MAX,
    Audit,
    Refusal,
)
from engine.store.sqlite.store import SqliteStore
from engine.store.tables.audit import FORGOTTEN_AT_ONCE
from tests.store.support import rows, store_at
from tests.world import EPOCH_MS, FakeClock

ADA = Actor("root (ada)", "10.0.0.7")
GUESS = Refusal(
    "unknown token 01020304", "10.0.0.9", "POST /shop", 401, "It is none of ours.", False
)
SMALL = Refusal("looker", "10.0.0.8", "POST /api/v1/tokens", 403, "It needs the role admin.")


async def _all(audit: Audit) -> list[AuditEntry]:
    return await audit.page(AuditQuery(limit=10_000))


def _shown(found: list[AuditEntry]) -> list[tuple[str, str, int | None, int]]:
    return [(each.actor, each.act, each.status, each.count) for each in found]


async def test_an_act_is_never_durable_without_its_entry(path: Path) -> None:
    """It is given to the store first; what was answered is added. A crash between both leaves an
    entry whose answer is not known."""
    async with store_at(path) as store:
        audit = Audit(store, FakeClock())
        audit.begin("hold", "client shop", '{"reason":"vendor down"}', ADA)
        await store.register(Registered(KIND_HOLD, "client:shop", b"{}", 1, "ada")).wait()
        seen = rows(path, "SELECT actor, address, act, what, detail, status FROM audit")
        assert seen == [
            (ADA.name, ADA.address, "hold", "client shop", '{"reason":"vendor down"}', None)
        ]


async def test_it_is_told_at_once_what_was_answered(path: Path) -> None:
    """Who looks right after an act finds it whole; the newest is first, pages follow each other."""
    async with store_at(path) as store:
        audit = Audit(store, FakeClock())
        first = audit.begin("hold", "client shop", "", ADA)
        audit.end(first, 200)
        audit.end(audit.begin("retry", "R1", "", replace(ADA, name="bob")), 404, "not-found")
        found = await _all(audit)
        assert _shown(found) == [("bob", "retry", 404, 1), ("root (ada)", "hold", 200, 1)]
        assert found[0].problem == "not-found"
        page = await audit.page(AuditQuery(limit=1))
        assert page == found[:1]
        assert await audit.page(AuditQuery(limit=1, cursor=page[0].id)) == found[1:]


async def test_entries_are_found_by_who_what_and_when(path: Path) -> None:
    """A token's name finds what was done with it whatever was claimed beside, and no longer name
    that begins so."""
    async with store_at(path) as store:
        audit = Audit(store, FakeClock())
        for name in ("root", "root (ada)", "rooty", "root(x)"):
            audit.begin("hold", f"client {name}", "", Actor(name, None))
        await trio.sleep(1)
        late = audit.begin("release", "client root", "", ADA)

        async def names(**asked: object) -> list[str]:
            return [each.what for each in await audit.page(AuditQuery(**asked))]  # type: ignore[arg-type]

        assert await names(actor="root") == ["client root", "client root (ada)", "client root"]
        assert await names(actor="root", act="hold") == ["client root (ada)", "client root"]
        assert await names(what="client rooty") == ["client rooty"]
        assert await names(since=late.at) == ["client root"]
        assert await names(since=late.at + 1) == []
        assert await names(actor="roo%") == []


async def test_the_same_refusals_are_one_entry_a_minute(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The first at once; those of the minute after it with their count; silence adds nothing."""
    async with store_at(path) as store, trio.open_nursery() as nursery:
        audit = Audit(store, FakeClock())
        nursery.start_soon(audit.run)
        for _ in range(1_000):
            audit.refused(GUESS)
        assert _shown(await _all(audit)) == [(GUESS.who, "token refused", 401, 1)]
        await trio.sleep(REFUSALS_EVERY_S + 1)
        assert [each.count for each in await _all(audit)] == [999, 1]
        audit.refused(GUESS)
        await trio.sleep(2 * REFUSALS_EVERY_S)
        assert [each.count for each in await _all(audit)] == [1, 999, 1]
        await trio.sleep(10 * REFUSALS_EVERY_S)
        audit.refused(GUESS)
        audit.refused(GUESS)
        nursery.cancel_scope.cancel()
    async with store_at(path) as store:  # what was not told yet was, at the end
        found = await store.audited(AuditQuery())
        assert [each.count for each in found] == [1, 1, 1, 999, 1]


async def test_who_guesses_in_many_ways_is_counted_too(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """So many kinds are told apart within a minute, and one more stands for all others."""
    async with store_at(path) as store:
        audit = Audit(store, FakeClock())
        for number in range(REFUSALS_MAX):
            audit.refused(replace(GUESS, who=f"unknown token {number}"))
        assert len(await _all(audit)) == REFUSALS_MAX
        for number in range(REFUSALS_MAX, REFUSALS_MAX + 50):
            audit.refused(replace(GUESS, who=f"unknown token {number}"))
        audit.keep_counts()
        found = await _all(audit)
        assert [(each.actor, each.count) for each in found[:2]] == [
            (OTHERS.who, 49), (OTHERS.who, 1)
        ]  # fmt: skip
        assert len(found) == REFUSALS_MAX + 2
        audit.refused(SMALL)  # a stranger's guesses hide nothing of what ours did
        assert _shown(await _all(audit))[0] == ("looker", "token refused", 403, 1)


async def _refuse(audit: Audit, times: int, token: str, status: int = 404) -> None:
    for number in range(times):
        actor = Actor(f"{token} (name {number})", "10.0.0.7")
        entry = audit.begin("retry", f"R{number}", "", actor)
        audit.end(entry, status, "not-found", token)


async def test_refused_acts_of_one_token_are_counted(path: Path) -> None:
    """So many a minute are kept each by itself, as ever, and of the others how many, whatever
    they claim to be called; another token's and what was done are there as if nothing were."""
    async with store_at(path) as store:
        audit = Audit(store, FakeClock())
        await _refuse(audit, REFUSALS_EACH_MAX, "shop")
        assert [each.what for each in reversed(await _all(audit))] == [
            f"R{number}" for number in range(REFUSALS_EACH_MAX)
        ]
        await _refuse(audit, 500, "shop")
        await _refuse(audit, 1, "forum")
        audit.end(audit.begin("retry", "R", "", Actor("shop", None)), 202, None, "shop")
        audit.keep_counts()
        found = await _all(audit)
        assert _shown(found)[:4] == [
            ("shop", "retry", 404, 499),
            ("shop", "retry", 202, 1),
            ("forum (name 0)", "retry", 404, 1),
            ("shop", "retry", 404, 1),  # the first of those that are counted, at once
        ]
        assert len(found) == REFUSALS_EACH_MAX + 4
        assert "More was refused" in found[0].detail
        await _refuse(audit, 1, "shop")  # a minute is over
        assert (await _all(audit))[0].what == "R0"


async def test_an_act_that_may_have_been_done_is_kept(path: Path) -> None:
    """However many were refused: 5xx may come behind what was written. So is one that no answer
    has come to."""
    async with store_at(path) as store:
        audit = Audit(store, FakeClock())
        await _refuse(audit, REFUSALS_EACH_MAX, "")
        await _refuse(audit, 3, "", 503)
        audit.begin("hold", "client shop", "", ADA)
        statuses = [each.status for each in await _all(audit)]
        assert statuses == [None, 503, 503, 503] + REFUSALS_EACH_MAX * [404]


async def test_a_token_that_is_refused_in_many_ways_hides_no_other(path: Path) -> None:
    """Each path is a kind of refusal: beyond so many a minute they are counted for that token."""
    async with store_at(path) as store:
        audit = Audit(store, FakeClock())
        for number in range(2 * REFUSALS_MAX):
            audit.refused(replace(SMALL, what=f"POST /{number}"))
        audit.refused(replace(SMALL, who="other"))
        audit.keep_counts()
        found = await _all(audit)
        more = 2 * REFUSALS_MAX - REFUSALS_EACH_MAX
        assert [(each.actor, each.count) for each in found[:2]] == [
            ("looker", more - 1), ("other", 1)
        ]  # fmt: skip
        assert len(found) == REFUSALS_EACH_MAX + 3


async def _keep(store: SqliteStore, count: int, at: int) -> None:
    for number in range(count):
        store.audit(AuditEntry(f"{at}-{number:06d}", at, "ada", None, "hold", "x", status=200))
    store.audit(AuditEntry(f"{at}-last", at, "ada", None, "hold", "x"))
    await store.audit(AuditEntry(f"{at}-last", at, "ada", None, "hold", "x", status=200)).wait()


async def test_it_is_kept_for_so_many_days(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Older entries go within the hour, some at a time, and how many is told; one of that very age
    stays, and goes an hour later."""
    clock = FakeClock(base_ms=EPOCH_MS - round(FORGET_EVERY_S * 1_000))
    said: list[tuple[str, dict[str, object]]] = []

    def log(event: str, **values: object) -> None:
        said.append((event, values))

    old = 2 * FORGOTTEN_AT_ONCE + 2
    async with store_at(path) as store, trio.open_nursery() as nursery:
        await _keep(store, old - 1, EPOCH_MS - 3 * DAY_MS)
        await _keep(store, 0, EPOCH_MS - 2 * DAY_MS)
        await _keep(store, 0, EPOCH_MS - DAY_MS)
        audit = Audit(store, clock, 2, log, log)
        nursery.start_soon(audit.run)
        await trio.sleep(FORGET_EVERY_S - 1)
        assert len(await _all(audit)) == old + 2, "never first of all after a start"
        await trio.sleep(2)
        assert [each.at for each in await _all(audit)] == [
            EPOCH_MS - DAY_MS, EPOCH_MS - 2 * DAY_MS
        ]  # fmt: skip
        await trio.sleep(FORGET_EVERY_S)
        assert [each.at for each in await _all(audit)] == [EPOCH_MS - DAY_MS]
        assert said == [("audit-expired", {"entries": old}), ("audit-expired", {"entries": 1})]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("days", "is_told"), [(1.0, False), (1.01, True)])
async def test_what_a_clock_that_is_ahead_makes_old_waits_for_an_hour(
    path: Path, autojump_clock: trio.testing.MockClock, days: float, is_told: bool
) -> None:
    """From a day on it is told what would go. A clock that was set right meanwhile takes nothing,
    though the engine's own is that of its start; nor does one that is set ahead later."""
    clock = FakeClock(base_ms=EPOCH_MS + round(days * DAY_MS))
    said: list[tuple[str, dict[str, object]]] = []

    def log(event: str, **values: object) -> None:
        said.append((event, values))

    async with store_at(path) as store, trio.open_nursery() as nursery:
        await _keep(store, 1, EPOCH_MS - DAY_MS)
        await _keep(store, 0, EPOCH_MS)
        nursery.start_soon(Audit(store, clock, 1, log, log).run)
        await trio.sleep(1)
        assert [event for event, _ in said] == ["audit-waits"] * is_told
        if is_told:
            assert said[0][1] == {
                "entries_that_go": 3, "audit_kept_days": 1, "acts_in_s": 3_600,
                "ahead_s": round(days * DAY_MS) // 1000,
            }  # fmt: skip
        clock.utc_ms = lambda: EPOCH_MS  # type: ignore[method-assign]
        await trio.sleep(2 * FORGET_EVERY_S)
        assert len(await store.audited(AuditQuery())) == 3
        clock.steady_ms = lambda: EPOCH_MS  # type: ignore[method-assign]
        clock.utc_ms = lambda: EPOCH_MS + 900 * DAY_MS  # type: ignore[method-assign]
        await trio.sleep(2 * FORGET_EVERY_S)
        assert len(await store.audited(AuditQuery())) == 3
        nursery.cancel_scope.cancel()
