"""Names made to be read as something else: as SQL, a pattern, a template, a path, a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.client import AsyncClient
from engine.wire import Problem
from tests.e2e.harness import PATIENCE_S, SETTINGS, Client, application, client, fine, running

NAMES = (
    "'; DROP TABLE run; --", '" OR ""="', "' OR '1'='1", "x' UNION SELECT secret FROM engine --",
    "%", "_", "100%_off", "\\", "\\'", "a\\nb", "?", "?1", ":id", "$1", "%s", "{0}", "{id}",
    "${jndi:ldap://a/}", "{{7*7}}", "<script>alert(1)</script>", "../../etc/passwd", "a/b", "/",
    "NULL", "null", "None", "true", "0", "1e999", "NaN", "-1", "[bold]x[/bold]", "*", "a*", "..",
    "a:b", "!wf:x", "is:failed", 'wf:"x"', "#", "a b", "~" * 128, "wf", "&a=b", "a;b", "`id`",
)  # fmt: skip
"""All are printable ASCII, as names must be."""


def quoted(text: str) -> str:
    """The text as one value of the filter language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.slow
async def test_a_name_is_only_a_name(tmp_path: Path) -> None:
    """In every text that somebody chooses: it comes back as it was, finds its own run and no other,
    and whatever else there is stays, also over a restart."""
    async with application(fine=fine) as app:
        with running(tmp_path, **SETTINGS) as engine:
            async with client(engine.url) as shop:
                for name in NAMES:
                    await posted(shop, app.at("fine"), name)
                for name in NAMES:
                    await found(shop, name)
                await acted(shop)
            assert engine.stop() == 0
        with running(tmp_path, **SETTINGS) as engine:
            async with client(engine.url) as shop:
                for name in NAMES:
                    await found(shop, name)
                async with AsyncClient(engine.url) as atomic:
                    assert {it.name for it in (await atomic.operate.holds()).holds} == set(NAMES)
            assert not engine.events("request-failed")
            assert engine.stop() == 0
    assert len(app.calls) == len(NAMES)
    for call, name in zip(app.calls, NAMES, strict=True):
        assert json.loads(call.body) == {"idempotencyKey": name, "payload": {name: name}}
        assert call.headers["atomic-workflow"] == name


async def posted(shop: Client, url: str, name: str) -> None:
    """A run whose every name is this one."""
    members: dict[str, Any] = {
        "workflowName": name, "stepInvokeUrl": url, "idempotencyKey": name,
        "stepKey": name, "stepName": name, "payload": {name: name}, "retry": {"count": 0},
    }  # fmt: skip
    answer = await shop.http.post("/shop", json=members, timeout=PATIENCE_S)
    assert answer.status_code == 200, (name, answer.text)
    assert (answer.json()["workflowName"], answer.json()["idempotencyKey"]) == (name, name)


async def found(shop: Client, name: str) -> None:
    """By each way of looking for it: that run alone."""
    for query in (
        {"workflow": name}, {"workflow": name, "client": "shop"}, {"client": "shop", "key": name},
        {"q": f"wf:{quoted(name)} key:{quoted(name)}"},
    ):  # fmt: skip
        answer = await shop.http.get("/api/v1/runs", params=query)
        if "q" in query and answer.status_code == 400:
            assert answer.json()["type"] == f"/problems/{Problem.INVALID_REQUEST}", answer.text
            continue
        rows = [row for row in answer.json()["runs"] if row["workflowName"] == name]
        others = [row for row in answer.json()["runs"] if row["workflowName"] != name]
        assert [row["idempotencyKey"] for row in rows] == [name], (query, answer.text)
        assert "q" in query or others == [], (query, others)
    (row,) = rows
    tree = (await shop.http.get(f"/api/v1/runs/{row['id']}")).json()
    assert {(it["name"], it["stepKey"]) for it in tree["steps"]} == {(name, name)}
    nobody = await shop.http.get("/api/v1/runs", params={"client": name})
    assert nobody.json()["runs"] == [], name


async def acted(shop: Client) -> None:
    """With names as reasons, actors and what is held; and as ids, which there are not."""
    run_id = (await shop.http.get("/api/v1/runs", params={"limit": 1})).json()["runs"][0]["id"]
    for name in NAMES:
        headers = {"Atomic-Actor": name[:64]}
        for action in ("dismiss", "restore", "retry"):
            done = await shop.http.post(
                f"/api/v1/runs/{run_id}/actions", json={"action": action, "reason": name},
                headers=headers,
            )  # fmt: skip
            assert done.status_code in (202, 409), (name, done.text)
        held = await shop.http.post(
            "/api/v1/holds", json={"kind": "workflow", "name": name, "reason": name},
            headers=headers,
        )  # fmt: skip
        assert held.status_code < 300, (name, held.text)
        assert (held.json()["name"], held.json()["reason"]) == (name, name)
        assert held.json()["actor"].startswith(name[:64])
        for path in ("runs", "steps", "bulk", "runs/x/actions"):
            nothing = await shop.http.get(f"/api/v1/{path}", params={"cursor": name, "id": name})
            assert nothing.status_code < 500, (path, name, nothing.text)
