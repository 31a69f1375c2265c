"""Functions that run again, late, deep or in circles; what endpoints ask for in answers."""

from __future__ import annotations

import httpx
import pytest
import trio

from tests.e2e.harness import (
    CLOCK_S,
    Answer,
    Call,
    Client,
    application,
    eventually,
    eventually_async,
    fine,
    is_problem,
)

FAST = {"count": 3, "backOff": 10, "jitter": 0}


async def test_a_function_that_posts_itself(shop: Client) -> None:
    """Its own root, or a step above it, with its parent token: 409 at once, and the run goes on."""
    refused: list[httpx.Response] = []

    async def workflow(call: Call) -> Answer:
        refused.append(await shop.post(app.at("index"), call.key, parent_token=call.parent_token))
        await shop.post(app.at("middle"), call.key, parent_token=call.parent_token)
        return Answer()

    async def middle(call: Call) -> Answer:
        refused.append(await shop.post(app.at("middle"), call.key, parent_token=call.parent_token))
        refused.append(await shop.post(app.at("index"), call.key, parent_token=call.parent_token))
        return Answer()

    async with application(index=workflow, middle=middle) as app:
        answer = await shop.post(app.at("index"))

        assert answer.status_code == 200
        assert len(app.calls) == 2
    for one in refused:
        document = is_problem(one, 409, "would-deadlock")
        assert document["errorSource"] == "workflow"
        assert document["runId"] == answer.json()["runId"]
    assert len(refused) == 3


@pytest.mark.slow
async def test_a_late_execution(shop: Client) -> None:
    """Timed out, alive, posting with its parent token: records are answered, new steps are not."""
    second_runs, late_is_done = trio.Event(), trio.Event()
    late: list[httpx.Response] = []

    async def workflow(call: Call) -> Answer:
        await shop.post(app.at("first"), call.key, parent_token=call.parent_token)
        if call.attempt == 1:
            await second_runs.wait()
            late.append(await shop.post(app.at("first"), call.key, parent_token=call.parent_token))
            late.append(await shop.post(app.at("second"), call.key, parent_token=call.parent_token))
            late_is_done.set()
        second_runs.set()
        await late_is_done.wait()
        answer = await shop.post(app.at("second"), call.key, parent_token=call.parent_token)
        return Answer(answer.status_code)

    async with application(index=workflow, first=fine, second=fine) as app:
        answer = await shop.post(app.at("index"), attemptTimeout=400, retry={**FAST, "count": 100})

        assert answer.status_code == 200
        assert answer.json()["attempts"] >= 2  # others may time out too, where all is slow
        recorded, stale = late
        assert recorded.status_code == 200
        assert recorded.headers["idempotent-replayed"] == "true"
        assert is_problem(stale, 409, "stale-execution")["errorSource"] == "workflow"
        assert len(app.called("first")) == len(app.called("second")) == 1


async def test_steps_nest_by_parent_token(shop: Client) -> None:
    """Depth 3: each step is the child of exactly the step whose parent token came with its post."""
    below = {"index": "one", "one": "two", "two": "three"}

    async def nest(call: Call) -> Answer:
        answer = await shop.post(app.at(below[call.name]), call.key, parent_token=call.parent_token)
        return Answer(answer.status_code, answer.content)

    async with application(index=nest, one=nest, two=nest, three=fine) as app:
        answer = await shop.post(app.at("index"))
        run_id = answer.json()["runId"]
        steps = await shop.steps(run_id)

        assert answer.json()["response"]["response"]["response"]["response"] == {"done": "three"}
        assert [steps[name]["parentId"] for name in ("index", "one", "two", "three")] == [
            None,
            run_id,
            steps["one"]["id"],
            steps["two"]["id"],
        ]
        assert {call.run_id for call in app.calls} == {run_id}


