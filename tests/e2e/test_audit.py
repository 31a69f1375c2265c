"""The audit of a real engine: each way in, each way to be refused, and a crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from engine.core.access.token import Role
from engine.offline import add_client_to, add_token_to
from engine.wire.access import ClientRequest, TokenRequest
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Call,
    application,
    client,
    eventually,
    fine,
    running,
)

NAMES = ("client", "workflowName", "idempotencyKey", "stepName")
CANARY = "atomic_canary0000000000000000000000000000000000"


def _entries(url: str, admin: str, **query: str) -> Sequence[dict[str, Any]]:
    answer = httpx.get(f"{url}/api/v1/audit", params=query, headers=_bearer(admin))
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json()["entries"]
    return entries


async def test_acts_name_what_they_are_about(tmp_path: Path) -> None:
    """The run at hand, one of before a restart, a step of it; nothing of what there is not, and of
    what is about none. What was kept is found by the key, too."""

    async def workflow(call: Call) -> Answer:
        await shop.post(app.at("pay"), call.key)
        return Answer(500)

    with running(tmp_path, **SETTINGS) as engine:
        async with application(w=workflow, pay=fine) as app, client(engine.url, "shop") as shop:
            posted = await shop.post(app.at("w"), "order-1", prefer="respond-async")
            run_id = posted.json()["runId"]
            await eventually(lambda: app.called("pay"))
            steps = await shop.steps(run_id)
            step_id = next(it["id"] for it in steps.values() if it["id"] != run_id)
            await shop.act(run_id, "pause")
            await shop.act(run_id, "cancel", step=step_id)
            await shop.act(run_id, "cancel", step=f"{run_id}-none")
            await shop.act("none", "cancel")
            assert len(_entries(engine.url, "")) == 4  # durable, before it is killed
        engine.kill()
    with running(tmp_path, **SETTINGS) as engine:
        async with client(engine.url, "shop") as shop:
            await shop.act(run_id, "cancel")
            await shop.act(run_id, "skip", step=step_id, reason="so")
            await shop.get(f"/api/v1/steps/{step_id}/payload?whole=true")
            found = list(reversed(_entries(engine.url, "")))
            told = [[it["act"], *(it.get(name) for name in NAMES)] for it in found]
            run = ["shop", "w", "order-1"]
            assert told == [
                ["pause", *run, None],
                ["cancel", *run, "pay"],
                ["cancel", *run, None],
                ["cancel", None, None, None, None],
                ["cancel", *run, None],
                ["skip", *run, "pay"],
                ["body --whole --payload", *run, "pay"],
            ]
            assert len(_entries(engine.url, "", what="order-1")) == 6


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def test_acts_and_refused_tokens_outlive_a_kill(tmp_path: Path) -> None:
    """What was done in the file, by requests, and refused at both ways in; no secret is in it.
    Without a token nothing was refused that could be told, and a look is no act."""
    db = tmp_path / "atomic.db"
    made = add_client_to(db, ClientRequest("shop", ("http://127.0.0.1:9/",)), "setup")
    assert made.admin is not None
    admin, shop = made.admin.secret, made.made.secret
    other = add_token_to(db, TokenRequest("looker", Role.READ), "setup").made.secret
    with running(tmp_path, **SETTINGS, db=str(db)) as engine:
        acts = f"{engine.url}/api/v1"
        held = httpx.post(
            f"{acts}/holds", json={"kind": "client", "name": "shop", "reason": "look"},
            headers={**_bearer(admin), "Atomic-Actor": "ada"},
        )  # fmt: skip
        assert held.status_code == 200
        cancel = {"action": "cancel"}
        assert httpx.post(f"{acts}/runs/no/actions", json=cancel, headers=_bearer(admin)).is_error
        for token, path, body in (
            (CANARY, "shop", b"{}"),  # at the door, by its head
            (CANARY, "shop", b""),  # without a body, once it is whole
            (shop, "bank", b"{}"),
            (other, "api/v1/holds", b"{}"),
            (CANARY, "api/v1/runs", None),  # by the framework
        ):
            how = "POST" if body is not None else "GET"
            head = {**_bearer(token), "Content-Type": "application/json"}
            answer = httpx.request(how, f"{engine.url}/{path}", content=body, headers=head)
            assert answer.status_code in (401, 403)
        assert httpx.get(f"{acts}/runs").status_code == 401
        assert httpx.get(f"{acts}/runs", headers=_bearer(admin)).status_code == 200
        for token, role, client in ((shop, "submit", "shop"), (other, "read", None)):
            told = httpx.get(f"{acts}/whoami", headers=_bearer(token))  # of every role: no refusal
            assert told.status_code == 200
            assert (told.json()["token"]["role"], told.json()["token"]["client"]) == (role, client)
        before = _entries(engine.url, admin)
        engine.kill()
    with running(tmp_path, **SETTINGS, db=str(db)) as engine:
        entries = _entries(engine.url, admin)
        assert entries == before
        assert not any(secret in msgspec.json.encode(entries).decode()
                       for secret in (CANARY, CANARY[7:], admin, shop, other))  # fmt: skip
    shown = [(it["actor"], it["act"], it["what"], it["status"]) for it in reversed(entries)]
    unknown = entries[0]["actor"]
    assert unknown.startswith("unknown token ")
    assert shown == [
        ("setup", "client add", "shop", 200),
        ("setup", "token add", "looker", 200),
        ("admin (ada)", "hold", "client shop", 200),
        ("admin", "cancel", "no", 404),
        (unknown, "token refused", "POST /shop", 401),
        ("shop", "token refused", "POST /bank", 403),
        ("looker", "token refused", "POST /api/v1/holds", 403),
        (unknown, "token refused", "GET /api/v1/runs", 401),
    ]
    assert {it["address"] for it in entries if it["actor"] != "setup"} == {"127.0.0.1"}
    assert [it["count"] for it in entries if it["what"] == "POST /shop"] == [1]
