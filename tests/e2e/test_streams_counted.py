"""Event streams for one client are among its callers that wait, as long as they are read."""

from __future__ import annotations

from pathlib import Path

import httpx
import trio

from engine.client import AsyncClient
from tests.e2e.harness import PATIENCE_S, SETTINGS, eventually_async, running

EVENTS = "/api/v1/events"


async def test_event_streams_of_a_client_have_a_limit(tmp_path: Path) -> None:
    """At the limit one is served, and one beyond is 429 with the limit's name; one that ends makes
    room, and who sees all clients is not counted."""
    with running(tmp_path, **SETTINGS) as engine, trio.fail_after(PATIENCE_S):
        async with AsyncClient(engine.url) as open_engine:
            added = await open_engine.admin.add_client("shop", [])
            assert added.admin is not None
        admin_token = tmp_path / "admin.token"
        admin_token.write_text(added.admin.secret)
        async with AsyncClient(engine.url, token_file=admin_token) as admin:
            made = await admin.admin.add_token("board", "read", client="shop")
            await admin.admin.set_limits("client", "shop", {"waiting_callers_max": 1})
        bearer = {"Authorization": f"Bearer {made.made.secret}"}
        as_admin = {"Authorization": f"Bearer {added.admin.secret}"}
        async with httpx.AsyncClient(base_url=engine.url, headers=bearer, timeout=60) as http:
            async with http.stream("GET", EVENTS) as first:
                assert first.status_code == 200
                refused = await http.get(EVENTS)
                assert refused.status_code == 429
                assert refused.json()["limit"] == "waiting_callers_max"
                of_page = await http.get("/ui/runs/none/events")
                assert (of_page.status_code, of_page.json()["limit"]) == (
                    429, "waiting_callers_max",
                )  # fmt: skip
                async with http.stream("GET", EVENTS, headers=as_admin) as of_all:
                    assert of_all.status_code == 200

            async def has_room() -> bool:
                async with http.stream("GET", EVENTS) as again:
                    return again.status_code == 200

            await eventually_async(has_room)
        assert not engine.events("request-failed"), engine.text
