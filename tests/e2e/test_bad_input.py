"""What is refused: a problem document that names the part at fault; nothing recorded or called."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import trio

from engine.core.errors import Problem
from engine.wire.routes import ROUTES, Route
from tests.e2e.harness import (
    PATIENCE_S,
    Application,
    Client,
    EngineProcess,
    application,
    fine,
    is_problem,
)
from tests.front.raw_http import Client as Peer

LIMIT_BYTES = 1_048_576
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture
async def app() -> AsyncIterator[Application]:
    """The target of all that is posted here: nothing of it may be called."""
    async with application(index=fine) as app:
        yield app


def body_of(app: Application, **members: Any) -> bytes:
    """A good submission with these members changed; a member that is `...` is left out."""
    good = {
        "workflowName": "w",
        "stepInvokeUrl": app.at("index"),
        "idempotencyKey": "k",
        "payload": {"a": 1},
    }
    chosen = {name: value for name, value in {**good, **members}.items() if value is not ...}
    return json.dumps(chosen).encode()


async def nothing_happened(shop: Client, app: Application) -> None:
    """No run of any client is recorded, and the application was not called."""
    page = await shop.read("/runs")
    assert (page["total"], page["runs"]) == (0, [])
    assert app.calls == []


async def refused(
    shop: Client, app: Application, body: bytes, **headers: str
) -> tuple[httpx.Response, dict[str, Any]]:
    """Post raw bytes, expecting 400 `invalid-submission`; the answer and its document."""
    answer = await shop.http.post(f"/{shop.name}", content=body, headers={**HEADERS, **headers})
    document = is_problem(answer, 400, "invalid-submission")
    assert document["errorSource"] == "request"
    await nothing_happened(shop, app)
    return answer, document


BODIES: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"workflowName=w",
    "cut short": b'{"workflowName": "w"',
    "not UTF-8": b'{"workflowName": "\xff"}',
    "an array": b"[]",
    "null": b"null",
    "a string": b'"w"',
    "two documents": b"{}{}",
    "UTF-16": '{"workflowName": "w"}'.encode("utf-16"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_bodies_that_are_no_submission(shop: Client, app: Application, name: str) -> None:
    """The document says that it is the body."""
    _, document = await refused(shop, app, BODIES[name])
    assert document["member"] in ("body", "workflowName")


PAYLOADS: dict[str, str] = {
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "half an escape": r'"\ud80"',
    "leading zero": "01",
    "100,000 deep": "[" * 100_000 + "]" * 100_000,
    "100,000 deep and open": '{"a":' * 100_000,
    "64 below the body": "[" * 64 + "]" * 64,
}


@pytest.mark.parametrize("name", PAYLOADS)
async def test_payloads_that_are_refused(shop: Client, app: Application, name: str) -> None:
    """No JSON, or too deep; the engine's stack is safe."""
    body = body_of(app, payload="@").replace(b'"@"', PAYLOADS[name].encode())
    _, document = await refused(shop, app, body)
    assert document["member"] in ("body", "payload")
    if "below" in name:
        assert document["limit"] == "json_depth_max"
        assert "64" in document["detail"]


