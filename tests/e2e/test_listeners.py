"""The status tells who listens to events, by the name they claim or that of their token."""

from __future__ import annotations

from pathlib import Path

from engine.client import AsyncClient
from tests.e2e.harness import Client, EngineProcess, eventually_async
from tests.e2e.tenants import a_world


async def test_who_listens_is_told_as_long_as_they_do(engine: EngineProcess, shop: Client) -> None:
    """Those of this name: from the first heartbeat on, until they have gone."""

    async def told() -> int:
        status = await shop.read("/status")
        return [row["actor"] for row in status["listeners"]].count("ana@laptop")

    async def nobody() -> bool:
        return await told() == 0

    async with AsyncClient(engine.url, actor="ana@laptop") as ana:
        async with ana.operate.events() as first:
            await anext(first)
            assert await told() == 1
            async with ana.operate.events(since="1h") as second:
                await anext(second)
                assert await told() == 2
        await eventually_async(nobody)


async def test_a_name_that_is_none_is_refused(shop: Client) -> None:
    """As for an action."""
    answer = await shop.http.get("/api/v1/events", headers={"Atomic-Actor": "x" * 65})
    assert (answer.status_code, answer.json()["member"]) == (400, "Atomic-Actor")


async def test_who_sees_one_client_is_told_of_its_listeners_alone(tmp_path: Path) -> None:
    """By the names of tokens, and what their owners say beside."""
    async with a_world(tmp_path) as world:

        def reader(token: str, actor: str | None = None) -> AsyncClient:
            return AsyncClient(world.url, token_file=world.directory / token, actor=actor)

        async with (
            reader("reader.token", "ana@laptop") as team,
            reader("admin.token") as admin,
            team.operate.events() as one,
            admin.operate.events() as other,
        ):
            await anext(one)
            await anext(other)
            every = (await admin.operate.status()).listeners
            own = (await team.operate.status()).listeners
        assert [(it.actor, it.client) for it in every or ()] == [
            ("admin", None),
            ("reader (ana@laptop)", "alpha"),
        ]
        assert [(it.actor, it.client) for it in own or ()] == [("reader (ana@laptop)", "alpha")]
