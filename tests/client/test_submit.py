"""Submissions: what is sent, what is read, and what is posted again."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest
import trio
from msgspec.structs import fields

from engine.client import (
    AsyncClient,
    NothingKnown,
    Open,
    Outcome,
    Refused,
    Repost,
    Reposts,
    RetryPolicy,
    RunCancelled,
    StepFailed,
    Suspended,
    UnexpectedAnswer,
    Unreachable,
    WaitTimeout,
)
from engine.wire import OutcomeAnswer, Problem, Submission, SubmitOptions
from tests.client.fake_engine import OUTCOME, FakeEngine, answer, client, refusal

ARGUMENTS: Any = {
    "workflow": "createUser",
    "client": "shop",
    "url": "http://app/index",
    "key": "k",
}


async def test_a_submission_is_posted_as_the_contract_says():
    """Names, payload and options reach the wire under their own names; what is unset stays out."""
    engine = FakeEngine(answer())
    outcome = await client(engine).submit(
        **ARGUMENTS,
        payload={"userName": "ada"},
        timeout=8000,
        retry=RetryPolicy(count=3),
        step_name="first",
    )
    (request,) = engine.requests
    assert (request.method, str(request.url)) == ("POST", "http://engine/shop")
    assert request.headers["content-type"] == "application/json"
    assert engine.body() == {
        "workflowName": "createUser",
        "stepInvokeUrl": "http://app/index",
        "idempotencyKey": "k",
        "payload": {"userName": "ada"},
        "timeout": 8000,
        "retry": {"count": 3},
        "stepName": "first",
    }
    assert (outcome.run_id, outcome.http_status, outcome.attempts) == ("01A", 201, 4)


def test_every_member_of_a_submission_is_an_option():
    """But for those that `submit` and `step` name themselves."""
    named = {"workflow_name", "step_invoke_url", "idempotency_key", "payload", "parent"}
    assert {it.name for it in fields(Submission)} - named == SubmitOptions.__annotations__.keys()


async def test_the_response_is_decoded_when_asked_for_and_its_bytes_are_kept():
    """The raw bytes are the endpoint's own; a type may be asked for."""

    @dataclass
    class User:
        id: int

    raw = b'{"id":   42}'
    content = msgspec.json.encode(OUTCOME | {"response": msgspec.Raw(raw)})
    engine = FakeEngine(httpx.Response(200, content=content))
    outcome = await client(engine).submit(**ARGUMENTS)
    assert bytes(outcome.raw) == raw
    assert outcome.response == {"id": 42}
    assert outcome.response is outcome.response
    assert outcome.decode(User) == User(42)
    with pytest.raises(msgspec.ValidationError):
        outcome.decode(int)


async def test_half_a_character_is_sent_and_read():
    """JavaScript cuts texts within characters: the client takes what comes, and can pass it on."""
    raw = rb'{"note":  "Thanks \ud83d \\ud83d"}'
    content = msgspec.json.encode(OUTCOME | {"response": msgspec.Raw(raw)})
    engine = FakeEngine(httpx.Response(200, content=content), answer())
    atomic = client(engine)
    outcome = await atomic.submit(**ARGUMENTS)
    assert bytes(outcome.raw) == raw
    assert outcome.response == {"note": "Thanks \ud83d \\ud83d"}
    assert outcome.decode(dict[str, str]) == outcome.response
    with pytest.raises(msgspec.ValidationError):
        outcome.decode(int)
    await atomic.submit(**ARGUMENTS, payload=outcome.response)
    assert rb"\ud83d" in engine.requests[1].content
    assert json.loads(engine.requests[1].content)["payload"] == outcome.response


async def test_headers_of_the_answer_are_kept():
    """Whether it was replayed, and for another payload, is told by headers."""
    engine = FakeEngine(answer(idempotent_replayed="true", atomic_payload_differs="true"), answer())
    atomic = client(engine)
    first, second = await atomic.submit(**ARGUMENTS), await atomic.submit(**ARGUMENTS)
    assert (first.replayed, first.payload_differs) == (True, True)
    assert (second.replayed, second.payload_differs) == (False, False)


def test_the_outcome_has_every_member_of_the_wire():
    """A member added to the answer must be added to what users see."""
    wire = {field.encode_name for field in msgspec.structs.fields(OutcomeAnswer)}
    ours = {field.encode_name for field in msgspec.structs.fields(Outcome)}
    assert ours - wire == {"replayed", "payloadDiffers"}
    assert wire <= ours


async def test_with_a_preference_an_open_step_may_come_back():
    """202 is an answer, not an error."""
    engine = FakeEngine(answer({"id": "01A", "runId": "01A", "status": "pending"}, 202))
    opened = await client(engine).submit(**ARGUMENTS, prefer="respond-async")
    assert opened == Open("01A", "01A", "pending")
    assert engine.requests[0].headers["prefer"] == "respond-async"