MEMBERS: list[tuple[str, dict[str, Any]]] = [
    ("workFlowName", {"workFlowName": "w"}),
    ("secret", {"secret": 1}),
    *((name, {name: 1}) for name in ("delay", "notBefore", "signal", "mode")),
    *((name, {name: ...}) for name in ("workflowName", "stepInvokeUrl", "idempotencyKey")),
    ("workflowName", {"workflowName": 1}),
    ("workflowName", {"workflowName": None}),
    ("workflowName", {"workflowName": ""}),
    ("workflowName", {"workflowName": "w" * 129}),
    ("workflowName", {"workflowName": "a\nb"}),
    *((name, {name: "x\n"}) for name in ("workflowName", "idempotencyKey", "stepName", "stepKey")),
    ("parent", {"parent": "x\n"}),
    ("workflowName", {"workflowName": "w\ud800"}),
    ("workflowName", {"workflowName": "ü"}),
    ("stepInvokeUrl", {"stepInvokeUrl": 1}),
    ("idempotencyKey", {"idempotencyKey": ""}),
    ("idempotencyKey", {"idempotencyKey": "k" * 256}),
    ("idempotencyKey", {"idempotencyKey": 7}),
    ("idempotencyKey", {"idempotencyKey": "a\x00b"}),
    ("timeout", {"timeout": 0}),
    ("timeout", {"timeout": -1}),
    ("timeout", {"timeout": "8000"}),
    ("timeout", {"timeout": 1e30}),
    ("attemptTimeout", {"attemptTimeout": 0}),
    ("attemptTimeout", {"attemptTimeout": 86_400_001}),
    ("stepKey", {"stepKey": ""}),
    ("stepName", {"stepName": "n" * 129}),
    ("parent", {"parent": "made-up"}),
    ("parent", {"parent": "01M84WHY27WS7QVSFW77NK6KNG.1.1.00000000000000000000"}),
    ("parent", {"parent": 5}),
    ("retry", {"retry": 3}),
    ("retry", {"retry": []}),
    ("retry.times", {"retry": {"times": 3}}),
    ("retry.count", {"retry": {"count": -1}}),
    ("retry.count", {"retry": {"count": 1_001}}),
    ("retry.count", {"retry": {"count": 1.5}}),
    ("retry.count", {"retry": {"count": True}}),
    ("retry.count", {"retry": {"count": 10**30}}),
    ("retry.backOff", {"retry": {"backOff": -1}}),
    ("retry.backOff", {"retry": {"backOff": 86_400_001}}),
    ("retry.backOff", {"retry": {"backOff": "1s"}}),
    ("retry.maxBackOff", {"retry": {"maxBackOff": 86_400_001}}),
    ("retry.factor", {"retry": {"factor": 0}}),
    ("retry.factor", {"retry": {"factor": -2}}),
    ("retry.factor", {"retry": {"factor": 1e300}}),
    ("retry.jitter", {"retry": {"jitter": 1.1}}),
    ("retry.jitter", {"retry": {"jitter": -0.1}}),
    ("retry.maxElapsed", {"retry": {"maxElapsed": 0}}),
    ("retry.stopOn", {"retry": {"stopOn": 404}}),
    ("retry.stopOn", {"retry": {"stopOn": [42]}}),
    ("retry.stopOn", {"retry": {"stopOn": ["404"]}}),
    ("retry.onExhausted", {"retry": {"onExhausted": "shrug"}}),
]


@pytest.mark.parametrize(
    ("member", "members"), MEMBERS, ids=[f"{n}-{m}" for n, (m, _) in enumerate(MEMBERS)]
)
async def test_members_that_are_refused(
    shop: Client, app: Application, member: str, members: dict[str, Any]
) -> None:
    """`member` names the one at fault, and so does the sentence for people."""
    _, document = await refused(shop, app, body_of(app, **members))
    assert document["member"].partition("[")[0] == member
    assert member in document["detail"]


URLS = [
    "",
    "/workflows/w/index",
    "//127.0.0.1/index",
    "index",
    "ftp://127.0.0.1/index",
    "file:///etc/passwd",
    "atomic:signal",
    "atomic://signal/x",
    "http://",
    "http:///index",
    "http://user@127.0.0.1/",
    "http://user:secret@127.0.0.1/",
    "http://127.0.0.1/#top",
    "http://127.0.0.1/#",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:65536/",
    "http://127.0.0.1:port/",
    "http://127.0.0.1:-1/",
    "http://a b/",
    "http://ü.example/",
    "http://127.0.0.1/a b",
    "http://127.0.0.1/\r\nX: 1",
    "http://127.0.0.1/%zz",
    "http://[::1/",
    "http://127.0.0.1/" + "a" * 2_048,
]


@pytest.mark.parametrize("url", URLS, ids=[str(number) for number in range(len(URLS))])
async def test_urls_that_are_refused(shop: Client, app: Application, url: str) -> None:
    """Only absolute http and https URLs without credentials and fragment are taken."""
    _, document = await refused(shop, app, body_of(app, stepInvokeUrl=url))
    assert document["member"] == "stepInvokeUrl"
    assert "secret" not in document["detail"]


KEY_HEADERS = {
    "another key": "other",
    "another key, quoted": '"other"',
    "empty": '""',
    "256 characters": "k" * 256,
    "unclosed": '"k',
    "bad escape": r'"\k"',
}


@pytest.mark.parametrize("name", KEY_HEADERS)
async def test_key_headers_that_are_refused(shop: Client, app: Application, name: str) -> None:
    """`Idempotency-Key` must be a string, and the member's key where both are there."""
    headers = {"Idempotency-Key": KEY_HEADERS[name]}
    _, document = await refused(shop, app, body_of(app), **headers)
    assert document["member"] == "idempotencyKey"


