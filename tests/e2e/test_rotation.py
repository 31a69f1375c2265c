"""A token is changed under load, as the page has it: no post is lost, and none is made twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from engine.client import AsyncClient, Outcome
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Application,
    Call,
    EngineProcess,
    application,
    eventually,
    eventually_async,
    fine,
    running,
)
from tests.registry.files import secret, write

CALLERS = 5
AFTER = 3
"""Posts of each caller when the old secret is over."""


class Load:
    """Callers that post one workflow of one step after the other, with the token of a file."""

    def __init__(self, engine: EngineProcess, app: Application, file: Path) -> None:
        self._url, self._app, self._file = engine.url, app, file
        self.answers: list[Outcome] = []
        self.is_over = False

    async def call(self, number: int) -> None:
        async with AsyncClient(self._url, token_file=self._file) as atomic:
            turn, left = 0, AFTER
            while left:
                left -= self.is_over
                key = f"{number}-{turn}"
                answer = await atomic.submit("w", client="shop", url=self._app.at("index"), key=key)
                assert answer.response == {"of": key}
                self.answers.append(answer)
                turn += 1

    def check(self) -> None:
        """Every post has its own outcome, and every function was called once."""
        assert len({answer.id for answer in self.answers}) == len(self.answers)
        for name in ("index", "step"):
            keys = [call.key for call in self._app.called(name)]
            assert len(keys) == len(set(keys)) == len(self.answers), name
        assert all(answer.attempts == 1 for answer in self.answers)


@asynccontextmanager
async def loaded(engine: EngineProcess, app: Application, file: Path) -> AsyncIterator[Load]:
    """Callers at work for the length of a block, and a little longer."""

    async def index(call: Call) -> Answer:
        workflow = steps.workflow("w", key=call.key, headers=call.headers)
        assert (await workflow.step(app.at("step"))).response == {"done": "step"}
        return Answer(200, b'{"of":"%b"}' % call.key.encode())

    app.handlers["index"] = index
    async with AsyncClient(engine.url, token_file=file) as steps, trio.open_nursery() as nursery:
        load = Load(engine, app, file)
        for number in range(CALLERS):
            nursery.start_soon(load.call, number)
        await eventually(lambda: len(load.answers) >= 2 * CALLERS)
        yield load
        load.is_over = True


async def is_refused(engine: EngineProcess, token: str) -> bool:
    """Whether the engine takes this token no more."""
    bearer = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=engine.url, headers=bearer) as http:
        return (await http.get("/api/v1/steps/none/outcome")).status_code == 401


@pytest.mark.slow
async def test_a_token_is_rotated_under_load(tmp_path: Path) -> None:
    """By the command's own call: both secrets hold for a while, and when the old one is over the
    clients read their file again and post with the new one."""
    async with application(step=fine) as app:
        with running(tmp_path, **SETTINGS) as engine:
            async with AsyncClient(engine.url) as everybody:
                added = await everybody.admin.add_client("shop", [f"{app.url}/"])
            assert added.admin is not None
            file = write(tmp_path / "shop.token", added.made.secret)
            admin_file = write(tmp_path / "admin.token", added.admin.secret)
            async with (
                AsyncClient(engine.url, token_file=admin_file) as admin,
                loaded(engine, app, file) as load,
            ):
                rotated = await admin.admin.rotate_token("shop", overlap_ms=1_000)
                assert not await is_refused(engine, added.made.secret)
                write(file, rotated.made.secret)
                await eventually_async(lambda: is_refused(engine, added.made.secret))
            load.check()
            assert not await is_refused(engine, rotated.made.secret)
            assert engine.stop() == 0


@pytest.mark.slow
async def test_the_tokens_of_a_file_change_under_load(tmp_path: Path) -> None:
    """A line is added, the application takes it, and the old line goes."""
    async with application(step=fine) as app:
        tokens = write(tmp_path / "tokens", secret(1))
        client = f'targets = ["{app.url}/"]\ntoken_file = "../tokens"\n'
        write(tmp_path / "clients/shop.toml", client)
        write(tmp_path / "atomic.toml", 'clients_dir = "clients"')
        file = write(tmp_path / "shop.token", secret(1))
        with running(tmp_path, **SETTINGS) as engine:
            async with loaded(engine, app, file) as load:
                write(tokens, f"{secret(1)}\n{secret(2)}")
                await eventually(lambda: len(engine.events("files-read")) == 1)
                write(file, secret(2))
                write(tokens, secret(2))
                await eventually_async(lambda: is_refused(engine, secret(1)))
            load.check()
            assert not await is_refused(engine, secret(2))
            assert engine.stop() == 0