async def test_a_failed_step_is_raised_with_its_cause():
    """424 carries what a person and a program need to know."""
    engine = FakeEngine(
        refusal(
            Problem.STEP_FAILED,
            "All retries are used up.",
            runId="01A",
            attempts=3,
            cause={"stepId": "01B", "stepName": "sendMail"},
            lastAttempt={"httpStatus": 500},
            futureMember=1,
        )
    )
    with pytest.raises(StepFailed) as caught:
        await client(engine).submit(**ARGUMENTS)
    error = caught.value
    assert error.cause is not None
    assert error.cause.step_name == "sendMail"
    assert (error.run_id, error.attempts, error.status) == ("01A", 3, 424)
    assert error.last_attempt is not None
    assert error.last_attempt.http_status == 500
    assert error.members["futureMember"] == 1
    assert str(error) == (
        "The step failed: All retries are used up (424 step-failed); because of step sendMail"
    )


async def test_the_step_that_made_it_fail_is_named_once():
    """The engine's text names it; that of an engine of before did not."""
    text = "Step 'order' failed after 1 attempt because step 'charge' failed: answered 402."
    cause = {"stepId": "01B", "stepName": "charge"}
    engine = FakeEngine(refusal(Problem.STEP_FAILED, text, cause=cause))
    with pytest.raises(StepFailed) as caught:
        await client(engine).submit(**ARGUMENTS)
    assert str(caught.value).count("charge") == 1


async def test_cancelled_and_refused_are_told_apart():
    """A cancelled run is an outcome; other 409s and 4xx are refusals that carry their members."""
    engine = FakeEngine(
        refusal(Problem.RUN_CANCELLED, "An operator cancelled it."),
        refusal(Problem.KEY_REUSED, "Another payload.", recordedFingerprint="aa"),
    )
    atomic = client(engine)
    with pytest.raises(RunCancelled):
        await atomic.submit(**ARGUMENTS)
    with pytest.raises(Refused) as caught:
        await atomic.submit(**ARGUMENTS)
    assert caught.value.problem == Problem.KEY_REUSED
    assert caught.value.members["recordedFingerprint"] == "aa"


async def test_suspended_is_never_posted_again(autojump_clock):
    """This execution of the function is over: the post would be refused again and again."""
    for timeout in (None, 60_000):
        engine = FakeEngine(refusal(Problem.SUSPENDED, "Let it fail.", runId="01A"), answer())
        with pytest.raises(Suspended) as caught:
            await client(engine).submit(**ARGUMENTS, timeout=timeout)
        assert isinstance(caught.value, NothingKnown)
        assert len(engine.requests) == 1


async def test_what_says_nothing_is_posted_again_with_the_same_key(autojump_clock):
    """Broken connections, 429, 502, 503 and a proxy's 504 are tried again, ever later."""
    engine = FakeEngine(
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed"),
        refusal(Problem.TOO_MANY_RUNS, "Too many."),
        httpx.Response(502, text="bad gateway"),
        httpx.Response(504, text="gateway time-out"),
        answer(),
    )
    heard: list[Repost] = []
    began = trio.current_time()
    outcome = await client(engine, on_repost=heard.append).submit(**ARGUMENTS, payload={"a": 1})
    assert outcome.id == "01A"
    assert len({request.content for request in engine.requests}) == 1
    assert [it.delay_s for it in heard] == [0.25, 0.5, 1, 2, 4, 8]
    assert trio.current_time() - began == pytest.approx(15.75)
    first, second = heard[0].reason, heard[1].reason
    assert isinstance(first, Unreachable)
    assert isinstance(second, Unreachable)
    assert (first.unsent, second.unsent) == (True, False)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0"}, 0.25),
        ({"Retry-After": "99999"}, 60.0),
        ({"Retry-After": "soon"}, 0.25),
        (
            {
                "Date": "Mon, 23 Nov 2026 12:00:00 GMT",
                "Retry-After": "Mon, 23 Nov 2026 12:00:09 GMT",
            },
            9.0,
        ),
        ({"Retry-After": "Mon, 23 Nov 2026 12:00:09 GMT"}, 0.25),
    ],
)
async def test_retry_after_lengthens_the_delay(autojump_clock, headers, expected):
    """Seconds and dates are honoured up to a minute, and never shorten the back-off."""
    engine = FakeEngine(refusal(Problem.DRAINING, "Stopping.", headers), answer())
    heard: list[Repost] = []
    await client(engine, on_repost=heard.append).submit(**ARGUMENTS)
    assert [it.delay_s for it in heard] == [expected]


async def test_an_error_tells_no_password():
    """That of the address, which may end up in a log."""
    http = httpx.AsyncClient(transport=FakeEngine(httpx.ConnectError("refused")).transport)
    atomic = AsyncClient("http://ada:hunter2@engine", http=http, reposts=Reposts(count=0))
    with pytest.raises(Unreachable, match=r"The engine at http://engine cannot be reached"):
        await atomic.submit(**ARGUMENTS)