async def test_two_parents(shop: Client, app: Application) -> None:
    """A member and a header that name different parents are refused, and so is a made-up one."""
    _, document = await refused(shop, app, body_of(app, parent="a"), **{"Atomic-Parent": "b"})
    assert document["member"] == "parent"
    _, document = await refused(shop, app, body_of(app), **{"Atomic-Parent": "a.b.c.d"})
    assert document["member"] == "parent"


CLIENTS = [
    "api", "healthz", "readyz", "metrics", "docs", "problems", "openapi.json",
    "ui", "signals", "peer",
    "-a", ".a", "a" * 65, "a%20b", "%C3%BC", "a%00", "..a", "a~b",
]  # fmt: skip


@pytest.mark.parametrize("name", CLIENTS)
async def test_client_names_that_are_refused(shop: Client, app: Application, name: str) -> None:
    """Reserved and odd names never become clients."""
    answer = await shop.http.post(f"/{name}", content=body_of(app), headers=HEADERS)
    assert answer.status_code in (400, 404, 405)
    if answer.status_code == 400:
        assert is_problem(answer, 400, "invalid-submission")["member"] == "client"
    else:
        assert answer.headers["content-type"] == "application/problem+json"
    await nothing_happened(shop, app)


@pytest.mark.parametrize("size", [LIMIT_BYTES + 1, 16 * LIMIT_BYTES])
@pytest.mark.parametrize("told", [True, False])
async def test_bodies_that_are_too_large(
    engine: EngineProcess, shop: Client, app: Application, size: int, *, told: bool
) -> None:
    """413 that names the limit, whether or not a length said so beforehand."""
    framing = f"Content-Length: {size}" if told else "Transfer-Encoding: chunked"
    head = f"POST /{shop.name} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    stream = await trio.open_tcp_stream("127.0.0.1", int(engine.url.rpartition(":")[2]))
    async with stream:

        async def send() -> None:
            piece = b" " * 65_536 if told else b"10000\r\n" + b" " * 65_536 + b"\r\n"
            with suppress(trio.BrokenResourceError):
                await stream.send_all(f"{head}{framing}\r\n\r\n".encode())
                for _ in range(size // 65_536 + 1):
                    await stream.send_all(piece)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            answer = await Peer(stream).read_answer()
            nursery.cancel_scope.cancel()
    assert (answer.status, answer.headers["content-type"]) == (413, "application/problem+json")
    document = json.loads(answer.body)
    assert document["type"] == "/problems/too-large"
    assert document["limit"] == "body_bytes_max"
    await nothing_happened(shop, app)


REQUESTS: list[tuple[int, str, dict[str, str], str]] = [
    (415, "unsupported-media-type", {"Content-Type": "text/plain"}, "Content-Type"),
    (415, "unsupported-media-type", {"Content-Type": "application/jsonp"}, "Content-Type"),
    (
        415,
        "unsupported-media-type",
        {"Content-Type": "application/x-www-form-urlencoded"},
        "Content-Type",
    ),
    (415, "unsupported-media-type", {"Content-Encoding": "gzip"}, "`Content-Encoding: gzip`"),
    (421, "wrong-host", {"Host": "evil.example"}, "evil.example"),
    (421, "wrong-host", {"Host": "127.0.0.1.evil.example:80"}, "evil.example"),
    (403, "forbidden", {"Origin": "https://evil.example"}, "origin"),
    (403, "forbidden", {"Origin": "null"}, "origin"),
    (403, "forbidden", {"Sec-Fetch-Site": "cross-site"}, "origin"),
    (431, "headers-too-large", {"X-Long": "x" * 20_000}, "16384"),
]


@pytest.mark.parametrize(
    ("status", "problem", "headers", "named"), REQUESTS, ids=[str(n) for n in range(len(REQUESTS))]
)
async def test_requests_that_are_refused(
    shop: Client,
    app: Application,
    status: int,
    problem: str,
    headers: dict[str, str],
    named: str,
) -> None:
    """Wrong media type, Host, Origin or head: what a web page could send behind its reader."""
    answer = await shop.http.post(
        f"/{shop.name}", content=body_of(app), headers={**HEADERS, **headers}
    )
    document = is_problem(answer, status, problem)
    assert named in document["detail"]
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    await nothing_happened(shop, app)


async def test_methods_and_paths(shop: Client, app: Application) -> None:
    """Other methods and unknown paths are problems too, with `Allow` where it belongs."""
    put = await shop.http.put(f"/{shop.name}", content=body_of(app), headers=HEADERS)
    is_problem(put, 405, "method-not-allowed")
    assert "POST" in put.headers["allow"]
    deep = await shop.http.post(f"/{shop.name}/x", content=body_of(app), headers=HEADERS)
    is_problem(deep, 404, "not-found")
    await nothing_happened(shop, app)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/api/v1/runs/x", 405),
        ("PUT", "/a-client", 405),
        ("POST", "/api/v1/status", 405),
        ("POST", "/nothing/here", 404),
        ("PATCH", "/api/v1/nothing", 404),
    ],
)
async def test_what_is_not_there_says_so_first(
    shop: Client, method: str, path: str, status: int
) -> None:
    """405 and 404 come before 415: a DELETE has no body whose type could be mended."""
    answer = await shop.http.request(method, path)
    is_problem(answer, status, {404: "not-found", 405: "method-not-allowed"}[status])
    assert (status == 405) == ("allow" in answer.headers)
    foreign = await shop.http.request(method, path, headers={"Host": "evil.example"})
    is_problem(foreign, 421, "wrong-host")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", ["10.1.2.3:8420", "[fd00::7]:8420", "atomic-0.atomic.ns.svc"])
