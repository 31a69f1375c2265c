"""What is at the edge of the contract, and taken."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.e2e.harness import Answer, Call, Client, application, fine, is_problem

HEADERS = {"Content-Type": "application/json"}


async def test_retry_policies_of_zero(shop: Client) -> None:
    """`count` 0 is one attempt, `backOff` 0 retries at once: after no delay at all."""

    async def third_time(call: Call) -> Answer:
        return Answer(200 if call.attempt == 3 else 500)

    async with application(third=third_time) as app:
        once = await shop.post(app.at("third"), "once", retry={"count": 0})
        assert is_problem(once, 424, "step-failed")["attempts"] == 1
        at_once = await shop.post(app.at("third"), "now", retry={"count": 5, "backOff": 0})
        assert at_once.json()["attempts"] == 3
        (step,) = (await shop.steps(at_once.json()["runId"])).values()
        delays = [(row["delayMs"], row["delayBy"]) for row in step["attemptRows"]]
        assert delays == [(0, "policy"), (0, "policy"), (None, None)]


async def test_the_largest_of_everything(shop: Client) -> None:
    """Values exactly at their limits are taken."""
    retry = {
        "count": 1_000,
        "backOff": 86_400_000,
        "maxBackOff": 86_400_000,
        "factor": 1_000,
        "jitter": 1,
        "stopOn": [100, 599],
        "onExhausted": "fail",
    }
    async with application(index=fine) as app:
        answer = await shop.post(
            app.at("index"),
            "k" * 255,
            workflowName="w" * 128,
            retry=retry,
            stepKey="s" * 2_048,
            stepName="n" * 128,
            attemptTimeout=86_400_000,
            timeout=86_400_000,
        )
        assert answer.status_code == 200, answer.text
        assert app.calls[0].key == "k" * 255


async def test_nesting_to_the_limit(shop: Client) -> None:
    """64 levels, the body's own among them; the endpoint gets them byte for byte."""
    deep = b"[" * 63 + b"]" * 63
    async with application(index=fine) as app:
        url = app.at("index").encode()
        body = b'{"workflowName":"w","stepInvokeUrl":"%s","idempotencyKey":"k","payload":%s}' % (
            url,
            deep,
        )
        answer = await shop.http.post(f"/{shop.name}", content=body, headers=HEADERS)
        assert answer.status_code == 200, answer.text
        assert app.calls[0].body == b'{"idempotencyKey":"k","payload":' + deep + b"}"


@pytest.mark.parametrize("payload", ["null", "0", '""', "false", "[]", '{ "a" : 1.50 , "b":1e2 }'])
async def test_payloads_travel_byte_for_byte(shop: Client, payload: str) -> None:
    """White space, number spelling and order are the submitter's."""
    async with application(index=fine) as app:
        fields = {"workflowName": "w", "stepInvokeUrl": app.at("index"), "idempotencyKey": payload}
        body = f'{json.dumps(fields)[:-1]},"payload":{payload}}}'.encode()
        answer = await shop.http.post(f"/{shop.name}", content=body, headers=HEADERS)
        assert answer.status_code == 200, answer.text
        key = json.dumps(payload).encode()
        assert app.calls[0].body == b'{"idempotencyKey":%s,"payload":%s}' % (key, payload.encode())
        kept = await shop.get(f"/api/v1/steps/{answer.json()['id']}/payload")
        assert kept.content == payload.encode()


@pytest.mark.parametrize("header", ["my key", '"my key"'])
async def test_key_in_the_header(shop: Client, header: str) -> None:
    """`Idempotency-Key`, bare or quoted, instead of the member or beside the same one."""
    async with application(index=fine) as app:
        fields = {"workflowName": "w", "stepInvokeUrl": app.at("index")}
        headers = {**HEADERS, "Idempotency-Key": header}
        first = await shop.http.post(f"/{shop.name}", content=json.dumps(fields), headers=headers)
        both = json.dumps({**fields, "idempotencyKey": "my key"})
        second = await shop.http.post(f"/{shop.name}", content=both, headers=headers)
        assert first.json()["idempotencyKey"] == "my key"
        assert second.content == first.content
        assert len(app.calls) == 1


async def test_urls_that_are_one_step(shop: Client) -> None:
    """Case of scheme and host and a default path change nothing; another host is another URL."""
    async with application(index=fine) as app:
        first = await shop.post(app.at("index"))
        shouted = await shop.post(app.at("index").replace("http://", "HTTP://"))
        assert shouted.content == first.content
        elsewhere = app.at("index").replace("127.0.0.1", "localhost")
        document = is_problem(await shop.post(elsewhere), 409, "run-ended")
        assert (document["recorded"], document["posted"]) == (app.at("index"), elsewhere)


async def test_clients_are_apart(shop: Client) -> None:
    """The same key of two clients is two runs, and one's parent token is nothing to the other."""
    refused: list[httpx.Response] = []

    async def workflow(call: Call) -> Answer:
        fields = {"workflowName": "w", "stepInvokeUrl": app.at("step"), "idempotencyKey": "k"}
        headers = {"Atomic-Parent": call.parent_token}
        refused.append(await shop.http.post("/somebody-else", json=fields, headers=headers))
        return Answer()

    async with application(index=workflow, other=fine, step=fine) as app:
        ours = await shop.post(app.at("index"))
        fields = {"workflowName": "w", "stepInvokeUrl": app.at("other"), "idempotencyKey": "k"}
        theirs = await shop.http.post("/somebody-else", json=fields)
        assert theirs.status_code == 200
        assert theirs.json()["runId"] != ours.json()["runId"]
        assert is_problem(refused[0], 400, "invalid-submission")["member"] == "parent"
        assert not app.called("step")