async def test_the_tries_are_bounded(autojump_clock):
    """An engine that stays away is reported in the end, with what went wrong last."""
    engine = FakeEngine(*[httpx.ConnectError("refused")] * 3)
    with pytest.raises(Unreachable, match=r"http://engine cannot be reached: refused"):
        await client(engine, reposts=Reposts(count=2)).submit(**ARGUMENTS)
    assert len(engine.requests) == 3
    engine = FakeEngine(refusal(Problem.OVERLOADED, "Busy."))
    with pytest.raises(NothingKnown, match="503 overloaded") as caught:
        await client(engine, reposts=Reposts(count=0)).submit(**ARGUMENTS)
    assert caught.value.cause is not None
    assert caught.value.cause.status == 503


async def test_cuts_of_a_long_wait_do_not_add_up(autojump_clock):
    """A proxy that cuts every waiting post after a minute never makes the submission fail."""

    class Slow(httpx.AsyncBaseTransport):
        posts = 0

        async def handle_async_request(self, request):
            self.posts += 1
            await trio.sleep(60)
            if self.posts <= 30:
                raise httpx.ReadError("cut")
            return answer()

    slow = Slow()
    atomic = AsyncClient(http=httpx.AsyncClient(transport=slow), reposts=Reposts(count=1))
    assert (await atomic.submit(**ARGUMENTS)).id == "01A"
    assert slow.posts == 31


async def test_a_repost_waits_only_for_what_is_left_of_the_timeout(autojump_clock):
    """The caller's time-out holds for all posts together."""

    async def wait_one_second(request: httpx.Request) -> httpx.Response:
        await trio.sleep(1)
        return httpx.Response(502)

    engine = FakeEngine()

    class Script(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            engine.requests.append(request)
            return await wait_one_second(request)

    atomic = AsyncClient(http=httpx.AsyncClient(transport=Script()), chance=lambda: 0.0)
    began = trio.current_time()
    with pytest.raises(NothingKnown):
        await atomic.submit(**ARGUMENTS, timeout=3000)
    assert [body["timeout"] for body in engine.bodies()] == [3000, 1750, 250]
    assert trio.current_time() - began <= 4.0


async def test_the_own_timeout_is_told_with_the_step():
    """504 after one's own time-out is not tried again; the step can be asked for later."""
    engine = FakeEngine(refusal(Problem.WAIT_TIMEOUT, "3 s are over.", id="01A", runId="01A"))
    with pytest.raises(WaitTimeout, match="3 s are over") as caught:
        await client(engine).submit(**ARGUMENTS, timeout=3000)
    assert (caught.value.id, caught.value.run_id) == ("01A", "01A")


async def test_answers_that_are_not_the_engines_are_told_as_such():
    """Another server on the port is named, not taken for an outcome."""
    engine = FakeEngine(
        httpx.Response(200, text="<html>hello"),
        httpx.Response(424, json={"detail": "not the engine's"}),
        httpx.Response(302, headers={"location": "/login"}),
    )
    for _ in range(3):
        with pytest.raises(UnexpectedAnswer, match="not as the engine does"):
            await client(engine).submit(**ARGUMENTS)


async def test_a_bug_of_the_engine_says_nothing_of_the_step():
    """500 is not a refusal: nothing may be concluded from it."""
    engine = FakeEngine(refusal(Problem.INTERNAL, "A bug.", incident="7"))
    with pytest.raises(NothingKnown, match="500 internal-error"):
        await client(engine).submit(**ARGUMENTS)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "é"])
async def test_a_client_name_that_is_no_path_segment_is_not_sent(name):
    """A name with a slash would reach another address of the engine."""
    with pytest.raises(ValueError, match="client name"):
        await client(FakeEngine()).submit("w", client=name, url="http://app/", key="k")


async def test_a_payload_that_is_no_json_is_not_sent():
    """NaN has no JSON; it must not become null on the way."""
    with pytest.raises(ValueError, match="JSON"):
        await client(FakeEngine()).submit(**ARGUMENTS, payload={"price": math.nan})


@pytest.mark.parametrize("engine", ["127.0.0.1:8420", "ftp://x", "http://", "http://[::1"])
def test_an_engine_address_that_is_none_is_refused(engine):
    """A forgotten `http://` is told at once."""
    with pytest.raises(ValueError, match="URL"):
        AsyncClient(engine)


def test_it_runs_on_asyncio_too():
    """The same code waits and posts again on asyncio."""

    async def main() -> Outcome:
        engine = FakeEngine(httpx.ConnectError("refused"), answer())
        async with client(engine, reposts=Reposts(back_off_s=0.0)) as atomic:
            outcome: Outcome = await atomic.submit(**ARGUMENTS)
            return outcome

    assert asyncio.run(main()).id == "01A"