async def test_health_is_answered_by_any_name(shop: Client, path: str, host: str) -> None:
    """A kubelet asks by the pod's address. Nothing else is answered so, no page of another origin
    and no path that only begins like it."""
    named = {"Host": host}
    assert (await shop.http.get(path, headers=named)).status_code == 200
    assert (await shop.http.head(path, headers=named)).status_code == 200
    is_problem(
        await shop.http.get(path, headers={**named, "Origin": "https://evil.example"}),
        403, "forbidden",
    )  # fmt: skip
    for other in ("/api/v1/status", "/metrics", f"{path}/x", f"/api/v1/runs?q={path}"):
        is_problem(await shop.http.get(other, headers=named), 421, "wrong-host")


async def test_head_of_the_event_stream_ends(shop: Client) -> None:
    """A HEAD has no body, and so an end: the next request on its connection is answered."""
    with trio.fail_after(PATIENCE_S):
        head = await shop.http.head("/api/v1/events")
        assert head.status_code == 200
        assert head.headers["content-type"].startswith("text/event-stream")
        assert (await shop.get("/healthz")).status_code == 200


async def test_made_up_methods_are_counted_as_one(shop: Client) -> None:
    """A client cannot make the figures grow by a line for each method that it invents."""
    for name in ("BREW", "WHEN", "BOIL"):
        assert (await shop.http.request(name, "/healthz")).status_code == 405
    text = (await shop.get("/metrics")).text
    assert "BREW" not in text
    assert 'method="other"' in text


async def test_every_problem_has_its_page(engine: EngineProcess, shop: Client) -> None:
    """The `type` of a problem leads to a page that people can read."""
    index = (await shop.get("/problems/")).text
    for problem in Problem:
        page = await shop.get(f"/problems/{problem}")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert f"/problems/{problem}" in index
    is_problem(await shop.get("/problems/none"), 404, "not-found")


WITHOUT_MEMBERS = ("/disable", "/enable", "/remove", "/secrets")
ASKED = [
    it
    for it in ROUTES
    if it.body is not None and it.path.startswith("/api/") and not it.path.endswith(WITHOUT_MEMBERS)
]


@pytest.mark.parametrize("route", ASKED, ids=lambda it: it.path)
async def test_what_operators_ask_is_refused_in_words_where_it_is_no_text(
    shop: Client, route: Route[Any]
) -> None:
    """Bytes that are no UTF-8, half a surrogate pair, brackets without end: 400 of every route."""
    url = re.sub(r"\{\w+\}", "x", route.path)
    latin = (
        b'{"\xff":1}',
        b'{"action":"\xff","name":"\xff","kind":"\xff","role":"\xff","add":["\xff"]}',
    )
    for body in (*latin, b'{"name":"\\ud800"}', b'{"x":' + b"[" * 5_000):
        answer = await shop.http.post(url, content=body, headers=HEADERS)
        document = is_problem(answer, 400, Problem.INVALID_REQUEST)
        assert " is not valid: " in document["detail"]
