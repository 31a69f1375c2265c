"""The seed's calls, fields and diagram, unchanged, over real sockets."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio

from tests.e2e.harness import (
    CLOCK_S,
    Answer,
    Application,
    Call,
    Client,
    application,
    fine,
    is_problem,
)

RETRY = {"count": 10, "backOff": 50, "jitter": 0}
BACK_OFFS_S = (0.05, 0.1, 0.2)
USER = {"userName": "ada", "email": "ada@example.com"}


class UserCreation:
    """The application of the seed: its workflow and its three steps."""

    def __init__(self, shop: Client) -> None:
        self.shop = shop
        self.app: Application | None = None

    @property
    def handlers(self) -> dict[str, Any]:
        return {
            "index": self.workflow,
            "createUser": self.create_user,
            "sendEmail": fine,
            "sendAnalytics": self.send_analytics,
        }

    async def post_workflow(self, url: str, key: str, payload: Any, **options: Any) -> Any:
        """The seed's `postWorkflow`: exactly its fields."""
        assert self.app is not None
        body = {
            "workflowName": "createUser",
            "stepInvokeUrl": f"{self.app.url}{url}",
            "idempotencyKey": key,
            "payload": payload,
            **options,
        }
        return await self.shop.http.post(f"/{self.shop.name}", json=body)

    async def start(self, key: str = "k-1", payload: Any = USER) -> httpx.Response:
        """The seed's `createUserEndpoint`."""
        answer = await self.post_workflow(
            "/workflows/userCreation/index", key, payload, timeout=8000
        )
        assert isinstance(answer, httpx.Response)
        return answer

    async def step(self, name: str, call: Call, payload: Any) -> Any:
        """The seed's `performWorkflowStep`."""
        url = f"/workflows/userCreation/steps/{name}"
        answer = await self.post_workflow(url, call.key, payload, retry=RETRY)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def workflow(self, call: Call) -> Answer:
        created = await self.step("createUser", call, call.payload)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.step, "sendEmail", call, created["response"])
            nursery.start_soon(self.step, "sendAnalytics", call, created["response"])
        return Answer(201, json.dumps({"userId": created["response"]["id"]}).encode())

    async def create_user(self, call: Call) -> Answer:
        return Answer(200, json.dumps({"id": 42, **call.payload}).encode())

    async def send_analytics(self, call: Call) -> Answer:
        return Answer(200 if call.attempt == 4 else 404)


@pytest.mark.slow
async def test_the_diagram(shop: Client) -> None:
    """createUser, then e-mail and analytics at once; 404, 404, 404, 200 at the back-off times."""
    seed = UserCreation(shop)
    async with application(**seed.handlers) as app:
        seed.app = app
        answer = await seed.start()

        assert answer.status_code == 200
        outcome = answer.json()
        assert outcome["status"] == "completed"
        assert (outcome["httpStatus"], outcome["response"]) == (201, {"userId": 42})
        assert outcome["id"] == outcome["runId"]
        assert (outcome["workflowName"], outcome["idempotencyKey"]) == ("createUser", "k-1")
        assert [call.name for call in app.calls[:2]] == ["index", "createUser"]
        assert app.called("createUser")[0].payload == USER
        assert app.called("sendEmail")[0].payload == {"id": 42, **USER}
        counts = {name: len(app.called(name)) for name in seed.handlers}
        assert counts == {"index": 1, "createUser": 1, "sendEmail": 1, "sendAnalytics": 4}

        attempts = app.called("sendAnalytics")
        assert [call.attempt for call in attempts] == [1, 2, 3, 4]
        for before, after, back_off in zip(attempts, attempts[1:], BACK_OFFS_S, strict=False):
            assert after.at - before.answered_at >= back_off - CLOCK_S
        step = (await shop.steps(outcome["runId"]))["sendAnalytics"]
        assert [row["delayMs"] for row in step["attemptRows"]] == [50, 100, 200, None]

        calls = len(app.calls)
        again = await seed.start()
        assert again.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in answer.headers
        assert (again.status_code, again.content) == (200, answer.content)
        assert len(app.calls) == calls


@pytest.mark.slow
async def test_what_an_endpoint_is_sent(shop: Client) -> None:
    """Body of two members; the step's own key: one for each step, the same for its attempts."""
    seed = UserCreation(shop)
    async with application(**seed.handlers) as app:
        seed.app = app
        run_id = (await seed.start()).json()["runId"]

        for call in app.calls:
            assert set(json.loads(call.body)) == {"idempotencyKey", "payload"}
            assert call.key == "k-1"
            assert call.run_id == run_id
            assert call.headers["content-type"] == "application/json"
            assert call.headers["accept-encoding"] == "identity"
            assert call.headers["atomic-workflow"] == "createUser"
            assert call.headers["user-agent"].startswith("atomic/")
            assert call.own_key[0] == call.own_key[-1] == '"'
        steps = {call.headers["atomic-step-id"] for call in app.calls}
        assert len(steps) == len({call.own_key for call in app.calls}) == 4
        assert len({call.own_key for call in app.called("sendAnalytics")}) == 1
        assert len({call.parent_token for call in app.calls}) == len(app.calls) == 7


@pytest.mark.slow
async def test_200_identical_submissions_at_once(shop: Client) -> None:
    """One series of calls, and 200 answers that are the same byte for byte."""
    seed = UserCreation(shop)
    answers: list[httpx.Response] = []

    async def submit() -> None:
        answers.append(await seed.start())

    async with application(**seed.handlers) as app:
        seed.app = app
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(submit)

        assert len(app.calls) == 7
    assert [answer.status_code for answer in answers] == [200] * 200
    assert len({answer.content for answer in answers}) == 1


async def test_same_key_other_payload(shop: Client) -> None:
    """422 with both fingerprints, and no call; the same payload spelled otherwise is the same."""
    async with application(index=fine) as app:
        first = await shop.post(app.at("index"), payload={"a": 1, "b": 2})
        calls = len(app.calls)
        other = await shop.post(app.at("index"), payload={"a": 1, "b": 3})
        same = await shop.post(app.at("index"), payload={"b": 2.0, "a": 1})

        document = is_problem(other, 422, "idempotency-key-reused")
        marks = {document["recordedFingerprint"], document["postedFingerprint"]}
        assert [len(mark) for mark in marks] == [64, 64]
        assert document["runId"] == first.json()["runId"]
        assert same.content == first.content
        assert len(app.calls) == calls == 1
