"""A cause is dismissed until it comes again, with a real engine: off the list and out of the count,
for who sees the same runs, over restarts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.e2e.harness import (
    Answer,
    Call,
    Client,
    application,
    client,
    is_problem,
    restart,
    running,
)
from tests.e2e.tenants import a_world

ONCE = {"count": 0}


async def bad(call: Call) -> Answer:
    return Answer(402, b'{"error":"no funds"}')


async def ill(call: Call) -> Answer:
    return Answer(500, b'{"error":"ill"}')


async def told(shop: Client) -> tuple[list[str], int, int, int]:
    """The patterns of the causes, how many runs need a person for them, what is dismissed, and
    what the status counts."""
    found = await shop.read("/causes")
    patterns = [it["pattern"] for it in found["causes"]]
    stuck = (await shop.read("/status"))["stuckCount"]
    assert (found["runs"], found["dismissedCauses"] > 0) == (stuck, found["dismissedRuns"] > 0)
    return patterns, found["runs"], found["dismissedCauses"], found["dismissedRuns"]


async def test_a_dismissed_cause_is_hidden_until_it_comes_again(tmp_path: Path) -> None:
    """Over a restart too; then it is told with who dismissed it and why. Its runs stay
    as they are."""
    with running(tmp_path) as engine:
        async with application(bad=bad, ill=ill) as app, client(engine.url) as shop:
            for n in (1, 2):
                await shop.post(app.at("bad"), f"b{n}", n, retry=ONCE)
            await shop.post(app.at("ill"), "i1", 1, retry=ONCE)
            first, _ = (await shop.read("/causes"))["causes"]
            path = f"/api/v1/causes/{first['cause']}"
            done = await shop.http.post(f"{path}/dismiss", json={"reason": "ticket 4711"})
            assert (done.status_code, done.json()["cameAgain"]) == (200, False)
            assert await told(shop) == (["ill"], 1, 1, 2)
            every = (await shop.read("/causes?dismissed=true"))["causes"]
            assert [it.get("dismissal") is not None for it in every] == [True, False]
            assert (await shop.read(f"/runs?q=is:stuck cause:{first['cause']}"))["total"] == 2
            engine.kill()
            again = await restart(engine, tmp_path)
            try:
                assert await told(shop) == (["ill"], 1, 1, 2)
                await shop.post(app.at("bad"), "b3", 3, retry=ONCE)
                assert await told(shop) == (["no funds", "ill"], 4, 0, 0)
                (came, _) = (await shop.read("/causes"))["causes"]
                assert came["dismissal"]["cameAgain"]
                assert came["dismissal"]["reason"] == "ticket 4711"
                assert came["dismissal"]["actor"].startswith("http:")
                await check_put_back(shop, path)
            finally:
                again.kill()


async def check_put_back(shop: Client, path: str) -> None:
    """What is put back is as if it had never been dismissed."""
    await shop.http.post(f"{path}/dismiss", json={"reason": "still"})
    assert (await told(shop))[0] == ["ill"]
    assert (await shop.http.post(f"{path}/undismiss", json={})).json()["reason"] == "still"
    assert await told(shop) == (["no funds", "ill"], 4, 0, 0)
    assert all(it["dismissal"] is None for it in (await shop.read("/causes"))["causes"])
    is_problem(await shop.http.post(f"{path}/undismiss", json={}), 404, "not-found")


async def test_what_came_after_it_was_seen_is_not_dismissed_with_it(tmp_path: Path) -> None:
    """`lastAt` says what was seen; one that is still to come hides nothing that comes."""
    with running(tmp_path) as engine:
        async with application(bad=bad) as app, client(engine.url) as shop:

            async def dismiss(**members: Any) -> bool:
                asked = {"reason": "so", **members}
                answer = await shop.http.post(f"/api/v1/causes/{id}/dismiss", json=asked)
                return bool(answer.json()["cameAgain"])

            await shop.post(app.at("bad"), "1", 1, retry=ONCE)
            (seen,) = (await shop.read("/causes"))["causes"]
            id = seen["cause"]
            await shop.post(app.at("bad"), "2", 2, retry=ONCE)
            assert await dismiss(lastAt=seen["lastAt"])
            assert (await told(shop))[1:] == (2, 0, 0)
            (now,) = (await shop.read("/causes"))["causes"]
            assert not await dismiss(lastAt=now["lastAt"])
            assert not await dismiss(lastAt="2999-01-01T00:00:00Z")
            await shop.post(app.at("bad"), "3", 3, retry=ONCE)
            assert (await told(shop))[1:] == (3, 0, 0)
            bad_time = {"reason": "so", "lastAt": "yesterday"}
            answer = await shop.http.post(f"/api/v1/causes/{id}/dismiss", json=bad_time)
            is_problem(answer, 400, "invalid-request")
            unknown = await shop.http.post("/api/v1/causes/00000000/dismiss", json={"reason": "so"})
            is_problem(unknown, 404, "not-found")


async def test_one_clients_people_dismiss_for_themselves(tmp_path: Path) -> None:
    """Neither do others' dismissals hide what they have to see to, nor theirs another's."""
    async with a_world(tmp_path) as world:
        person = world.alphas["operator"]
        causes = (await person.http.get("/api/v1/causes")).json()["causes"]
        assert causes
        every = (await world.admin.operate.causes()).causes
        for each in every:
            await world.admin.operate.dismiss_cause(each.cause, "of all")
        assert (await world.admin.operate.causes()).causes == ()
        assert (await world.admin.operate.status()).stuck_count == 0
        assert (await person.http.get("/api/v1/causes")).json()["causes"] == causes
        assert (await person.http.get("/api/v1/status")).json()["stuckCount"] > 0
        for each in every:
            await world.admin.operate.undismiss_cause(each.cause)
        for each in causes:
            path = f"/api/v1/causes/{each['cause']}/dismiss"
            assert (await person.http.post(path, json={"reason": "ours"})).status_code == 200
        assert (await person.http.get("/api/v1/causes")).json()["causes"] == []
        assert (await person.http.get("/api/v1/status")).json()["stuckCount"] == 0
        told = (await world.admin.operate.causes()).causes
        assert [it.dismissal for it in told] == [None] * len(every)


async def test_pages_tell_of_dismissals(tmp_path: Path) -> None:
    """The home page and what is stuck, as the list of causes does; nothing in one does anything."""
    with running(tmp_path) as engine:
        async with application(bad=bad) as app, client(engine.url) as shop:
            await shop.post(app.at("bad"), "b1", 1, retry=ONCE)
            (cause,) = (await shop.read("/causes"))["causes"]
            path = f"/api/v1/causes/{cause['cause']}"
            await shop.http.post(f"{path}/dismiss", json={"reason": "<b>known"})
            for page in ("/ui", "/ui/stuck"):
                text = (await shop.get(page)).text
                assert "Nothing needs a person" in text
                assert "1 run of 1 cause is dismissed until it comes again" in text
                assert "402 no funds" not in text.partition("h-runs")[0]
            listed = (await shop.get("/ui/stuck?dismissed=true")).text
            assert "Nothing needs a person" in listed
            assert "402 no funds" in listed
            assert re.search(r"dismissed \S+ ago by http:\S+: &lt;b&gt;known", listed)
            assert (await shop.get("/ui/stuck?dismissed=so")).status_code == 400
            await shop.post(app.at("bad"), "b2", 2, retry=ONCE)
            text = (await shop.get("/ui/stuck")).text
            assert "2 runs need a person, for 1 cause" in text
            assert re.search(
                r"came again after http:\S+ dismissed it \S+ ago: &lt;b&gt;known", text
            )
