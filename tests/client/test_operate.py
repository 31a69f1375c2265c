"""Causes, retries, bulk jobs and bodies: what is asked, and what is made of the answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from engine.client import BodyPart, NothingKnown, Refused, Unreachable
from engine.wire import Problem
from tests.client.fake_engine import RUN, FakeEngine, answer, client, refusal, script

AT = {
    "stepId": "01A-1",
    "name": "sendMail",
    "url": "http://app/sendMail",
    "status": "backing-off",
    "attempts": 2,
    "failures": 2,
    "retriesMax": 10,
}
JOB = {
    "id": "01J",
    "state": "running",
    "action": "retry",
    "q": "is:failed",
    "matched": 3,
    "total": 2,
    "done": 0,
    "skipped": {"it is completed": 1},
    "ratePerS": 20,
    "unknown": "of a later engine",
}


async def test_a_filter_goes_along_with_every_page() -> None:
    """Quoted as a query has it; what was not given is not sent."""
    page = {"runs": [RUN], "total": 1, "totalIsEstimate": True}
    engine = FakeEngine(answer(page | {"next": "c"}), answer(page | {"runs": []}))
    assert [row.id async for row in client(engine).operate.runs(filter='wf:"a b" &c')] == ["01A"]
    first, second = (dict(request.url.params) for request in engine.requests)
    assert first == {"q": 'wf:"a b" &c'}
    assert second == {"q": 'wf:"a b" &c', "cursor": "c"}


async def test_causes_and_retries_are_read() -> None:
    """Why runs need a person, and a page of what is tried next."""
    cause = {
        "cause": "ab", "runs": 2, "newRuns": 1, "firstAt": "t1", "lastAt": "t2", "runId": "01A",
        "workflowName": "w", "status": "failed", "at": AT,
    }  # fmt: skip
    retry = {"runId": "01A", "client": "shop", "workflowName": "w", "rev": 3, "at": AT}
    engine = FakeEngine(
        answer({"causes": [cause], "runs": 2, "newWithinMs": 300_000}),
        answer({"retries": [retry], "next": "5-01A"}),
    )
    atomic = client(engine)
    (only,) = (await atomic.operate.causes()).causes
    assert (only.cause, only.at and only.at.name) == ("ab", "sendMail")
    page = await atomic.operate.retry_page(filter="wf:w", limit=1, cursor="4-01B")
    assert (page.retries[0].at.failures, page.next) == (2, "5-01A")
    assert str(engine.requests[0].url) == "http://engine/api/v1/causes"
    assert dict(engine.requests[1].url.params) == {"q": "wf:w", "limit": "1", "cursor": "4-01B"}


async def test_a_job_says_what_it_is_given() -> None:
    """Members as the wire has them; the key as a quoted string, whatever stands in it."""
    engine = FakeEngine(answer(JOB, 202))
    job = await client(engine).operate.bulk(
        "retry", "is:failed", expect=3, rate_per_s=5, reason="up again", key=r'a "b" \c'
    )
    assert (job.id, job.total, job.skipped) == ("01J", 2, {"it is completed": 1})
    assert engine.body() == {
        "action": "retry",
        "q": "is:failed",
        "expect": 3,
        "dryRun": False,
        "ratePerS": 5,
        "reason": "up again",
    }
    (request,) = engine.requests
    assert request.headers["idempotency-key"] == r'"a \"b\" \\c"'
    with pytest.raises(ValueError, match="explode"):
        await client(engine).operate.bulk("explode", "is:failed")


async def test_holds_are_asked_for_and_released() -> None:
    """What is not given is not sent. A hold that was lost on its way is asked for again: twice is
    no other than once. A release is not, as it may be over by then."""
    row = {"kind": "client", "name": "shop", "since": "t", "actor": "ada", "waiting": 2}
    engine = FakeEngine(
        httpx.ReadError("reset"), answer(row), answer(row | {"releasedAt": "t", "ratePerS": 5}),
        answer({"holds": [row], "waiting": 2}), httpx.ReadError("reset"),
    )  # fmt: skip
    operate = client(engine, actor="ada").operate
    assert (await operate.hold("client", "shop")).waiting == 2
    assert (await operate.release("client", "shop", rate_per_s=5)).rate_per_s == 5
    assert [it.name for it in (await operate.holds()).holds] == ["shop"]
    with pytest.raises(Unreachable):
        await operate.release("client", "shop")
    asked = [json.loads(request.content or b"null") for request in engine.requests]
    assert asked[0] == asked[1] == {"kind": "client", "name": "shop"}
    assert asked[2] == {"kind": "client", "name": "shop", "ratePerS": 5}
    assert [request.headers.get("atomic-actor") for request in engine.requests][1:4] == [
        "ada", "ada", None,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="planet"):
        await operate.hold("planet", "earth")


NOTE = {"at": "t", "actor": "ada", "text": "so"}
DISMISSAL = {"at": "t", "actor": "ada", "reason": "so", "cameAgain": False}


async def test_causes_are_noted_and_dismissed() -> None:
    """With what was seen, if that is told. Listed with those that are dismissed when asked."""
    causes = {"causes": [], "runs": 0, "newWithinMs": 1, "dismissedCauses": 2, "dismissedRuns": 3}
    engine = FakeEngine(*map(answer, [NOTE, NOTE, DISMISSAL, DISMISSAL, DISMISSAL, causes, causes]))
    operate = client(engine, actor="ada").operate
    assert (await operate.note_cause("0a", "so")).text == "so"
    assert (await operate.take_note_back("0a", 1)).actor == "ada"
    assert (await operate.dismiss_cause("0a", "so")).reason == "so"
    await operate.dismiss_cause("0a", "so", last_at="2026-11-23T12:00:00.000Z")
    assert not (await operate.undismiss_cause("0a")).came_again
    assert (await operate.causes(dismissed=True)).dismissed_runs == 3
    await operate.causes()
    asked = [json.loads(request.content or b"null") for request in engine.requests]
    assert asked == [
        {"text": "so"}, {}, {"reason": "so"},
        {"reason": "so", "lastAt": "2026-11-23T12:00:00.000Z"}, {}, None, None,
    ]  # fmt: skip
    assert [request.url.query for request in engine.requests[-2:]] == [b"dismissed=true", b""]


@pytest.mark.parametrize(
    "say",
    [
        lambda operate: operate.note_cause("0a", "so"),
        lambda operate: operate.take_note_back("0a", 1),
        lambda operate: operate.dismiss_cause("0a", "so"),
        lambda operate: operate.undismiss_cause("0a"),
    ],
)
async def test_what_is_said_of_a_cause_is_not_said_again_once_it_may_have_arrived(say: Any) -> None:
    """A second note would be another, a second removal another's; what came since would be
    dismissed too."""
    engine = FakeEngine(httpx.ReadError("reset"))
    with pytest.raises(NothingKnown, match="not known"):
        await say(client(engine).operate)
    assert len(engine.requests) == 1


async def test_who_acts_goes_along_with_what_changes_something() -> None:
    """With actions, jobs and their end, of both clients; never with a look."""
    done = {"action": "retry", "dryRun": False, "run": RUN, "step": None, "changed": []}
    said = [done, JOB, JOB, JOB]
    names = ["ada@laptop"] * 3 + [None]
    engine = FakeEngine(*map(answer, said))
    atomic = client(engine, actor="ada@laptop")
    await atomic.operate.act("01A", "retry")
    await atomic.operate.bulk("retry", "is:failed", dry_run=True)
    await atomic.operate.bulk_abort("01J")
    await atomic.operate.bulk_job("01J")
    assert [request.headers.get("atomic-actor") for request in engine.requests] == names
    engine = FakeEngine(*map(answer, said))
    with script(engine, actor="ada@laptop") as blocking:
        blocking.operate.act("01A", "retry")
        blocking.operate.bulk("retry", "is:failed", dry_run=True)
        blocking.operate.bulk_abort("01J")
        blocking.operate.bulk_job("01J")
    assert [request.headers.get("atomic-actor") for request in engine.requests] == names


@pytest.mark.parametrize("name", ["", " ", "a" * 65, " a", "a ", "J\xfcrgen", "a\nb", "a\n"])
@pytest.mark.parametrize("make", [client, script])
def test_a_name_that_the_engine_would_refuse_is_refused_here(make: Any, name: str) -> None:
    """When the client is made, with the limit."""
    with pytest.raises(ValueError, match="1 to 64 printable ASCII"):
        make(FakeEngine(), actor=name)
    make(FakeEngine(), actor="a" * 64)


async def test_a_job_that_may_have_begun_is_asked_for_again_only_with_a_key(
    autojump_clock: object,
) -> None:
    """Without one a second job would act once more; a dry run acts on nothing."""
    engine = FakeEngine(httpx.ReadError("reset"))
    with pytest.raises(NothingKnown, match="not known"):
        await client(engine).operate.bulk("retry", "is:failed")
    for options in ({"key": "k"}, {"dry_run": True}):
        engine = FakeEngine(httpx.ReadError("reset"), answer(JOB, 202))
        assert (await client(engine).operate.bulk("retry", "is:failed", **options)).id == "01J"


def test_the_blocking_client_has_jobs_too() -> None:
    """Begin, look, abort; all with the addresses of the protocol."""
    engine = FakeEngine(
        answer(JOB, 202),
        answer({"jobs": [JOB, JOB | {"id": "01I", "state": "done"}]}),
        answer(JOB | {"done": 1}),
        answer(JOB | {"state": "aborted"}, 202),
        refusal(Problem.NOT_FOUND, "There is no job."),
    )
    with script(engine) as atomic:
        assert atomic.operate.bulk("retry", "is:failed", key="k").id == "01J"
        assert [job.id for job in atomic.operate.bulk_jobs()] == ["01J", "01I"]
        assert atomic.operate.bulk_job("01J").done == 1
        assert atomic.operate.bulk_abort("01J").state == "aborted"
        with pytest.raises(Refused, match="no job"):
            atomic.operate.bulk_job("../status")
    assert [(r.method, r.url.raw_path.decode()) for r in engine.requests] == [
        ("POST", "/api/v1/bulk"),
        ("GET", "/api/v1/bulk"),
        ("GET", "/api/v1/bulk/01J"),
        ("POST", "/api/v1/bulk/01J/abort"),
        ("GET", "/api/v1/bulk/..%2Fstatus"),
    ]
    assert engine.requests[3].headers["content-type"] == "application/json"


SIZES = {"atomic-content-type": "text/plain", "atomic-full-size": "99"}


def raw(data: bytes, status: int = 200, **headers: str) -> httpx.Response:
    """A raw body as the engine sends it."""
    return httpx.Response(status, content=data, headers=SIZES | headers)


async def test_bodies_are_read_whole_or_in_part() -> None:
    """The range that is asked for; how much there is comes with it. Beyond the end is no error."""
    engine = FakeEngine(
        raw(b"0123"),
        raw(b"12", 206, **{"content-range": "bytes 1-2/4"}),
        raw(b"", 416, **{"content-range": "bytes */4"}),
        httpx.Response(200, content=b"of another server"),
        refusal(Problem.NOT_FOUND, "No body was recorded."),
    )
    atomic = client(engine)
    assert await atomic.operate.payload("01A") == BodyPart(b"0123", "text/plain", 4, 99)
    assert await atomic.operate.answer("01A", 2, first=1, count=2) == BodyPart(
        b"12", "text/plain", 4, 99
    )
    assert await atomic.operate.payload("01A", first=7) == BodyPart(b"", "text/plain", 4, 99)
    assert await atomic.operate.payload("01A", count=17) == BodyPart(
        b"of another server", "", 17, 17
    )
    with pytest.raises(Refused, match="No body"):
        await atomic.operate.answer("01A", 1)
    assert [(r.url.path.removeprefix("/api/v1/steps/"), r.headers.get("range"))
            for r in engine.requests] == [
        ("01A/payload", None),
        ("01A/attempts/2/response", "bytes=1-2"),
        ("01A/payload", "bytes=7-"),
        ("01A/payload", "bytes=0-16"),
        ("01A/attempts/1/response", None),
    ]  # fmt: skip


@pytest.mark.parametrize("span", [{"count": 0}, {"count": -1}, {"first": -1}])
def test_a_range_that_there_cannot_be(span: dict[str, Any]) -> None:
    """A server would ignore it, and send everything."""
    with pytest.raises(ValueError, match="counts from 0"):
        script(FakeEngine()).operate.payload("01A", **span)
