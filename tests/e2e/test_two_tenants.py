"""Two tenants of one engine attack each other: with every route, and every id of the other.

Whatever one of them asks, what comes back says nothing of the other: another's run is answered as
one that there is not, word for word, and no list, count, event or cursor has anything of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from engine.client import AsyncClient, Reset
from engine.core.rules.action import Action
from engine.wire import OwnToken, routes
from engine.wire.events import Accepted
from engine.wire.routes import ROUTES, Role, Route
from tests.e2e.harness import Answer, application, eventually_async
from tests.e2e.tenants import ALPHA, BETA, BETAS, UNKNOWN_RUN, UNKNOWN_STEP, Tenant, a_world, said

# -- every route with every id of the other ------------------------------------------------------


def bodies(route: Route[Any], steps: list[str]) -> Iterator[dict[str, Any] | None]:
    """What is sent there."""
    if route is routes.ACT:
        for action in Action:
            urls = {"from": "http://a/", "to": "http://b/"} if action is Action.RETARGET else {}
            for dry_run in (True, False):
                yield {"action": action, "dryRun": dry_run, **urls}
                yield {"action": action, "step": steps[0], "ifRev": 1, "dryRun": dry_run, **urls}
        yield {"action": "none"}
    else:
        yield None if route.method == "GET" else {}


async def test_every_route_with_every_id_of_the_other(tmp_path: Path) -> None:
    """As one that there is not, word for word, whatever is asked; and nothing of the other moves.
    Of a token's own id it is answered, so the questions are real ones."""
    async with a_world(tmp_path) as world:
        beta = world.beta
        before = [(await world.admin.operate.run(id)).run for id in beta.runs]
        asked: set[Route[Any]] = set()
        for person in world.alphas.values():
            for route in ROUTES:
                names = re.findall(r"{(\w+)}", route.path)
                if "id" not in names:
                    continue
                asked.add(route)
                of_job = "bulk" in route.path
                ids = beta.jobs if of_job else [*beta.runs, *beta.steps]
                for id in ids:
                    unknown = UNKNOWN_STEP if "-" in id else UNKNOWN_RUN
                    for body in bodies(route, beta.steps):
                        answers = []
                        for name in (id, unknown):
                            path = route.path.format(id=name, number=1)
                            answer = await world_ask(person, route, path, body)
                            answers.append(said(answer, name))
                        assert answers[0] == answers[1], (person.name, route.path, id, body)
                        assert answers[0][0] in (400, 403, 404), answers[0]
                        assert not BETAS.search(answers[0][2].encode()), answers[0]
        assert asked == {it for it in ROUTES if "{id}" in it.path}
        assert before == [(await world.admin.operate.run(id)).run for id in beta.runs]
        operator = world.alphas["operator"]
        for path in ("runs/{}", "steps/{}", "steps/{}/payload", "steps/{}/outcome"):
            answer = await operator.http.get(f"/api/v1/{path.format(operator.runs[0])}")
            assert answer.status_code == 200, answer.text


async def world_ask(
    person: Tenant, route: Route[Any], path: str, body: dict[str, Any] | None
) -> httpx.Response:
    if route.method == "GET":
        return await person.http.get(path, headers={"Prefer": "wait=0"})
    return await person.http.post(path, json=body)


async def test_posts_to_the_other(tmp_path: Path) -> None:
    """Are refused as those to a client that there is not; a parent token of the other's, which
    somebody must have leaked, as one that was made up."""
    async with a_world(tmp_path) as world:
        caught: list[str] = []

        async def catch(call: Any) -> Answer:
            caught.append(call.parent_token)
            return Answer(200)

        async with application(catch=catch) as app:
            targets = [f"{app.url}/", f"{world.app}/"]
            await world.admin.admin.add_client("gamma", targets)
            made = await world.admin.admin.add_token("g", "submit", client="gamma")
            bearer = {"Authorization": f"Bearer {made.made.secret}"}
            body = {"workflowName": "w", "stepInvokeUrl": app.at("catch"), "idempotencyKey": "k"}
            answer = await world.beta.http.post("/gamma", json=body, headers=bearer)
            assert answer.status_code == 200, answer.text
        body["stepInvokeUrl"] = f"{world.app}/fine"
        for person in ("poster", "operator"):
            http = world.alphas[person].http
            told = [said(await http.post(f"/{name}", json=body), name) for name in (BETA, "nosuch")]
            assert told[0] == told[1]
            assert told[0][0] == 403
            made_up = re.sub(r"[0-9a-f]{4}$", "0000", caught[0])
            told = [
                said(await http.post("/alpha", json=body, headers={"Atomic-Parent": it}), it)
                for it in (caught[0], made_up)
            ]
            assert told[0] == told[1]
            assert told[0][0] == 400


