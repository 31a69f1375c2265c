"""The three workflows from their submission to their effects, through the fake engine."""

from itertools import islice
from pathlib import Path

import httpx
import pytest

from demo_app.promised import compare, counted, promised
from demo_app.scenario import (
    OPTIONS,
    Scenario,
    Submission,
    create_user,
    once,
    place_order,
    send_newsletter,
)
from tests.demo.harness import Demo, run_demo
from tests.on_asyncio import on_asyncio


async def submit(demo: Demo, submission: Submission) -> httpx.Response:
    """Submit straight to the engine."""
    (answer,) = await demo.submit(submission)
    return answer


@on_asyncio
async def test_seed_create_user_for_a_person(tmp_path: Path) -> None:
    """POST /users hangs until the seed's workflow is done; analytics: 404, 404, 404, 200."""
    async with run_demo(tmp_path) as demo:
        (user, *_) = once()
        answer = await demo.http.post(f"{demo.app_url}/users", json=user.front_body())
        assert answer.status_code == 200
        root, *steps = demo.engine.steps
        assert answer.json()["userId"] == root.id
        assert answer.json()["user"]["userName"] == "ada"
        assert [step.name for step in steps] == ["createUser", "sendEmail", "sendAnalytics"]
        assert demo.engine.step("sendAnalytics").statuses == [404, 404, 404, 200]
        assert root.body["stepInvokeUrl"].endswith("/workflows/userCreation/index")
        assert root.body["timeout"] == 8000
        assert steps[0].body["retry"] == OPTIONS["retry"]
        assert counted(await demo.effects(), user.key, demo.mails()) == promised(user)
        events = (await demo.http.get(f"{demo.app_url}/analytics/events")).json()["events"]
        assert [event["event"]["event"] for event in events] == ["userCreated"]


@on_asyncio
async def test_seed_retry_is_the_default(tmp_path: Path) -> None:
    """Without options in the payload the steps are posted with the seed's retry configuration."""
    async with run_demo(tmp_path) as demo:
        body = {"userName": "ada", "email": "ada@example.com"}
        key = {"Idempotency-Key": '"k-1"'}
        answer = await demo.http.post(f"{demo.app_url}/users", json=body, headers=key)
        assert answer.status_code == 200
        assert demo.engine.step("createUser").body["retry"] == {"count": 10, "backOff": 1000}
        assert demo.engine.step("index").body["idempotencyKey"] == "k-1"


@pytest.mark.slow
@on_asyncio
async def test_once_set_keeps_every_promise(tmp_path: Path) -> None:
    """The fixed set, all at once: each ends as expected, nothing is lost and nothing doubled."""
    async with run_demo(tmp_path) as demo:
        submissions = once()
        answers = await demo.submit(*submissions)
        assert [answer.status_code for answer in answers] == [200] * 4
        statuses = [answer.json()["response"].get("status") for answer in answers]
        assert statuses == [None, "confirmed", "declined", "onboarded"]
        rows = compare(submissions, await demo.effects(), demo.mails())
        assert [row for row in rows if row.lost or row.doubled] == []
        assert sum(row.promised for row in rows) == 3 + 9 + 2 + 4
        assert demo.engine.step("bookCarrier/1").statuses == [500, 0, 200]


@pytest.mark.slow
@on_asyncio
async def test_seeded_mix_keeps_every_promise(tmp_path: Path) -> None:
    """Forty submissions of a seed at once, with its faults: nothing lost, nothing doubled."""
    submissions = list(islice(Scenario(10), 40))
    plans = [p for one in submissions for p in one.payload.get("faults", {}).values()]
    assert len(plans) > 10
    # The fake has no attempt time-out that would end a hang.
    assert not any("hang" in plan for plan in plans), "choose a seed without a hang"
    async with run_demo(tmp_path) as demo:
        answers = await demo.submit(*submissions)
        assert {answer.status_code for answer in answers} == {200}
        rows = compare(submissions, await demo.effects(), demo.mails())
        assert [row for row in rows if row.lost or row.doubled] == []


@on_asyncio
async def test_ship_is_a_parent_itself(tmp_path: Path) -> None:
    """Each parcel is a step whose own children are told apart by stepKey."""
    async with run_demo(tmp_path) as demo:
        answer = await submit(demo, place_order("o-1", "lamp", 2, {}))
        assert answer.json()["response"]["status"] == "confirmed"
        assert len(set(answer.json()["response"]["tracking"])) == 2
        for parcel in (1, 2):
            ship = demo.engine.step(f"ship/{parcel}")
            names = [child.name for child in ship.children]
            assert names == [f"bookCarrier/{parcel}", f"printLabel/{parcel}"]


