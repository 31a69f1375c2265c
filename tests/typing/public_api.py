"""The client as its users write it: type-checked by mypy with everything else, never run."""

from __future__ import annotations

import ssl
from typing import Any, assert_type

from msgspec import Struct

from engine.client import (
    Action,
    AsyncClient,
    AtomicError,
    Client,
    Fact,
    NothingKnown,
    Open,
    Outcome,
    PassOn,
    Refused,
    Reposts,
    RetryPolicy,
    StepFailed,
    WaitTimeout,
    answer_of,
    pass_on,
)
from engine.testing import running_engine
from engine.wire import ActionAnswer, RunPage, RunRow, RunTree, StepRow

URL = "http://127.0.0.1:9000/workflows/userCreation"


class User(Struct):
    id: int


async def submit_and_wait() -> int:
    async with AsyncClient("http://127.0.0.1:8420", reposts=Reposts(count=3)) as atomic:
        try:
            outcome = await atomic.submit(
                "createUser",
                client="shop",
                url=URL,
                key="key-1",
                payload={"userName": "ada"},
                timeout=8_000,
                retry=RetryPolicy(count=10, back_off_ms=1_000),
                attempt_timeout=30_000,
                step_name="create",
            )
        except StepFailed as error:
            print(error.cause.step_name if error.cause else error.detail)
            raise
        except WaitTimeout as error:
            if error.id is None:
                raise
            outcome = await atomic.outcome(error.id)
        assert_type(outcome, Outcome)
        assert_type(outcome.response, Any)
        return assert_type(outcome.decode(User), User).id


async def submit_and_go(atomic: AsyncClient) -> str:
    opened = await atomic.submit(
        "w", client="shop", url=URL, key="k", prefer="respond-async", retry={"count": 1}
    )
    assert_type(opened, Outcome | Open)
    assert_type(await atomic.outcome(opened.id, wait=5), Outcome | Open)
    return opened.id


async def a_workflow_function(
    atomic: AsyncClient, headers: dict[str, str], body: dict[str, Any]
) -> dict[str, Any]:
    workflow = atomic.workflow(
        "createUser", client="shop", key=body["idempotencyKey"], headers=headers
    )
    created = await workflow.step(f"{URL}/user", body["payload"])
    try:
        await workflow.step(f"{URL}/mail", {"id": created.response["id"]}, step_key="mail")
    except StepFailed:
        await workflow.step(f"{URL}/undo", {"id": created.response["id"]})
    return {"id": created.decode(User).id}


async def what_nobody_caught(app: Any, failed: StepFailed) -> None:
    app.register_error_handler(StepFailed, pass_on)
    assert_type(PassOn(app), PassOn)
    body, status, headers = pass_on(failed)
    print(body, status, headers, answer_of(failed))


async def look_and_act(atomic: AsyncClient) -> None:
    async for row in atomic.operate.runs(client="shop", status="failed"):
        assert_type(row, RunRow)
        tree = assert_type(await atomic.operate.run(row.id), RunTree)
        assert_type(await atomic.operate.step(tree.steps[0].id), StepRow)
        try:
            answer = await atomic.operate.act(row.id, Action.RETRY, if_rev=row.rev, reason="mended")
            assert_type(answer, ActionAnswer)
        except Refused as error:
            print(error.problem, error.detail, error.members)
    assert_type(await atomic.operate.run_page(limit=10, cursor=None), RunPage)
    async with atomic.operate.events(last_event_id="7") as events:
        async for event in events:
            if isinstance(event.data, Fact):
                print(event.id, event.kind, event.data.run_id, event.data.at)


def a_script() -> None:
    with Client(verify=ssl.create_default_context()) as atomic:
        try:
            outcome = atomic.submit("createUser", client="shop", url=URL, key="key-1")
            assert_type(outcome, Outcome)
            for row in atomic.operate.runs():
                print(row.id, atomic.operate.status().version)
            with atomic.operate.events() as events:
                print(next(events).kind)
        except NothingKnown as error:
            print("post again:", error)
        except AtomicError as error:
            print(error)


def a_test() -> None:
    with running_engine(in_flight_max=10) as engine, Client(engine.url) as atomic:
        assert_type(atomic.submit("createUser", url=URL, key="key-1"), Outcome)