# -- lists, counts, causes, jobs, status ----------------------------------------------------------

LISTS = (
    "runs", "runs?client=beta", "runs?workflow=beta-wf", "runs?q=beta", "runs?q=client:beta",
    "runs?q=!client:alpha", "runs?q=is:stuck", "runs?q=error:ill-of-b+client:beta", "runs?limit=1",
    "runs?status=failed,paused", "runs?sort=submittedAt", "causes", "causes?dismissed=true",
    "retries", "retries?limit=1", "retries?q=client:beta", "bulk", "status",
)  # fmt: skip


def without_time(document: Any) -> Any:
    return {k: v for k, v in document.items() if k not in ("serverTime", "sequence")}


async def test_lists_and_counts_have_nothing_of_the_other(tmp_path: Path) -> None:
    """They are word for word the same when the other does more, and its metrics are for those who
    see all. The reason that both have is told to each of its own run."""
    async with a_world(tmp_path) as world:
        reader, operator = world.alphas["reader"], world.alphas["operator"]
        before: dict[str, Any] = {}
        for round in range(2):
            for path in LISTS:
                for person in (reader, operator):
                    answer = await person.http.get(f"/api/v1/{path}")
                    assert answer.status_code == 200, answer.text
                    if "beta" not in path:
                        assert b"beta" not in answer.content, path
                    told = without_time(answer.json())
                    if path == "status":
                        assert told.pop("token")["role"] == person.role
                    if round == 0:
                        before.setdefault(path, told)
                    assert told == before[path], path
            if round == 0:
                await world.fill(world.beta, number=1)
        runs = (await reader.http.get("/api/v1/runs")).json()
        assert runs["total"] == len(operator.runs)
        assert {row["client"] for row in runs["runs"]} == {ALPHA}
        for path in ("runs?client=beta", "runs?q=client:beta", "runs?workflow=beta-wf"):
            assert (await reader.http.get(f"/api/v1/{path}")).json()["runs"] == []
        status = before["status"]
        assert sum(status["counts"].values()) == len(operator.runs)
        assert set(status) == {
            "instance", "version", "startedAt", "ready", "draining", "durability", "store",
            "counts", "stuckCount", "lateCount", "timedCount", "due", "holds", "limits",
            "clients", "listeners",
        }  # fmt: skip
        assert status["listeners"] == []
        assert status["store"] == {"available": True}
        assert (await reader.http.get("/metrics")).status_code == 403
        every = await world.admin.operate.run_page()
        assert every.total == len(operator.runs) + len(world.beta.runs)


async def test_the_status_says_who_asks_and_what_holds_their_client(tmp_path: Path) -> None:
    """The name, role and client of the token, no more of it; and of holds those on the client, none
    on the other, nor on a workflow or a host that both may have."""
    async with a_world(tmp_path) as world:
        for kind, name in (("client", ALPHA), ("client", BETA), ("workflow", "w"), ("host", "h")):
            await world.admin.operate.hold(kind, name, reason=f"of {name}")
        for person in (world.alphas["reader"], world.alphas["operator"], world.beta):
            status = (await person.http.get("/api/v1/status")).json()
            name = {"read": "reader", "operate": "operator"}[person.role]
            name = "other" if person is world.beta else name
            assert status["token"] == {"name": name, "role": person.role, "client": person.name}
            (hold,) = status["holds"]
            assert (hold["kind"], hold["name"]) == ("client", person.name)
        every = await world.admin.operate.status()
        assert every.token == OwnToken("admin", Role.ADMIN)
        assert len(every.holds or ()) == 4


