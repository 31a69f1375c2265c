"""What seed_app.py posts to the engine with: `sender(LIB)` is a function that posts and waits.

Each as its own pages would have it for posts that hang: no cap on connections, no time-out that matters.
aiohttp sends the token that is in the environment as TOKEN.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

CALL_TIMEOUT_S = 300
Send = Callable[[dict[str, Any]], Awaitable[tuple[int, Any]]]
"""Posts these members to the engine; status and what was answered."""


def _aiohttp(url: str) -> Send:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S)
    token = os.environ.get("TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connector = aiohttp.TCPConnector(limit=0)
    client = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers)

    async def send(body: dict[str, Any]) -> tuple[int, Any]:
        async with client.post(url, json=body) as answer:
            return answer.status, json.loads(await answer.read())

    return send


def _like_httpx(url: str, name: str) -> Send:
    if name == "httpx2":
        import httpx2 as httpx
    else:
        import httpx
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=400)
    if name == "httpx-aiohttp":
        import httpx_aiohttp

        limits = httpx.Limits(max_connections=0)  # for aiohttp that is none; None is its own, 100
        client = httpx_aiohttp.HttpxAiohttpClient(limits=limits, timeout=CALL_TIMEOUT_S)
    else:
        client = httpx.AsyncClient(limits=limits, timeout=CALL_TIMEOUT_S, trust_env=False)

    async def send(body: dict[str, Any]) -> tuple[int, Any]:
        answer = await client.post(url, json=body)
        return answer.status_code, answer.json()

    return send


def _engine_client(url: str) -> Send:
    from engine.client import AsyncClient

    engine, _, name = url.rpartition("/")
    client = AsyncClient(engine)

    async def send(body: dict[str, Any]) -> tuple[int, Any]:
        outcome = await client.submit(
            body["workflowName"], client=name, url=body["stepInvokeUrl"],
            key=body["idempotencyKey"], payload=body["payload"], retry=body["retry"],
        )  # fmt: skip
        return 200, {"response": outcome.response}

    return send


def sender(name: str, url: str) -> Send:
    """To be called where the event loop runs."""
    if name == "aiohttp":
        return _aiohttp(url)
    return _engine_client(url) if name == "engine.client" else _like_httpx(url, name)
