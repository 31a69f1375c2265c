"""A bank that hides something of its payloads and answers, with a real engine: people of each role,
and a canary at each place."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import trio
from click.testing import CliRunner, Result
from msgspec import Struct

from engine.cli.main import main
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Application,
    Call,
    Client,
    EngineProcess,
    application,
    eventually_async,
    running,
)
from tests.e2e.sse import Event, event_stream
from tests.registry.files import secret, write

CANARY = "cAnArY-4111-9f"
OWN, OTHER = "own-4f81", "other-77ab"
"""Further secrets: of the answer alone, and in a header."""
PAYLOAD = {"card": {"number": CANARY}, "items": [{"iban": f"{CANARY}-i"}], "ok": "shown"}
RULES = ["/card/number", "/items/*/iban", "/secretOf", "X-Bank-Key"]
ROLES = ("admin", "operate", "read")
GOOD = json.dumps({"card": {"number": CANARY}, "secretOf": OWN, "plain": "shown"}).encode()


async def good(call: Call) -> Answer:
    return Answer(201, GOOD)


async def bad(call: Call) -> Answer:
    """Quotes the payload, and tells a secret of its own, and a header that it was given."""
    told = f"card {CANARY} and {call.payload['items'][0]['iban']} declined; X-Bank-Key: {OTHER}"
    answer = {"error": told, "secretOf": OWN, "headers": {"x-bank-key": OTHER}}
    return Answer(402, json.dumps(answer).encode())


async def page(call: Call) -> Answer:
    return Answer(500, f"<h1>{CANARY}</h1>".encode(), {"Content-Type": "text/html"})


async def elsewhere(call: Call) -> Answer:
    return Answer(302, b"", {"Location": f"http://bank/cards/{CANARY}"})


class Bank(Struct):
    """An engine with a client that hides something, its application, and people of each role."""

    engine: EngineProcess
    app: Application
    of: Client
    people: dict[str, httpx.AsyncClient]
    directory: Path

    async def run(self, name: str, **retry: Any) -> str:
        """A run that has ended or is paused."""
        posted = await self.of.post(
            self.app.at(name), name, PAYLOAD, retry={"count": 0, **retry}, prefer="respond-async"
        )
        run_id = str(posted.json()["runId"])

        async def stands() -> bool:
            found = await self.people["admin"].get(f"/api/v1/runs/{run_id}")
            return found.json()["run"]["status"] in ("completed", "failed", "paused")

        await eventually_async(stands)
        return run_id

    async def events(self, role: str) -> list[dict[str, Any]]:
        """All that has been told so far, as somebody of this role hears it."""
        last = (await self.people["admin"].get("/api/v1/status")).json()["sequence"]
        told: list[Event] = []
        async with event_stream(
            self.engine, f"{last.rpartition('-')[0]}-0", secret(ROLES.index(role))
        ) as events:
            while not told or told[-1].id != last:
                told.append(await events.next())
        return [each.data for each in told]

    async def command(self, *arguments: str, role: str = "operate") -> Result:
        """What the command prints to somebody of this role."""
        env = {
            "ATOMIC_URL": self.engine.url,
            "ATOMIC_TOKEN_FILE": str(self.directory / f"{role}.token"),
        }
        call = partial(CliRunner().invoke, main, list(arguments), prog_name="atomic", env=env)
        return await trio.to_thread.run_sync(call)


@asynccontextmanager
async def bank(tmp_path: Path, rules: list[str] = RULES, **more: Any) -> AsyncIterator[Bank]:
    async with application(good=good, bad=bad, page=page, elsewhere=elsewhere) as app:
        for number, name in enumerate((*ROLES, "bank")):
            write(tmp_path / f"{name}.token", secret(number))
        text = f'targets = ["{app.url}/"]\ntoken_file = "../bank.token"\nredact = {rules}\n'
        write(tmp_path / "clients" / "bank.toml", text)
        files = {f"{name}_token_file": str(tmp_path / f"{name}.token") for name in ROLES}
        files["clients_dir"] = str(tmp_path / "clients")
        async with AsyncExitStack() as stack:
            engine = stack.enter_context(running(tmp_path, **SETTINGS, **files, **more))
            people = {}
            for name in (*ROLES, "bank"):
                headers = {"Authorization": f"Bearer {(tmp_path / f'{name}.token').read_text()}"}
                people[name] = await stack.enter_async_context(
                    httpx.AsyncClient(base_url=engine.url, headers=headers, timeout=60)
                )
            yield Bank(engine, app, Client(people["bank"], "bank"), people, tmp_path)


def hidden(text: str | bytes) -> None:
    """None of the secrets is in it."""
    text = text if isinstance(text, str) else text.decode("utf-8", "replace")
    for each in (CANARY, OWN, OTHER):
        assert each.lower() not in text.lower(), text
