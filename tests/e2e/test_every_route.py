"""What holds on every route of the table, on a real engine: a route that is added is tried too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.wire import routes
from engine.wire.access import NoMembers
from engine.wire.routes import ROUTES, Role, Route
from tests.e2e.harness import Application, Client, EngineProcess, application, fine
from tests.e2e.tenants import ALPHA, BETA, Tenant, World, a_world, said

SAFE = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
JSON = "application/json"
INSIDES = re.compile(rb'Traceback|File "|\.py\b|sqlite|msgspec|quart|hypercorn', re.IGNORECASE)
"""What tells a stranger how the engine is made."""
EVERY = pytest.mark.parametrize("route", ROUTES, ids=lambda it: f"{it.method}-{it.path}")


def ways(route: Route[Any], run_id: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Requests of a route, good and bad: method, path, and what goes along."""
    for id in (run_id, "none", "%1b[2J", "a" * 300):
        path = route.path.format(client="shop", id=id, name=id, cause=id, number=1)
        if route is routes.EVENTS:
            yield "HEAD", path, {}
            continue
        yield route.method, path, {"json": {}} if route.method == "POST" else {}
        if route.method == "POST":
            yield (
                "POST",
                path,
                {"content": b"\xff", "headers": {"Content-Type": "application/json"}},
            )
            yield "POST", path, {"content": b"x=1"}
        else:
            yield "GET", f"{path}?q=%ff&cursor=1&limit=x&number=1", {}
    yield "DELETE", path, {}
    yield "OPTIONS", path, {"headers": {"Origin": "https://evil.example"}}
    yield "GET", path, {"headers": {"Host": "evil.example"}}


@pytest.fixture
async def run_id(shop: Client, app: Application) -> str:
    """A run whose payload and answer would be a page, if anybody took them for one."""
    answer = await shop.post(app.at("fine"), "k", "<script>alert(1)</script>")
    return str(answer.json()["runId"])


@pytest.fixture
async def app() -> Any:
    async with application(fine=fine) as app:
        yield app


@EVERY
async def test_every_answer_is_disarmed(
    route: Route[Any], engine: EngineProcess, run_id: str
) -> None:
    """Whatever is asked, a browser does nothing with the answer: it is no page that runs, is framed
    or kept, no other page may read it, and it says nothing of how the engine is made."""
    async with httpx.AsyncClient(base_url=engine.url) as http:
        for method, path, more in ways(route, run_id):
            answer = await http.request(method, path, **more)
            headers = {name: answer.headers.get(name) for name in SAFE}
            assert headers == SAFE, (method, path, answer.status_code)
            assert "server" not in answer.headers
            assert "set-cookie" not in answer.headers
            assert not [name for name in answer.headers if name.startswith("access-control-")]
            assert answer.status_code < 500, (method, path, answer.text)
            assert answer.is_success or not INSIDES.search(answer.content), answer.text
            if "<script>" in answer.text:
                assert answer.headers["content-type"] in (
                    "application/json", "application/octet-stream",
                )  # fmt: skip


@pytest.mark.parametrize(
    "route", [it for it in ROUTES if it.body is NoMembers], ids=lambda it: it.path
)
async def test_what_says_all_by_its_address_takes_no_members(
    route: Route[Any], engine: EngineProcess
) -> None:
    """A member is refused by its name, as everywhere, before anything is looked for."""
    path = route.path.format(id="none", name="none", cause="none", number=1)
    async with httpx.AsyncClient(base_url=engine.url) as http:
        answer = await http.post(path, json={"force": True})
        assert answer.status_code == 400, answer.text
        assert answer.json()["type"] == "/problems/invalid-request"
        assert "`force`" in answer.json()["detail"]
        assert (await http.post(path, json=[])).status_code == 400
        for nothing in (b"{}", b""):
            answer = await http.post(path, content=nothing, headers={"Content-Type": JSON})
            wanted = 409 if route is routes.ALERTS_TEST else 404  # none are set
            assert answer.status_code == wanted


