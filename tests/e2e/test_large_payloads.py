"""Payloads above 4 KiB are read in slices: nothing else about them is different."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.e2e.harness import Client, application, fine, is_problem

HEADERS = {"Content-Type": "application/json"}
NUMBERS = "[" + ",".join(["1.50", "10e-1", "[]", '{"b":1,"a":"\\u00e9"}'] * 3_000) + "]"
SPELLED_OTHERWISE = NUMBERS.replace("1.50", " 15e-1").replace(
    '{"b":1,"a":"\\u00e9"}', '{"a":"é","b":1.0}'
)


async def post(shop: Client, url: str, payload: str, key: str = "k") -> httpx.Response:
    """A post whose payload is spelled so."""
    text = '{"workflowName":"w","stepInvokeUrl":"%s","idempotencyKey":"%s","payload":%s}'
    body = (text % (url, key, payload)).encode()
    return await shop.http.post(f"/{shop.name}", content=body, headers=HEADERS)


async def test_the_same_payload_is_the_same_step(shop: Client) -> None:
    """However it is spelled; it is sent as it came first, and another one is refused."""
    async with application(index=fine) as app:
        first = await post(shop, app.at("index"), NUMBERS)
        assert first.status_code == 200
        again = await post(shop, app.at("index"), SPELLED_OTHERWISE)
        assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
        other = await post(shop, app.at("index"), NUMBERS.replace("1.50", "1.51", 1))
        is_problem(other, 422, "idempotency-key-reused")
        (call,) = app.calls
        assert call.payload == json.loads(NUMBERS)


async def test_lone_surrogates_by_the_thousand(shop: Client) -> None:
    """A text cut within a character, again and again: sent as it came, and found again."""
    async with application(index=fine) as app:
        payload = json.dumps({"\ud83d" * 3_000: ["a\udc00"] * 3_000})
        first = await post(shop, app.at("index"), payload)
        assert first.status_code == 200
        spelled = payload.replace("\\udc00", "\\uDC00").replace(": ", ":")
        again = await post(shop, app.at("index"), spelled)
        assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
        other = await post(shop, app.at("index"), payload.replace("\\udc00", "\\udc01", 1))
        is_problem(other, 422, "idempotency-key-reused")
        assert app.calls[0].payload == json.loads(payload)


@pytest.mark.parametrize(
    ("payload", "member", "words"),
    [
        ("[" * 64 + NUMBERS + "]" * 64, "payload", "deeper than 64 levels"),
        (f"[{NUMBERS},NaN]", "body", "not JSON"),
    ],
)
async def test_what_is_refused(shop: Client, payload: str, member: str, words: str) -> None:
    """In the words in which a small one is."""
    async with application(index=fine) as app:
        refused = await post(shop, app.at("index"), payload)
        document = is_problem(refused, 400, "invalid-submission")
        assert document["member"] == member
        assert words in document["detail"]


async def test_nesting_at_the_limit(shop: Client) -> None:
    """The body is a level of its own, and so is the array that is in there already."""
    async with application(index=fine) as app:
        deepest = "[" * 61 + NUMBERS + "]" * 61
        assert (await post(shop, app.at("index"), deepest)).status_code == 200
        refused = await post(shop, app.at("index"), f"[{deepest}]", "other")
        assert is_problem(refused, 400, "invalid-submission")["limit"] == "json_depth_max"