async def test_a_loop_varies_key_or_step_key(shop: Client) -> None:
    """One URL many times in a run: a step for each `idempotencyKey` and each `stepKey`."""

    async def workflow(call: Call) -> Answer:
        for number in range(3):
            await shop.post(
                app.at("step"), f"{call.key}-{number}", number, parent_token=call.parent_token
            )
            await shop.post(app.at("step"), call.key, number, stepKey=f"s{number}")
        return Answer()

    async with application(index=workflow, step=fine) as app:
        answer = await shop.post(app.at("index"))

        run = (await shop.read(f"/runs/{answer.json()['runId']}"))["run"]
        assert run["steps"] == 7
        assert sorted(call.payload for call in app.called("step")) == [0, 0, 1, 1, 2, 2]


async def test_suspend(shop: Client) -> None:
    """`Atomic-Suspend`: no request is open while the child works; its end invokes the function."""
    release = trio.Event()
    answers: list[httpx.Response] = []

    async def workflow(call: Call) -> Answer:
        answer = await shop.post(app.at("long"), call.key, prefer="respond-async")
        if answer.status_code == 202:
            return Answer(202, headers={"Atomic-Suspend": "true"})
        return Answer(200, answer.content)

    async def long(call: Call) -> Answer:
        await release.wait()
        return Answer(200, b'"at last"')

    async def submit() -> None:
        answers.append(await shop.post(app.at("index"), retry={"count": 0}))

    async with application(index=workflow, long=long) as app:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            await eventually(lambda: app.called("index") and app.called("long"))
            run_id = app.calls[0].run_id

            async def is_waiting() -> bool:
                return bool((await shop.steps(run_id))["index"]["status"] == "waiting")

            await eventually_async(is_waiting)
            release.set()

        (answer,) = answers
        assert (answer.status_code, answer.json()["response"]["response"]) == (200, "at last")
        assert answer.json()["attempts"] == 2
        root = (await shop.steps(run_id))["index"]
        assert [row["status"] for row in root["attemptRows"]] == ["interruption", "success"]


@pytest.mark.slow
async def test_retry_after(shop: Client) -> None:
    """It lengthens the delay, is said to have set it, and never shortens one."""

    async def busy(call: Call) -> Answer:
        if call.attempt == 1:
            return Answer(503, headers={"Retry-After": "1"})
        if call.attempt == 2:
            return Answer(503, headers={"Retry-After": "0"})
        return Answer()

    async with application(busy=busy) as app:
        answer = await shop.post(app.at("busy"), retry={"count": 3, "backOff": 60, "jitter": 0})

        assert answer.status_code == 200
        first, second, third = app.calls
        assert second.at - first.answered_at >= 1.0 - CLOCK_S
        assert third.at - second.answered_at >= 0.12 - CLOCK_S
        (step,) = (await shop.steps(answer.json()["runId"])).values()
        delays = [(row["delayMs"], row["delayBy"]) for row in step["attemptRows"]]
        assert delays == [(1000, "retry-after"), (120, "policy"), (None, None)]


async def test_no_retry_and_stop_on(shop: Client) -> None:
    """The endpoint's `Atomic-No-Retry` and the submitter's `stopOn` fail a step at once."""

    async def refuses(call: Call) -> Answer:
        return Answer(409, b'{"why":"sold out"}', {"Atomic-No-Retry": "true"})

    async def gone(call: Call) -> Answer:
        return Answer(410)

    async with application(refuses=refuses, gone=gone) as app:
        for name, status, retry in (
            ("refuses", 409, FAST),
            ("gone", 410, {**FAST, "stopOn": [410]}),
        ):
            answer = await shop.post(app.at(name), name, retry=retry)

            document = is_problem(answer, 424, "step-failed")
            assert (document["attempts"], document["lastAttempt"]["httpStatus"]) == (1, status)
            assert len(app.called(name)) == 1
        kept = await shop.get(f"/api/v1/steps/{document['stepId']}/response")
        assert kept.status_code == 200