@on_asyncio
async def test_declined_card_releases_stock(tmp_path: Path) -> None:
    """A declined charge is not retried and is compensated; nothing is shipped."""
    async with run_demo(tmp_path) as demo:
        order = place_order("o-1", "lamp", 2, {}, declined=True)
        answer = await submit(demo, order)
        assert answer.json()["response"] == {"status": "declined"}
        assert demo.engine.step("chargeCard").statuses == [402]
        rows = (await demo.effects())["effects"]
        changes = [row["response"]["change"] for row in rows if "Stock" in row["step"]]
        assert changes == [-2, 2]
        assert counted(await demo.effects(), "o-1") == {**promised(order), "chargeCard": 0}


@on_asyncio
async def test_charge_given_up_is_not_compensated(tmp_path: Path) -> None:
    """When nobody knows whether the card was charged, the stock stays and the order fails."""
    async with run_demo(tmp_path) as demo:
        answer = await submit(demo, place_order("o-1", "lamp", 1, {"chargeCard": ["500"] * 11}))
        assert answer.status_code == 424
        names = [step.name for step in demo.engine.steps]
        assert names == ["index", "reserveStock", "chargeCard"]


@on_asyncio
async def test_partner_suspends_while_the_review_is_open(tmp_path: Path) -> None:
    """The workflow does not hang for the slow partner: 503 with Atomic-Suspend, then 200."""
    async with run_demo(tmp_path) as demo:
        submission = once()[3]
        answer = await submit(demo, submission)
        assert answer.json()["response"]["status"] == "onboarded"
        index = demo.engine.step("index")
        assert index.statuses == [503, 200]
        assert index.answers[0].headers["Atomic-Suspend"] == "true"
        assert 0.4 in demo.slept_s
        assert counted(await demo.effects(), submission.key, demo.mails()) == promised(submission)


@on_asyncio
async def test_posts_are_made_again_on_what_says_nothing(tmp_path: Path) -> None:
    """429, 502, 503 and 504 of the engine: the application posts the same again and finishes."""
    async with run_demo(tmp_path) as demo:
        demo.engine.refuse_next = [429, 502, 503, 504]
        user = create_user("u-1", "ada", {})
        answer = await demo.http.post(f"{demo.app_url}/users", json=user.front_body())
        assert answer.status_code == 200
        assert demo.engine.posts[:5] == [demo.engine.posts[0]] * 5
        assert demo.slept_s == [0.1, 0.2, 0.4, 0.8]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"userName": "ada"}, "missing: idempotencyKey, email"),
        ({"idempotencyKey": "k", "userName": "a", "email": "b", "options": 1}, "options must be"),
        (["ada"], "the body must be a JSON object"),
        (
            {
                "idempotencyKey": "k",
                "userName": "a",
                "email": "a@b",
                "faults": {"sendEmail": ["?"]},
            },
            "no fault",
        ),
    ],
)
@on_asyncio
async def test_mistakes_are_told(tmp_path: Path, body: object, said: str) -> None:
    """A bad request is answered 4xx in words; faults that do not exist fail a workflow at once."""
    async with run_demo(tmp_path) as demo:
        answer = await demo.http.post(f"{demo.app_url}/users", json=body)
        told = [answer.text, *(a.text for step in demo.engine.steps for a in step.answers)]
        assert answer.status_code in (400, 424)
        assert any(said in text for text in told)
        assert all(step.statuses == [400] for step in demo.engine.steps)


@on_asyncio
async def test_a_newsletter_goes_to_each_reader_once(tmp_path: Path) -> None:
    """A step for each reader, all posted side by side; some fail first. Asked by a person too."""
    async with run_demo(tmp_path) as demo:
        wide = send_newsletter("wide", 40, 8000, {"sendIssue/7": ["503"], "sendIssue/9": ["drop"]})
        answer = await submit(demo, wide)
        assert answer.json()["response"] == {"status": "sent", "readers": 40}
        assert wide.met_by(answer.json()["response"])
        assert demo.engine.step("sendIssue/7").statuses == [503, 200]
        assert demo.engine.step("sendIssue/9").statuses == [0, 200]
        assert counted(await demo.effects(), "wide") == promised(wide)
        assert 0 < min(demo.slept_s) < max(demo.slept_s) < 8
        small = send_newsletter("small", 2, 0, {})
        answer = await demo.http.post(f"{demo.app_url}/newsletters", json=small.front_body())
        assert answer.json()["readers"] == 2