@pytest.mark.parametrize("route", [it for it in ROUTES if it.role is None], ids=lambda it: it.path)
async def test_allow_names_what_an_address_takes(route: Route[Any], engine: EngineProcess) -> None:
    """And not POST, which is for a client's path: none is called `healthz`."""
    async with httpx.AsyncClient(base_url=engine.url) as http:
        answer = await http.request("PUT", route.path.format(name="x"), json={})
        assert answer.status_code == 405, answer.text
        assert answer.headers["allow"] == "GET, HEAD"


async def test_health_says_one_word(engine: EngineProcess) -> None:
    """Who has no token learns nothing of the engine by it, neither version nor state of a run."""
    async with httpx.AsyncClient(base_url=engine.url) as http:
        assert (await http.get("/healthz")).text == "ok\n"
        assert (await http.get("/readyz")).text == "ready\n"


# -- a token of one client, on every route -------------------------------------------------------

NOBODY = "zeta"
"""A client that there is not, whose name stands in no text of an answer."""
Asked = tuple[dict[str, str], dict[str, Any] | None, frozenset[int]]
OF_ADMIN = frozenset({403})
"""Whatever a tenant's token is, it is not enough."""
OWN = frozenset({200, 202, 403})
"""Of its own client alone; 403 where its role does not open the route."""
NONE_SUCH = frozenset({400, 403, 404})


def row(route: Route[Any], name: str) -> Asked:
    """What is asked there about a client of this name, and how it may be answered: every route has
    a case of its own. What is asked by id: `test_two_tenants.py`, with all that another has."""
    it: dict[Route[Any], Asked] = {
        routes.SUBMIT: ({}, {"workflowName": "w", "stepInvokeUrl": "http://127.0.0.1:9/",
                             "idempotencyKey": "k"}, OF_ADMIN),
        routes.STATUS: ({"client": name}, None, OWN),
        routes.RUNS: ({"client": name, "q": f"client:{name}"}, None, OWN),
        routes.CAUSES: ({"client": name}, None, OWN),
        routes.RETRIES: ({"q": f"client:{name}"}, None, OWN),
        routes.BULK: ({}, {"action": "cancel", "q": f"client:{name}", "expect": 99,
                           "dryRun": True}, OWN),
        routes.JOBS: ({"client": name}, None, OWN),
        routes.EVENTS: ({"client": name}, None, OWN),
        routes.OPENAPI: ({}, None, OWN),
        routes.HOLDS: ({}, None, OWN), routes.WHOAMI: ({}, None, OWN),
        routes.HOLD: ({}, {"kind": "client", "name": name}, OF_ADMIN),
        routes.RELEASE: ({}, {"kind": "client", "name": name}, OF_ADMIN),
        routes.LIMITS: ({}, None, OF_ADMIN),
        routes.LIMITS_SET: ({}, {"kind": "client", "name": name, "set": {"open_runs_max": 1}},
                            OF_ADMIN),
        routes.LIMITS_RESET: ({}, {"kind": "client", "name": name}, OF_ADMIN),
        routes.METRICS: ({}, None, OF_ADMIN), routes.PRUNE: ({}, {"dryRun": True}, OF_ADMIN),
        routes.BACKUP: ({}, {"file": name}, OF_ADMIN), routes.DOCTOR: ({}, None, OF_ADMIN),
        routes.ALERTS_TEST: ({}, {}, OF_ADMIN),
        routes.CLIENTS: ({}, None, OF_ADMIN), routes.AUDIT: ({"what": name}, None, OF_ADMIN),
        routes.CLIENT_ADD: ({}, {"name": name, "targets": ["http://a/"]}, OF_ADMIN),
        routes.CLIENT_REDACT: ({}, {"add": ["/a"]}, OF_ADMIN),
        routes.CLIENT_TARGETS: ({}, {"add": ["http://a/"]}, OF_ADMIN),
        routes.TOKENS: ({}, None, OF_ADMIN),
        routes.TOKEN_ADD: ({}, {"name": "t", "role": "submit", "client": name}, OF_ADMIN),
        **dict.fromkeys((routes.CLIENT_DISABLE, routes.CLIENT_ENABLE, routes.CLIENT_REMOVE,
                         routes.CLIENT_SIGN, routes.CLIENT_UNSIGN,
                         routes.TOKEN_ROTATE, routes.TOKEN_REMOVE), ({}, {}, OF_ADMIN)),
        **dict.fromkeys((routes.RUN, routes.STEP, routes.PAYLOAD, routes.LAST_ANSWER,
                         routes.ANSWER, routes.JOB, routes.OUTCOME), ({}, None, NONE_SUCH)),
        routes.ACT: ({}, {"action": "cancel"}, NONE_SUCH), routes.ABORT: ({}, {}, NONE_SUCH),
        routes.CAUSE_NOTE: ({}, {"text": "so"}, NONE_SUCH),
        routes.CAUSE_UNNOTE: ({}, {}, NONE_SUCH),
        routes.CAUSE_DISMISS: ({}, {"reason": "so"}, NONE_SUCH),
        routes.CAUSE_UNDISMISS: ({}, {}, NONE_SUCH),
        routes.PROBLEM: ({}, None, NONE_SUCH), routes.PROBLEMS: ({}, None, OWN),
        routes.HEALTH: ({}, None, OWN), routes.READY: ({}, None, OWN),
    }  # fmt: skip
    return it[route]


