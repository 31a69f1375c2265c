"""What operators read: status, lists, trees, raw bodies, health, metrics, the description."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from engine.wire.routes import ROUTES
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Application,
    Call,
    Client,
    EngineProcess,
    application,
    client,
    eventually,
    fine,
    is_problem,
    running,
)

TEXT = "0123456789äöü".encode()
NO_RETRY = {"count": 0}


async def text(call: Call) -> Answer:
    return Answer(200, TEXT, {"Content-Type": "text/plain; charset=utf-8"})


async def broken(call: Call) -> Answer:
    return Answer(500, b'{"error":"broken"}')


async def shaky(call: Call) -> Answer:
    return Answer(200 if call.attempt == 3 else 404, b'{"attempt":%d}' % call.attempt)


@pytest.fixture
async def app() -> AsyncIterator[Application]:
    async with application(fine=fine, text=text, broken=broken, shaky=shaky) as app:
        yield app


async def test_status(engine: EngineProcess, shop: Client, app: Application) -> None:
    """Who answers, since when, how durably, and how many runs are in which state."""
    before = await shop.read("/status")
    await shop.post(app.at("fine"))
    await shop.post(app.at("broken"), "b", retry=NO_RETRY)
    after = await shop.read("/status")

    assert after["instance"] == before["instance"] == engine.events("engine-started")[0]["instance"]
    assert (after["ready"], after["draining"]) == (True, False)
    assert after["durability"]["journal_mode"] == "wal"
    assert after["durability"]["synchronous"] == 2
    assert after["counts"]["completed"] == before["counts"]["completed"] + 1
    assert after["counts"]["failed"] == before["counts"]["failed"] + 1
    assert after["sequence"] != before["sequence"]
    assert after["serverTime"] >= before["serverTime"]
    assert after["limits"]["bodyBytesMax"] == 1_048_576


async def test_runs_in_pages(shop: Client, app: Application) -> None:
    """Newest first, a cursor from page to page, each run once, the total on every page."""
    for number in range(7):
        await shop.post(app.at("fine"), f"k{number}")
    seen: list[str] = []
    cursor = ""
    sizes = []
    while True:
        page = await shop.read(f"/runs?client={shop.name}&limit=3{cursor}")
        assert (page["total"], page["totalIsEstimate"]) == (7, False)
        sizes.append(len(page["runs"]))
        seen += [run["idempotencyKey"] for run in page["runs"]]
        if not page.get("next"):
            break
        cursor = f"&cursor={page['next']}"
    assert sizes == [3, 3, 1]
    assert seen == [f"k{number}" for number in reversed(range(7))]
    oldest = await shop.read(f"/runs?client={shop.name}&limit=2&sort=submittedAt")
    assert [run["idempotencyKey"] for run in oldest["runs"]] == ["k0", "k1"]
    more = await shop.read(
        f"/runs?client={shop.name}&limit=5&sort=submittedAt&cursor={oldest['next']}"
    )
    assert [run["idempotencyKey"] for run in more["runs"]] == ["k2", "k3", "k4", "k5", "k6"]


async def test_runs_by_filter(shop: Client, app: Application) -> None:
    """By workflow, key and states, alone and together."""
    await shop.post(app.at("fine"), "a", workflowName="one")
    await shop.post(app.at("fine"), "a", workflowName="two")
    await shop.post(app.at("broken"), "b", workflowName="two", retry=NO_RETRY)

    async def found(query: str) -> list[tuple[str, str]]:
        page = await shop.read(f"/runs?client={shop.name}&{query}")
        assert page["total"] == len(page["runs"])
        return sorted((run["workflowName"], run["status"]) for run in page["runs"])

    assert await found("workflow=two") == [("two", "completed"), ("two", "failed")]
    assert await found("key=a") == [("one", "completed"), ("two", "completed")]
    assert await found("status=failed") == [("two", "failed")]
    assert len(await found("status=failed,completed")) == 3
    assert await found("status=failed&workflow=one") == []
    assert await found("status=completed&workflow=two&key=a") == [("two", "completed")]
    (row,) = (await shop.read(f"/runs?client={shop.name}&status=failed"))["runs"]
    assert (row["client"], row["failedSteps"], row["openSteps"], row["steps"]) == (
        shop.name,
        1,
        0,
        1,
    )
    assert row["rev"] > 0
    assert row["error"] == "http-status: answered 500"


BAD_QUERIES = [
    "limit=0",
    "limit=501",
    "limit=-1",
    "limit=x",
    "limit=",
    "limit=00000000110000000",
    "limit=000000001" + "0" * 1_900,
    "status=asleep",
    "sort=name",
    "colour=red",
    "q=colour:red",
]


@pytest.mark.parametrize("query", BAD_QUERIES, ids=[query[:20] for query in BAD_QUERIES])
async def test_queries_that_are_refused(shop: Client, query: str) -> None:
    """A parameter that is wrong is named; no page is larger than the limit."""
    document = is_problem(await shop.get(f"/api/v1/runs?{query}"), 400, "invalid-request")
    assert f"`{query.partition('=')[0]}`" in document["detail"]


async def test_tree_with_attempts(shop: Client, app: Application) -> None:
    """Every attempt with its times, status, error, and what set the delay that followed."""
    retry = {"count": 5, "backOff": 10, "jitter": 0}
    answer = await shop.post(app.at("shaky"), payload={"secret": "xyzzy"}, retry=retry)
    tree = await shop.get(f"/api/v1/runs/{answer.json()['runId']}")

    assert b"xyzzy" not in tree.content
    (step,) = tree.json()["steps"]
    rows = step["attemptRows"]
    assert [row["number"] for row in rows] == [1, 2, 3]
    assert [row["status"] for row in rows] == ["failure", "failure", "success"]
    assert [row["httpStatus"] for row in rows] == [404, 404, 200]
    assert [(row["delayMs"], row["delayBy"]) for row in rows] == [
        (10, "policy"),
        (20, "policy"),
        (None, None),
    ]
    times = [at for row in rows for at in (row["startedAt"], row["endedAt"])]
    assert times == sorted(times)
    assert tree.json()["serverTime"] >= times[-1]
    one = await shop.read(f"/steps/{step['id']}")
    assert one["attemptRows"] == rows
    is_problem(await shop.get("/api/v1/runs/none"), 404, "not-found")
    is_problem(await shop.get("/api/v1/steps/none"), 404, "not-found")


async def test_raw_bodies(shop: Client, app: Application) -> None:
    """Payload and answers as bytes, never under a type a browser would act on; failures kept."""
    answer = await shop.post(app.at("text"), payload={"a": "ü"})
    path = f"/api/v1/steps/{answer.json()['id']}"
    kept = await shop.get(f"{path}/response")
    assert kept.content == TEXT
    assert kept.headers["content-type"] == "application/octet-stream"
    assert kept.headers["atomic-content-type"] == "text/plain; charset=utf-8"
    assert kept.headers["atomic-full-size"] == str(len(TEXT))
    assert kept.headers["atomic-redacted"] == "false"
    payload = await shop.get(f"{path}/payload")
    assert json.loads(payload.content) == {"a": "ü"}

    retry = {"count": 5, "backOff": 0}
    shaky = (await shop.post(app.at("shaky"), "s", retry=retry)).json()["id"]
    for number in (1, 2, 3):
        one = await shop.get(f"/api/v1/steps/{shaky}/attempts/{number}/response")
        assert one.json() == {"attempt": number}
    for unknown in ("0", "4", "x", "-1", "000000001" + "0" * 1_900):
        one = await shop.get(f"/api/v1/steps/{shaky}/attempts/{unknown}/response")
        is_problem(one, 404, "not-found")


RANGES: list[tuple[str, int, bytes, str | None]] = [
    ("bytes=0-3", 206, TEXT[:4], "bytes 0-3/16"),
    ("bytes=4-", 206, TEXT[4:], "bytes 4-15/16"),
    ("bytes=-6", 206, TEXT[-6:], "bytes 10-15/16"),
    ("bytes=-99", 206, TEXT, "bytes 0-15/16"),
    ("bytes=10-999", 206, TEXT[10:], "bytes 10-15/16"),
    ("bytes=0-" + "9" * 5_000, 206, TEXT, "bytes 0-15/16"),
    ("bytes=16-", 416, b"", "bytes */16"),
    ("bytes=" + "9" * 5_000 + "-", 416, b"", "bytes */16"),
    ("bytes=-0", 416, b"", "bytes */16"),
    ("bytes=5-2", 200, TEXT, None),
    ("bytes=0-1,4-5", 200, TEXT, None),
    ("lines=0-1", 200, TEXT, None),
    ("bytes=-", 200, TEXT, None),
]


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"), RANGES, ids=[r[0][:14] for r in RANGES]
)
async def test_ranges(
    shop: Client, app: Application, asked: str, status: int, body: bytes, content_range: str | None
) -> None:
    """RFC 9110 §14: one range; what cannot be understood is as if it had not been asked."""
    answer = await shop.post(app.at("text"))
    part = await shop.get(f"/api/v1/steps/{answer.json()['id']}/response", Range=asked)
    assert (part.status_code, part.content) == (status, body)
    assert part.headers.get("content-range") == content_range
    assert part.headers["accept-ranges"] == "bytes"


async def test_health_and_metrics(shop: Client, app: Application) -> None:
    """Alive, ready, and figures that move."""

    async def figure(name: str) -> float:
        page = await shop.get("/metrics", accept="text/html, */*;q=0.5")
        assert page.headers["content-type"].startswith("text/plain; version=")
        lines = [line for line in page.text.splitlines() if line.startswith(f"{name} ")]
        assert len(lines) == 1, name
        return float(lines[0].split()[1])

    assert (await shop.get("/healthz")).text == "ok\n"
    assert (await shop.get("/readyz")).text == "ready\n"
    await shop.post(app.at("fine"), "first", workflowName="figures")
    mine = '{workflow="figures"}'
    names = (
        f"atomic_steps_recorded_total{mine}",
        f"atomic_attempts_started_total{mine}",
        f"atomic_attempt_duration_seconds_count{mine}",
        'atomic_run_duration_seconds_count{state="completed",workflow="figures"}',
        "atomic_commit_duration_seconds_count",
    )
    before = [await figure(name) for name in names]
    await shop.post(app.at("fine"), workflowName="figures")
    after = [await figure(name) for name in names]
    assert after[:4] == [it + 1 for it in before[:4]]
    assert after[4] > before[4]


async def test_metrics_while_attempts_wait(tmp_path: Path) -> None:
    """For a place at a host with a limit of its own, and for a host whose breaker is open: the page
    is made in another thread, and says how many."""
    release = trio.Event()

    async def slow(call: Call) -> Answer:
        await release.wait()
        return Answer(200)

    settings = tmp_path / "atomic.toml"
    async with application(slow=slow) as app:
        settings.write_text(f'[host_limits."127.0.0.1:{app.port}"]\nin_flight_max = 1\n')
        with running(tmp_path, **SETTINGS) as engine:
            async with client(engine.url) as shop:
                for number in range(4):
                    await shop.post(app.at("slow"), f"k{number}", prefer="respond-async")
                await eventually(lambda: app.calls)
                page = await shop.get("/metrics")
                assert page.status_code == 200, page.text
                assert "atomic_attempts_queued 3.0" in page.text
                release.set()


async def test_metrics_as_openmetrics(shop: Client, app: Application) -> None:
    """A scraper that asks for it gets a page that its strict parser takes, whole."""
    asks = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    await shop.post(app.at("fine"))
    page = await shop.get("/metrics", accept=asks)
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert page.headers["content-type"] == kind
    families = {it.name: it for it in text_string_to_metric_families(page.text)}
    (info,) = families["atomic_engine"].samples
    assert info.labels["instance_id"] == (await shop.read("/status"))["instance"]
    assert families["atomic_commit_duration_seconds"].unit == "seconds"
    labelled = {
        "atomic_alerts_sent", "atomic_http_requests", "atomic_holds", "atomic_new_runs_limited",
        "atomic_client_calls_in_flight", "atomic_client_open_runs",
        "atomic_client_waiting_callers",
    }  # fmt: skip
    assert {name for name, it in families.items() if not it.samples} <= labelled


async def test_openapi(shop: Client) -> None:
    """OpenAPI 3.1 whose paths are there, with the callback. More: `tests/openapi/`."""
    answer = await shop.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    assert {route.path for route in ROUTES} == set(document["paths"])
    assert "{$request.body#/stepInvokeUrl}" in answer.text
    schemas = document["components"]["schemas"]
    submission = schemas["Submission"]["properties"]
    assert {
        "workflowName",
        "stepInvokeUrl",
        "idempotencyKey",
        "payload",
        "timeout",
        "retry",
    } <= set(submission)


async def test_no_cors(shop: Client) -> None:
    """No page of another origin may read, nor ask beforehand."""
    foreign = {"Origin": "https://evil.example"}
    answer = await shop.get("/api/v1/status", **foreign)
    is_problem(answer, 403, "forbidden")
    preflight = await shop.http.options("/api/v1/status", headers=foreign)
    assert preflight.status_code in (403, 405)
    assert not [name for name in preflight.headers if name.startswith("access-control-")]
