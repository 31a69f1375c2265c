"""The helpers of docs/clients at work: their example applications, called by a real engine.

The engine takes no step without a parent token (`steps_need_parent`), so each helper must send it.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.clients.applications import FPM_WORKERS
from tests.clients.gate import Hold, answers, hangs
from tests.clients.shop import PATIENCE_S, USER, shop
from tests.e2e.harness import Answer, eventually_async, is_problem

pytestmark = pytest.mark.slow

EACH_ONCE = {"users": 1, "mails": 1, "analytics": 1, "reserved": 0, "charges": 0}
NOTHING = dict.fromkeys(EACH_ONCE, 0)


def order(card: str) -> dict[str, Any]:
    """What somebody orders."""
    return {"item": "lamp", "amount": 20, "card": card}


def attempts(step: dict[str, Any], word: str) -> list[dict[str, Any]]:
    """The attempts of a step whose error contains the word."""
    return [it for it in step["attemptRows"] if word in (it["error"] or "")]


async def test_a_workflow_and_its_steps(language: str, built: Path, tmp_path: Path) -> None:
    """Started by the application's own API and from outside, under another client: steps are
    children of the run that calls, whoever's it is, and a key's second post is the first one's."""
    async with shop(language, built, tmp_path) as it:
        answer = await it.submit("createUser", "k1", USER)
        assert answer.status_code == 200, answer.text
        user = answer.json()["response"]
        assert user["userName"] == "ada"
        tree = await it.tree(answer.json()["runId"])
        assert {*tree} == {"index", "createUser", "sendEmail", "sendAnalytics"}
        root = tree.pop("index")["id"]
        assert all(step["parentId"] == root for step in tree.values())
        assert await it.counts() == EACH_ONCE

        url = f"http://127.0.0.1:{it.application.port}/users"
        posted = {"idempotencyKey": "k2", **USER}
        begun = (await it.client.http.post(url, json=posted, timeout=PATIENCE_S)).json()
        outcome = await it.client.http.get(f"/api/v1/steps/{begun['run']}/outcome")
        again = (await it.client.http.post(url, json=posted, timeout=PATIENCE_S)).json()
        assert again == {"run": begun["run"], "user": outcome.json()["response"]}
        assert (await it.client.read(f"/runs/{begun['run']}"))["run"]["client"] == "default"
        assert (await it.counts())["users"] == 2


@pytest.mark.parametrize("language", [pytest.param("typescript", marks=pytest.mark.system)])
async def test_no_engine_is_told_as_that(language: str, built: Path, tmp_path: Path) -> None:
    """`fetch failed`, which Node says, names neither what was called nor why it failed."""
    async with shop(language, built, tmp_path) as it:
        await trio.to_thread.run_sync(it.engine.kill)
        url = f"http://127.0.0.1:{it.application.port}/users"
        answer = await it.client.http.post(url, json={"idempotencyKey": "k", **USER})
        assert answer.status_code == 503
        told = "Atomic answered nothing: connect ECONNREFUSED 127.0.0.1:"
        assert answer.json()["error"].startswith(told)


async def test_suspend_and_compensate(language: str, built: Path, tmp_path: Path) -> None:
    """With one word the function never waits for a step, and finds the recorded ones when it is
    called again, the failed one too, which it compensates."""
    async with shop(language, built, tmp_path) as it:
        confirmed = await it.submit("order", "good", order("good"))
        assert confirmed.json()["response"] == {"status": "confirmed"}
        assert await it.counts() == NOTHING | {"reserved": 1, "charges": 1}

        called = Hold(it.gate, "reserveStock")

        async def when_it_has_left() -> None:
            async def has_left() -> bool:
                for run in (await it.client.read("/runs?workflow=order&key=bad"))["runs"]:
                    root = (await it.tree(run["id"]))["index"]
                    return bool(attempts(root, "suspended: to be invoked again when a child ends"))
                return False

            await eventually_async(has_left, PATIENCE_S)
            called.let_go.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(when_it_has_left)
            declined = await it.submit("order", "bad", order("declined"))
        assert declined.json()["response"] == {"status": "declined"}
        assert await it.counts() == NOTHING | {"charges": 1}
        tree = await it.tree(declined.json()["runId"])
        assert tree["chargeCard"]["status"] == "failed"
        assert tree["releaseStock"]["status"] == "completed"


async def test_a_failure_that_is_not_dealt_with_is_passed_on(
    language: str, built: Path, tmp_path: Path
) -> None:
    """The function answers 424, whether it waited or suspended: the run fails at once, because of
    that step, and nothing is compensated."""
    async with shop(language, built, tmp_path) as it:
        broken = answers(Answer(500, b'{"error": "broken"}', {"Atomic-No-Retry": "true"}))
        it.gate.once["sendEmail"].append(broken)
        it.gate.once["chargeCard"].append(broken)
        for workflow, payload, step in (
            ("createUser", USER, "sendEmail"),
            ("order", order("good"), "chargeCard"),
        ):
            answer = await it.submit(workflow, "k", payload)
            document = is_problem(answer, 424, "step-failed")
            assert document["cause"]["stepName"] == step
            tree = await it.tree(document["runId"])
            assert tree["index"]["attemptRows"][-1]["httpStatus"] == 424
            assert "releaseStock" not in tree