async def ask(person: Tenant, route: Route[Any], name: str) -> tuple[Any, ...]:
    """The answer to one of alpha's people about a client of this name, without the name."""
    query, body, statuses = row(route, name)
    path = route.path.format(client=name, id=name, name=name, cause=name, number=1)
    request = person.http.build_request(
        route.method, path, params=query or None, json=body, headers={"Prefer": "wait=0"}
    )
    answer = await person.http.send(request, stream=True)
    if route is routes.EVENTS and answer.status_code == 200:
        await answer.aclose()
        return answer.status_code, answer.headers["content-type"], ""
    await answer.aread()
    assert answer.status_code in statuses, (person.name, person.role, route.path, answer.text)
    status, headers, text = said(answer, name)
    moving = r'"(serverTime|sequence|startedAt)":"[^"]*"'
    return status, headers, re.sub(moving, "", text)


@pytest.mark.slow
async def test_of_another_client_no_route_says_more_than_of_none(tmp_path: Path) -> None:
    """Asked about another client, and about one that there is not: word for word the same, of every
    role. And nothing of the other has changed."""
    async with a_world(tmp_path) as world:
        before = await state_of(world)
        for person in world.alphas.values():
            for route in ROUTES:
                await check_alike(person, route)
        assert await state_of(world) == before
        assert {person.role for person in world.alphas.values()} == {*Role} - {Role.ADMIN}
        assert {person.name for person in world.alphas.values()} == {ALPHA}


async def check_alike(person: Tenant, route: Route[Any]) -> None:
    """The same answers, but for what the time between the two has changed: that differs once, and
    what is told of another each time."""
    told: list[tuple[Any, ...]] = []
    for _turn in range(3):
        told = [await ask(person, route, name) for name in (BETA, NOBODY)]
        if told[0] == told[1]:
            return
    assert told[0] == told[1], (person.role, route.path)


async def state_of(world: World) -> tuple[Any, ...]:
    """All that alpha could have changed of beta."""
    runs = [(await world.admin.operate.run(id)).run for id in world.beta.runs]
    tokens = [(it.name, it.role, it.client) for it in await world.admin.admin.tokens()]
    return runs, await world.admin.admin.clients(), tokens