async def test_retries_are_used_up(shop: Client) -> None:
    """A step fails; a root without its own `retry` would pause; `onExhausted` says which."""

    async def broken(call: Call) -> Answer:
        return Answer(500)

    async with application(broken=broken) as app:
        fails = await shop.post(app.at("broken"), "fails", retry={**FAST, "count": 2})
        document = is_problem(fails, 424, "step-failed")
        assert document["attempts"] == len(app.calls) == 3

        pause = {**FAST, "count": 1, "onExhausted": "pause"}
        kept = await shop.post(app.at("broken"), "pauses", prefer="respond-async", retry=pause)
        run = await shop.wait_run(kept.json()["runId"], "paused")
        assert run["pauseReason"] == "exhausted"
        assert len(app.calls) == 5


async def test_answers_of_every_kind(shop: Client) -> None:
    """Empty is null, JSON stays as it is byte for byte, other text is a string."""
    spaced = b'{ "a" : 1.50, "b":[ ] }'
    answers = {
        "empty": (Answer(204, b""), b"null"),
        "spaced": (Answer(200, spaced), spaced),
        "text": (Answer(200, b"hi", {"Content-Type": "text/plain"}), b'"hi"'),
        "not-json": (Answer(200, b"{", {"Content-Type": "text/json"}), b'"{"'),
    }

    async def answer_with(call: Call) -> Answer:
        return answers[call.name][0]

    async with application(**dict.fromkeys(answers, answer_with)) as app:
        for name, (_, expected) in answers.items():
            answer = await shop.post(app.at(name), name)
            assert answer.status_code == 200
            assert b'"response":' + expected + b',"attempts":1' in answer.content


async def test_a_redirect_is_a_failed_attempt(shop: Client) -> None:
    """3xx is never followed: a target that was checked must not send the engine elsewhere."""

    async def moved(call: Call) -> Answer:
        return Answer(307, headers={"Location": app.at("elsewhere")})

    async with application(moved=moved, elsewhere=fine) as app:
        answer = await shop.post(app.at("moved"), retry={**FAST, "count": 1})

        document = is_problem(answer, 424, "step-failed")
        assert document["lastAttempt"]["httpStatus"] == 307
        assert [call.name for call in app.calls] == ["moved", "moved"]


@pytest.mark.slow
async def test_attempt_timeout_is_a_total_deadline(shop: Client) -> None:
    """An endpoint that never answers, or dribbles, is cut at `attemptTimeout`, and retried."""

    async def hangs(call: Call) -> Answer:
        if call.attempt == 1:
            await trio.sleep_forever()
        return Answer()

    async with application(hangs=hangs) as app:
        answer = await shop.post(app.at("hangs"), attemptTimeout=150, retry=FAST)

        assert (answer.status_code, answer.json()["attempts"]) == (200, 2)
        (step,) = (await shop.steps(answer.json()["runId"])).values()
        cut = step["attemptRows"][0]["error"]
        assert cut == "attempt-timeout: no whole answer within 0.15 s (attemptTimeout)"


async def test_the_root_ends_before_its_child(shop: Client) -> None:
    """The caller is answered when the root ends; the run is open until its last child has."""
    release = trio.Event()

    async def workflow(call: Call) -> Answer:
        await shop.post(app.at("slow"), call.key, prefer="respond-async")
        return Answer()

    async def slow(call: Call) -> Answer:
        await release.wait()
        return Answer()

    async with application(index=workflow, slow=slow) as app:
        answer = await shop.post(app.at("index"))
        run_id = answer.json()["runId"]
        run = (await shop.read(f"/runs/{run_id}"))["run"]
        assert (run["status"], run["openSteps"]) == ("completed", 1)
        late = await shop.post(app.at("new"), "k")
        is_problem(late, 409, "run-ended")
        release.set()

        async def all_ended() -> bool:
            tree = await shop.read(f"/runs/{run_id}")
            return bool(tree["run"]["openSteps"] == 0)

        await eventually_async(all_ended)
        assert (await shop.steps(run_id))["slow"]["status"] == "completed"