async def test_what_holds_a_clients_runs_is_told_to_its_team(tmp_path: Path) -> None:
    """Also a hold of everybody's workflow or host, while steps of theirs wait under it, with how
    many of theirs; whoever has none there is told nothing of it, nor that others wait."""
    async with a_world(tmp_path) as world:
        for kind, name in (("workflow", "nightly"), ("host", "127.0.0.1"), ("workflow", "w")):
            await world.admin.operate.hold(kind, name, reason="the vendor is down")
        reader, poster = world.alphas["reader"], world.alphas["poster"]
        for key in ("one", "two"):
            body = {
                "workflowName": "nightly",
                "stepInvokeUrl": f"{world.app}/fine",
                "idempotencyKey": key,
            }
            posted = await poster.http.post("/alpha", json=body, headers={"Prefer": "wait=0"})
            assert posted.status_code == 202, posted.text

        async def seen_by(person: Tenant) -> dict[str, int]:
            answer = await person.http.get("/api/v1/holds")
            assert answer.status_code == 200, answer.text
            return {it["name"]: it["waiting"] for it in answer.json()["holds"]}

        async def is_counted() -> bool:
            return (await seen_by(reader)).get("nightly") == 2

        await eventually_async(is_counted)
        assert (await reader.http.get("/api/v1/holds")).json()["waiting"] >= 2
        status = (await reader.http.get("/api/v1/status")).json()
        assert {it["name"] for it in status["holds"]} >= {"nightly", "127.0.0.1"}
        assert (await seen_by(reader)).keys() >= {"nightly", "127.0.0.1"}
        assert "nightly" not in await seen_by(world.beta)


async def test_a_hold_on_everything_is_told_to_everybody(tmp_path: Path) -> None:
    """It concerns each client, also one of which nothing waits yet; how many wait is its own."""
    async with a_world(tmp_path) as world:
        await world.admin.operate.hold("all", "*", reason="restored")
        for person in (world.alphas["reader"], world.alphas["operator"], world.beta):
            listed = (await person.http.get("/api/v1/holds")).json()
            status = (await person.http.get("/api/v1/status")).json()
            for (hold,) in (listed["holds"], status["holds"]):
                assert (hold["kind"], hold["name"], hold["reason"]) == ("all", "*", "restored")


async def test_a_job_acts_on_the_runs_of_its_own_client(tmp_path: Path) -> None:
    """With a filter that all match; the other's jobs are not there, also not by the key that they
    were begun with."""
    async with a_world(tmp_path) as world:
        operator, beta = world.alphas["operator"], world.beta
        before = [(await world.admin.operate.run(id)).run for id in beta.runs]
        asked = {"action": "cancel", "q": "is:live", "expect": 100, "ratePerS": 1_000}
        would = await operator.http.post("/api/v1/bulk", json=asked | {"dryRun": True})
        assert {run["client"] for run in would.json()["sampleRuns"]} == {ALPHA}
        answer = await operator.http.post(
            "/api/v1/bulk", json=asked, headers={"Idempotency-Key": "job"}
        )
        assert answer.status_code == 202, answer.text
        job = answer.json()
        assert job["id"] not in beta.jobs

        async def ended() -> bool:
            found = await operator.http.get(f"/api/v1/bulk/{job['id']}")
            return bool(found.json()["state"] == "done")

        await eventually_async(ended)
        assert before == [(await world.admin.operate.run(id)).run for id in beta.runs]
        mine = {(await world.admin.operate.run(id)).run.status for id in operator.runs}
        assert mine <= {"completed", "failed", "cancelled"}
        for person, jobs in ((operator, [job["id"]]), (beta, beta.jobs)):
            listed = (await person.http.get("/api/v1/bulk")).json()["jobs"]
            assert [each["id"] for each in listed] == jobs
            assert {each["actor"].split(" ")[0] for each in listed} == (
                {"operator" if person is operator else "other"}
            )
        assert len(await world.admin.operate.bulk_jobs()) == 2


# -- the event stream -----------------------------------------------------------------------------


