"""One step called many times: effects once, whatever happens to the calls."""

import asyncio
from functools import partial
from pathlib import Path

import httpx
import pytest

from demo_app.mail import message_id
from demo_app.scenario import draw_faults
from demo_app.smtp import messages
from tests.demo.harness import Demo, run_demo
from tests.on_asyncio import on_asyncio

CREATE = "/workflows/userCreation/steps/createUser"
EMAIL = "/workflows/userCreation/steps/sendEmail"
ANALYTICS = "/workflows/userCreation/steps/sendAnalytics"
USER = {"userId": 1, "userName": "ada", "email": "ada@example.com"}


async def wait_calls(demo: Demo, calls: int) -> None:
    """Until the application has counted so many calls of its only step."""
    async with asyncio.timeout(10):
        while not any(row["calls"] >= calls for row in (await demo.effects())["effects"]):
            await asyncio.sleep(0)


@pytest.mark.parametrize("path", [CREATE, EMAIL, ANALYTICS])
@on_asyncio
async def test_twenty_calls_at_once_one_effect(tmp_path: Path, path: str) -> None:
    """Twenty concurrent calls with one key: one effect, twenty equal answers."""
    async with run_demo(tmp_path) as demo:
        answers = await asyncio.gather(*(demo.call(path, USER) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        row = await demo.row()
        assert (row["calls"], row["effects"], row["state"]) == (20, 1, "done")
        assert row["response"] == answers[0].json()
        assert sum(demo.mails().values()) == (1 if path == EMAIL else 0)


@on_asyncio
async def test_other_key_is_another_effect(tmp_path: Path) -> None:
    """The step's own key decides: a second key has a second effect."""
    async with run_demo(tmp_path) as demo:
        one = await demo.call(CREATE, USER, own_key="a")
        two = await demo.call(CREATE, USER, own_key="b")
        assert one.json()["userId"] != two.json()["userId"]
        assert [row["effects"] for row in (await demo.effects())["effects"]] == [1, 1]


@on_asyncio
async def test_mail_is_kept_with_its_key(tmp_path: Path) -> None:
    """The mail arrives in the Maildir, its Message-ID made of the step's key."""
    async with run_demo(tmp_path) as demo:
        await demo.call(EMAIL, USER, own_key='odd "key"'.replace('"', '\\"'))
        (message,) = messages(demo.maildir)
        assert message["Message-ID"] == message_id('odd "key"')
        assert message["To"] == "ada@example.com"
        assert "Hello ada" in str(message.get_payload())


@pytest.mark.parametrize("path", [CREATE, EMAIL])
@on_asyncio
async def test_drop_after_the_effect(tmp_path: Path, path: str) -> None:
    """The effect is done, the caller sees a lost connection; the next call gets the record."""
    async with run_demo(tmp_path) as demo:
        await demo.plan(path.rpartition("/")[2], "drop", "drop")
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
                await demo.call(path, USER)
            assert (await demo.row())["effects"] == 1
        assert (await demo.call(path, USER)).status_code == 200
        row = await demo.row()
        assert (row["calls"], row["effects"]) == (3, 1)
        assert sum(demo.mails().values()) == (1 if path == EMAIL else 0)


@on_asyncio
async def test_drop_leaves_other_connections_alone(tmp_path: Path) -> None:
    """Only the connection of the faulty call is cut; one that is being answered goes on."""
    async with run_demo(tmp_path) as demo:
        await demo.plan("createUser", "drop", key="bad")
        good = [demo.call(CREATE, USER, own_key=f"own-{n}") for n in range(5)]
        bad = demo.call(CREATE, USER, own_key="own-bad", key="bad")
        *answers, lost = await asyncio.gather(*good, bad, return_exceptions=True)
        assert isinstance(lost, httpx.RemoteProtocolError)
        assert [a.status_code for a in answers if isinstance(a, httpx.Response)] == [200] * 5


@on_asyncio
async def test_hang_never_answers_and_has_no_effect(tmp_path: Path) -> None:
    """The call hangs until its caller leaves; the next one is answered."""
    async with run_demo(tmp_path) as demo:
        await demo.plan("createUser", "hang")
        hanging = asyncio.create_task(demo.call(CREATE, USER))
        await wait_calls(demo, 1)
        assert not hanging.done()
        hanging.cancel()
        assert (await demo.row())["effects"] == 0
        assert (await demo.call(CREATE, USER)).status_code == 200
        assert (await demo.row())["effects"] == 1


@on_asyncio
async def test_faults_are_used_one_by_one(tmp_path: Path) -> None:
    """404, 500, Retry-After, slow, then nothing: in the planned order, effects only at the end."""
    async with run_demo(tmp_path) as demo:
        await demo.plan("createUser", "404", "500", "retry-after:2", "slow:300")
        answers = [await demo.call(CREATE, USER) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [404, 500, 503, 200, 200]
        assert answers[2].headers["Retry-After"] == "2"
        assert demo.slept_s == [0.3]
        (plan,) = (await demo.http.get(f"{demo.app_url}/faults")).json()["faults"]
        assert plan["used"] == 4
        assert (await demo.row())["effects"] == 1


@on_asyncio
async def test_faults_survive_a_restart(tmp_path: Path) -> None:
    """What is used stays used when the application starts again on its data."""
    async with run_demo(tmp_path) as demo:
        await demo.plan("createUser", "404", "500")
        assert (await demo.call(CREATE, USER)).status_code == 404
    async with run_demo(tmp_path) as demo:
        assert (await demo.call(CREATE, USER)).status_code == 500
        assert (await demo.call(CREATE, USER)).status_code == 200
        assert (await demo.row())["calls"] == 3


@pytest.mark.parametrize("fault", ["crash", "slow", "slow:-1", "200", "999", "retry-after:9999999"])
@on_asyncio
async def test_faults_that_cannot_be_are_refused(tmp_path: Path, fault: str) -> None:
    """Unknown faults are refused by name, and so is a crash of an embedded application."""
    async with run_demo(tmp_path) as demo:
        body = {"key": "k", "step": "createUser", "faults": [fault]}
        answer = await demo.http.post(f"{demo.app_url}/faults", json=body)
        assert answer.status_code == 400
        assert fault.partition(":")[0] in answer.json()["error"]


@on_asyncio
async def test_call_without_its_header_is_refused(tmp_path: Path) -> None:
    """No Idempotency-Key, no effect; and the engine is told not to try again."""
    async with run_demo(tmp_path) as demo:
        body = {"idempotencyKey": "run-1", "payload": USER}
        answer = await demo.http.post(f"{demo.app_url}{CREATE}", json=body)
        assert answer.status_code == 400
        assert answer.headers["Atomic-No-Retry"] == "true"
        assert (await demo.effects())["effects"] == []


@on_asyncio
async def test_caller_that_leaves_does_not_stop_the_mail(tmp_path: Path) -> None:
    """A mail being sent when the caller hangs up is sent and recorded, once."""
    async with run_demo(tmp_path) as demo:
        leaving = asyncio.create_task(demo.call(EMAIL, USER))
        await wait_calls(demo, 1)
        leaving.cancel()
        assert (await demo.call(EMAIL, USER)).status_code == 200
        assert (await demo.row())["effects"] == 1
        assert list(demo.mails().values()) == [1]


@on_asyncio
async def test_seeded_faults_without_a_plan(tmp_path: Path) -> None:
    """An application started with a seed draws the same faults that the scenario names."""
    keys = (f"k{n}" for n in range(1000))
    key = next(k for k in keys if draw_faults(7, k, "createUser") == ["500", "500"])
    async with run_demo(tmp_path, draw=partial(draw_faults, 7)) as demo:
        answers = [await demo.call(CREATE, USER, key=key) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [500, 500, 200]
