"""A token that is taken away is good for nothing more: neither an event stream that it opened, nor
a post or a question that still waits for its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from msgspec import Struct

from engine.client import AsyncClient
from tests.e2e.harness import (
    PATIENCE_S,
    SETTINGS,
    Answer,
    Application,
    Client,
    application,
    eventually,
    running,
)


class World(Struct):
    """An engine with the client shop, whose one endpoint answers when it is told to."""

    url: str
    app: Application
    admin: AsyncClient
    secret: str
    answer_now: trio.Event

    @asynccontextmanager
    async def as_shop(self, secret: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody with a token of the shop's, which may operate."""
        bearer = {"Authorization": f"Bearer {secret or self.secret}"}
        async with httpx.AsyncClient(base_url=self.url, headers=bearer, timeout=60) as http:
            yield http

    async def remove_token(self) -> None:
        await self.admin.admin.remove_token("ops")

    async def rotate(self) -> None:
        await self.admin.admin.rotate_token("ops", overlap_ms=0)

    async def remove_client(self) -> None:
        """And there is a new one of its name."""
        await self.admin.admin.remove_client("shop")
        await self.admin.admin.add_client("shop", [f"{self.app.url}/"])


@asynccontextmanager
async def a_world(directory: Path) -> AsyncIterator[World]:
    answer_now = trio.Event()

    async def slow(call: object) -> Answer:
        await answer_now.wait()
        return Answer(200, b'{"secret":"of the shop"}')

    with running(directory, **SETTINGS) as engine:
        async with application(slow=slow) as app:
            async with AsyncClient(engine.url) as open_engine:
                added = await open_engine.admin.add_client("shop", [f"{app.url}/"])
                assert added.admin is not None
            kept = directory / "admin.token"
            kept.write_text(added.admin.secret)
            async with AsyncClient(engine.url, token_file=kept) as admin:
                made = await admin.admin.add_token("ops", "operate", client="shop")
                yield World(engine.url, app, admin, made.made.secret, answer_now)
        assert not engine.events("request-failed"), engine.text


TAKEN = (World.remove_token, World.rotate, World.remove_client)


@pytest.mark.parametrize("taken", TAKEN, ids=lambda it: it.__name__)
async def test_an_event_stream_ends_with_its_token(
    tmp_path: Path, taken: Callable[[World], Awaitable[None]]
) -> None:
    """It says nothing more, also of a new client of the same name; who connects again is 401."""
    async with a_world(tmp_path) as world, world.as_shop() as http:
        with trio.fail_after(PATIENCE_S):
            async with http.stream("GET", "/api/v1/events") as stream:
                assert stream.status_code == 200
                parts = stream.aiter_bytes()
                await anext(parts)
                await taken(world)
                async for _ in parts:
                    pass
        assert (await http.get("/api/v1/events")).status_code == 401


async def test_a_stream_that_needed_no_token_ends_when_tokens_are_asked_for(tmp_path: Path) -> None:
    """What anybody could read before there was a client is not read on without a token."""
    with running(tmp_path, **SETTINGS) as engine, trio.fail_after(PATIENCE_S):
        async with httpx.AsyncClient(base_url=engine.url, timeout=60) as http:
            async with http.stream("GET", "/api/v1/events") as stream:
                parts = stream.aiter_bytes()
                await anext(parts)
                async with AsyncClient(engine.url) as open_engine:
                    await open_engine.admin.add_client("shop", [])
                async for _ in parts:
                    pass
            assert (await http.get("/api/v1/events")).status_code == 401


async def waiting(world: World, http: httpx.AsyncClient, way: str, then: Any) -> httpx.Response:
    """The answer of a post, or of a question for its outcome, that waits while `then` happens."""
    answers: list[httpx.Response] = []
    shop = Client(http, "shop")
    url = world.app.at("slow")

    async def post() -> None:
        answers.append(await shop.post(url, way))

    async def ask() -> None:
        answers.append(await http.get(f"/api/v1/steps/{opened.json()['id']}/outcome"))

    async with trio.open_nursery() as nursery:
        if way == "outcome":
            opened = await shop.post(url, way, prefer="respond-async")
        nursery.start_soon(ask if way == "outcome" else post)
        await eventually(lambda: bool(world.app.called("slow")))
        for _ in range(3):  # a question has no sign that it waits: it was sent before these
            await http.get("/healthz")
        await then()
        world.answer_now.set()
    return answers[0]


@pytest.mark.parametrize("way", ["post", "outcome"])
async def test_who_waits_with_a_token_that_is_taken_away(tmp_path: Path, way: str) -> None:
    """Gets 401 instead of the outcome; with the new secret the same question gets it."""
    async with a_world(tmp_path) as world, world.as_shop() as http:
        secrets: list[str] = []

        async def leaked() -> None:
            rotated = await world.admin.admin.rotate_token("ops", overlap_ms=0)
            secrets.append(rotated.made.secret)

        answer = await waiting(world, http, way, leaked)
        assert answer.status_code == 401, answer.text
        assert "of the shop" not in answer.text
        assert "bearer" in answer.headers["www-authenticate"].lower()
        async with world.as_shop(secrets[0]) as again:
            found = await Client(again, "shop").post(world.app.at("slow"), way)
            assert (found.status_code, found.json()["response"]) == (200, {"secret": "of the shop"})
        assert len(world.app.calls) == 1


async def test_who_waits_while_both_secrets_are_good(tmp_path: Path) -> None:
    """Gets the outcome: a rotation with an overlap breaks nothing, nor does a client that is
    turned off, whose outcomes are still read."""
    async with a_world(tmp_path) as world, world.as_shop() as http:

        async def renewed() -> None:
            await world.admin.admin.rotate_token("ops", overlap_ms=3_600_000)
            await world.admin.admin.disable_client("shop")

        answer = await waiting(world, http, "post", renewed)
        assert answer.status_code == 200, answer.text
