"""Steps, outcomes, reads and actions: the calls beside the submission."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import trio

from engine.client import NothingKnown, Open, Refused, Unreachable
from engine.wire import Problem, Status
from tests.client.fake_engine import OUTCOME, RUN, STEP, FakeEngine, answer, client, refusal, script


async def test_a_step_carries_the_parent_token_of_the_invoking_request():
    """The header is found whatever its case; the argument does the same."""
    engine = FakeEngine(answer(), answer())
    atomic = client(engine)
    names: Any = {"name": "createUser", "client": "shop", "key": "k"}
    await atomic.workflow(**names, headers={"atomic-parent": "token-1"}).step("http://app/step")
    await atomic.workflow(**names, parent="token-2").step("http://app/step")
    assert [r.headers["atomic-parent"] for r in engine.requests] == ["token-1", "token-2"]


async def test_a_step_without_a_parent_token_is_not_posted():
    """It would open a run of its own."""
    with pytest.raises(ValueError, match="use submit"):
        client(FakeEngine()).workflow("w", client="shop", key="k", headers={"Host": "x"})


async def test_a_workflow_posts_steps_in_few_words():
    """Names, key and parent token are said once; a loop varies the key."""
    engine = FakeEngine(answer(), answer())
    workflow = client(engine).workflow(
        "createUser", client="shop", key="k", headers={"Atomic-Parent": "token"}
    )
    await workflow.step("http://app/a", {"n": 1})
    await workflow.step("http://app/b", key="k-2", step_key="turn-2")
    first, second = engine.bodies()
    assert (first["idempotencyKey"], second["idempotencyKey"]) == ("k", "k-2")
    assert second["stepKey"] == "turn-2"
    assert {r.headers["atomic-parent"] for r in engine.requests} == {"token"}


async def test_an_outcome_is_waited_for_over_several_requests(autojump_clock):
    """Each request waits for a minute at most; an open step is asked for again."""
    opened = answer({"id": "01A", "runId": "01A", "status": "running"}, 202)
    engine = FakeEngine(opened, opened, answer())
    assert (await client(engine).outcome("01A")).response == {"id": 42}
    assert [r.headers["prefer"] for r in engine.requests] == ["wait=60"] * 3
    assert str(engine.requests[0].url) == "http://engine/api/v1/steps/01A/outcome"


async def test_an_outcome_may_be_asked_for_without_waiting():
    """With `wait` the open step comes back."""
    engine = FakeEngine(answer({"id": "01A", "runId": "01A", "status": "running"}, 202))
    assert isinstance(await client(engine).outcome("01A", wait=0), Open)
    assert engine.requests[0].headers["prefer"] == "wait=0"


async def test_a_wait_for_an_outcome_holds_for_all_tries_together(autojump_clock):
    """A try after a refusal asks for what is left; none is made beyond the end of the wait."""

    def away(request: httpx.Request) -> httpx.Response:
        no: httpx.Response = refusal(Problem.STORE_UNAVAILABLE, "Full.", {"retry-after": "4"})
        return no

    engine = FakeEngine(away, away, away)
    began = trio.current_time()
    with pytest.raises(NothingKnown, match="Full"):
        await client(engine).outcome("01A", wait=10)
    assert [r.headers["prefer"] for r in engine.requests] == ["wait=10", "wait=6", "wait=2"]
    assert trio.current_time() - began <= 10


async def test_runs_are_read_page_after_page():
    """The iterator follows the cursor, and asks for the next page only when it is needed."""
    pages = [
        {"runs": [RUN, RUN | {"id": "01B"}], "total": 3, "totalIsEstimate": False, "next": "c 1"},
        {"runs": [RUN | {"id": "01C"}], "total": 3, "totalIsEstimate": False, "unknown": 1},
    ]
    engine = FakeEngine(*map(answer, pages))
    ids = []
    async for row in client(engine).operate.runs(client="shop", status="backing-off"):
        ids.append(row.id)
        assert len(engine.requests) == (2 if row.id == "01C" else 1)
    assert ids == ["01A", "01B", "01C"]
    assert dict(engine.requests[1].url.params) == {
        "client": "shop",
        "status": "backing-off",
        "cursor": "c 1",
    }


async def test_a_run_and_a_step_are_read():
    """Ids are escaped: an id from somewhere else reaches no other address."""
    tree = {"run": RUN, "steps": [STEP], "serverTime": "2026-11-23T12:00:00.000Z"}
    engine = FakeEngine(answer(tree), answer(STEP), refusal(Problem.NOT_FOUND, "No such run."))
    atomic = client(engine)
    assert (await atomic.operate.run("01A")).steps[0].name == "index"
    assert (await atomic.operate.step("01A")).status == "running"
    with pytest.raises(Refused, match="No such run"):
        await atomic.operate.run("../status?x")
    assert engine.requests[2].url.raw_path == b"/api/v1/runs/..%2Fstatus%3Fx"
    with pytest.raises(ValueError, match="not an id"):
        await atomic.operate.run("..")


async def test_an_action_says_what_it_is_given():
    """Only what was given is sent."""
    done = {"action": "retry", "dryRun": True, "run": RUN, "step": None, "changed": ["01B"]}
    engine = FakeEngine(answer(done, 202))
    result = await client(engine).operate.act("01A", "retry", step="01B", if_rev=0, dry_run=True)
    assert result.changed == ("01B",)
    assert engine.body() == {"action": "retry", "step": "01B", "ifRev": 0, "dryRun": True}
    with pytest.raises(ValueError, match="explode"):
        await client(engine).operate.act("01A", "explode")


@pytest.mark.parametrize(
    "trouble", [httpx.ReadError("reset"), httpx.Response(502), httpx.Response(504)]
)
async def test_an_action_that_may_have_arrived_is_not_repeated(trouble):
    """A second `retry` would be another retry: the operator looks first."""
    engine = FakeEngine(trouble)
    with pytest.raises(NothingKnown, match="not known"):
        await client(engine).operate.act("01A", "retry")
    assert len(engine.requests) == 1


async def test_an_action_that_did_not_arrive_is_made_again(autojump_clock):
    """Refused connections and 503 carried nothing out."""
    done = {"action": "pause", "dryRun": False, "run": RUN, "step": None, "changed": []}
    engine = FakeEngine(
        httpx.ConnectError("refused"), refusal(Problem.DRAINING, "Stopping."), answer(done, 202)
    )
    assert (await client(engine).operate.act("01A", "pause")).action == "pause"


def test_the_blocking_client_does_the_same():
    """Submission, repost, step, listing, action and status work without an event loop."""
    done = {"action": "pause", "dryRun": False, "run": RUN, "step": None, "changed": []}
    page = {"runs": [RUN], "total": 1, "totalIsEstimate": False}
    engine = FakeEngine(
        httpx.ConnectError("refused"),
        answer(),
        answer(),
        answer(OUTCOME),
        answer(page),
        answer(done, 202),
        answer({"version": "0.1.0"}),
    )
    with script(engine) as atomic:
        assert (
            atomic.submit("w", client="shop", url="http://app/", key="k", prefer="wait=5").id
            == "01A"
        )
        assert (
            atomic.workflow("w", client="shop", key="k", parent="t").step("http://app/").id == "01A"
        )
        assert isinstance(atomic.outcome("01A").response, dict)
        assert [row.id for row in atomic.operate.runs()] == ["01A"]
        assert atomic.operate.act("01A", "pause").action == "pause"
        assert atomic.operate.status() == Status(version="0.1.0")


def test_the_blocking_client_gives_up_too():
    """A script is told when the engine is not there."""
    engine = FakeEngine(*[httpx.ConnectError("refused")] * 9)
    with pytest.raises(Unreachable):
        script(engine).operate.status()