async def test_the_application_is_killed_in_the_middle(
    language: str, built: Path, tmp_path: Path
) -> None:
    """kill -9 with an effect done and its answer not yet sent, and with another step's call under
    way; the new process goes on, and no effect is lost or doubled."""
    async with shop(language, built, tmp_path) as it:
        done = Hold(it.gate, "createUser", answered=True)
        called = Hold(it.gate, "sendEmail")

        async def kill(hold: Hold) -> None:
            with trio.fail_after(PATIENCE_S):
                await hold.came.wait()
            await it.restart()
            hold.let_go.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill, done)
            nursery.start_soon(kill, called)
            answer = await it.submit("createUser", "k", USER)
        assert answer.status_code == 200, answer.text
        assert await it.counts() == EACH_ONCE
        root = (await it.tree(answer.json()["runId"]))["index"]
        assert {row["status"] for row in root["attemptRows"]} == {"interruption", "success"}, [
            (r["status"], r["error"], r["httpStatus"]) for r in root["attemptRows"]
        ]


async def test_a_step_hangs(language: str, built: Path, tmp_path: Path) -> None:
    """It is given up at its `attemptTimeout` and tried again; the function, whose post is answered
    504 `suspended` before, lets that out, and is called again."""
    async with shop(language, built, tmp_path) as it:
        it.gate.once["sendEmail"].append(hangs)
        answer = await it.submit("createUser", "k", USER)
        assert answer.status_code == 200, answer.text
        assert await it.counts() == EACH_ONCE
        tree = await it.tree(answer.json()["runId"])
        assert len(attempts(tree["sendEmail"], "attempt-timeout")) == 1
        assert len(attempts(tree["index"], "sent home")) >= 1


async def test_the_application_is_suspended_by_the_system(
    language: str, built: Path, tmp_path: Path
) -> None:
    """SIGSTOP: a call hangs until its `attemptTimeout`, and the next ones too. When the application
    goes on it works off the old calls beside the new ones, and each effect is there once."""
    async with shop(language, built, tmp_path) as it:
        called = Hold(it.gate, "sendEmail")
        run_id = ""

        async def timed_out() -> bool:
            step = (await it.tree(run_id))["sendEmail"]
            return bool(attempts(step, "attempt-timeout"))

        async def stop_and_continue() -> None:
            nonlocal run_id
            with trio.fail_after(PATIENCE_S):
                await called.came.wait()
            it.application.signal(signal.SIGSTOP)
            called.let_go.set()
            (run,) = (await it.client.read("/runs?workflow=createUser"))["runs"]
            run_id = run["id"]
            await eventually_async(timed_out, PATIENCE_S / 2)
            it.application.signal(signal.SIGCONT)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_and_continue)
            answer = await it.submit("createUser", "k", USER)
        assert answer.status_code == 200, answer.text
        assert await it.counts() == EACH_ONCE


async def test_a_function_that_waits_is_sent_home(
    language: str, built: Path, tmp_path: Path
) -> None:
    """A step that is tried later: the waiting function is told 504 `suspended`, lets it out, and is
    called again when the step has ended. It costs no retry, and runs nothing twice."""
    async with shop(language, built, tmp_path, suspend_after_ms=300) as it:
        later = Answer(503, b'{"error": "not yet"}', {"Retry-After": "2"})
        it.gate.once["sendAnalytics"].append(answers(later))
        answer = await it.submit("createUser", "k", USER)
        assert answer.status_code == 200, answer.text
        assert await it.counts() == EACH_ONCE
        root = (await it.tree(answer.json()["runId"]))["index"]
        assert len(attempts(root, "sent home")) >= 1
        assert {row["status"] for row in root["attemptRows"]} == {"interruption", "success"}


async def test_more_workflows_than_workers(language: str, built: Path, tmp_path: Path) -> None:
    """Functions that wait hold every worker of the pool (PHP-FPM has two, gunicorn four): all are
    done all the same, and each effect is there once."""
    many = 3 * FPM_WORKERS + 1
    async with shop(language, built, tmp_path, standstill_ms=500) as it:
        ended: list[int] = []

        async def one(number: int) -> None:
            ended.append((await it.submit("createUser", f"k{number}", USER)).status_code)

        async with trio.open_nursery() as nursery:
            for number in range(many):
                nursery.start_soon(one, number)
        assert ended == [200] * many
        counts = await it.counts()
        assert (counts["users"], counts["mails"], counts["analytics"]) == (many,) * 3