async def test_the_stream_has_the_clients_own_events(tmp_path: Path) -> None:
    """Whole and in order: each says the one before it, so the client library finds no gap, also
    where it goes on after a break. Ids say nothing, and another's is unknown."""
    async with a_world(tmp_path) as world:
        reader = AsyncClient(world.url, token_file=world.directory / "reader.token")
        operator = world.alphas["operator"]
        seen: list[Any] = []
        async with reader, reader.operate.events() as stream:
            first = await anext(stream)
            assert first.kind == "heartbeat"
            await world.fill(world.beta, number=1)
            await world.fill(operator, number=1)
            await operator.http.post(
                f"/api/v1/runs/{operator.runs[1]}/actions",
                json={"action": "dismiss"},
                headers={"Atomic-Actor": "ada@laptop"},
            )
            with trio.fail_after(30):
                async for event in stream:
                    seen.append(event)
                    if getattr(event.data, "kind", "") == "acted":
                        break
        assert not any(isinstance(event.data, Reset) for event in seen)
        facts = [event for event in seen if hasattr(event.data, "run_id")]
        assert {event.data.run_id for event in facts} <= set(operator.runs)
        accepted = [it.data.run_id for it in facts if it.data.kind == "accepted"]
        assert accepted == operator.runs[4:]
        assert facts[-1].data.actor == "operator (ada@laptop)"
        assert not any(b"beta" in bytes(event.raw) for event in seen)
        assert not any(re.search(r"-\d{1,12}$", event.id or "") for event in seen)

        middle = next(i for i, it in enumerate(facts) if it.data.run_id == operator.runs[5])
        last_id = facts[middle].id
        async with (
            AsyncClient(world.url, token_file=world.directory / "reader.token") as again,
            again.operate.events(last_id) as stream,
        ):
            got: list[Any] = []
            with trio.fail_after(30):
                async for event in stream:
                    assert not isinstance(event.data, Reset), event
                    if hasattr(event.data, "run_id"):
                        got.append(event)
                    if len(got) == len(facts) - middle - 1:
                        break
        assert [(it.data.kind, it.data.run_id, it.data.step_id) for it in got] == [
            (it.data.kind, it.data.run_id, it.data.step_id) for it in facts[middle + 1 :]
        ]

        client = AsyncClient(world.url, token_file=world.directory / "reader.token")
        async with client, client.operate.events(since="1h") as stream:
            told: list[Any] = []
            while len(told) < len(operator.runs):
                event = await anext(stream)
                assert not isinstance(event.data, Reset), event
                assert b"beta" not in bytes(event.raw)
                if isinstance(event.data, Accepted) and event.data.client:
                    told.append(event.data.run_id)
            assert told == operator.runs, "since then, of its own client"

        every = await world.admin.operate.status()
        others = await world.beta.http.get("/api/v1/status")
        for foreign in (every.sequence, others.json()["sequence"], f"{last_id[:-2]}00", "x-1"):
            client = AsyncClient(world.url, token_file=world.directory / "operator.token")
            async with client, client.operate.events(foreign) as stream:
                assert (await anext(stream)).kind == "reset", foreign
        mine = (await operator.http.get("/api/v1/status")).json()["sequence"]
        again_mine = (await operator.http.get("/api/v1/status")).json()["sequence"]
        assert mine != again_mine, "that nothing happened is not told either"


@pytest.mark.parametrize("where", ["log", "file"])
async def test_no_token_is_in_what_the_engine_writes(tmp_path: Path, where: str) -> None:
    """Neither good ones nor bad ones: not in its log, its file, its metrics or any answer."""
    canary = "atomic_" + "c" * 43
    async with a_world(tmp_path) as world:
        answers: list[bytes] = []
        async with httpx.AsyncClient(base_url=world.url) as http:
            for route in ROUTES:
                path = route.path.format(client=ALPHA, id="x", name="x", cause="x", number=1)
                for headers in (
                    {"Authorization": f"Bearer {canary}"},
                    {"Authorization": f"Bearer {canary}, Bearer {canary}"},
                    {"Atomic-Actor": canary, "Authorization": f"Basic {canary}"},
                ):
                    if route in (routes.HEALTH, routes.READY):
                        continue
                    answer = await http.request(route.method, path, headers=headers, json={})
                    answers.append(answer.content)
        admin = world.admin.operate
        answers.append(json.dumps(str(await admin.status())).encode())
        page = httpx.Client(base_url=world.url, headers={
            "Authorization": f"Bearer {(tmp_path / 'admin.token').read_text()}"})  # fmt: skip
        with page:
            answers.append(page.get("/metrics").content)
            answers += [page.get(f"/api/v1/{it}").content for it in ("tokens", "clients", "bulk")]
    secrets = [canary, *(it.read_text() for it in tmp_path.glob("*.token"))]
    assert len(secrets) == 6
    pattern = {"log": "*.log", "file": "a.db*"}[where]
    written = b"".join(each.read_bytes() for each in tmp_path.glob(pattern))
    assert written
    for secret in secrets:
        assert secret.encode() not in written
        assert not any(secret.encode() in answer for answer in answers)
