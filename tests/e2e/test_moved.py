"""An endpoint moves while its run is open: one key stays one run. `protocol.md` §2, §5."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.harness import Answer, Call, Client, application, eventually_async, is_problem

SLOW = {"count": 20, "backOff": 60_000}


async def away(call: Call) -> Answer:
    """What a proxy answers during a deploy."""
    return Answer(503)


async def backing_off(shop: Client, posted: httpx.Response) -> None:
    """Return when the run's first attempt has ended."""

    async def has_ended() -> bool:
        step = (await shop.get(f"/api/v1/steps/{posted.json()['id']}")).json()
        return bool(step["status"] == "backing-off")

    await eventually_async(has_ended)


@pytest.mark.parametrize("moved", ["v2/order", "v1/order/", "v1/order?v=2", "v1/ordre"])
async def test_a_moved_workflow_is_one_run(shop: Client, moved: str) -> None:
    """A deploy, another slash or query, a mended typo: one key is never two pieces of work."""
    async with application(order=away) as app:
        old, new = f"{app.url}/v1/order", f"{app.url}/{moved}"
        first = await shop.post(old, retry=SLOW, prefer="respond-async")
        await backing_off(shop, first)
        document = is_problem(await shop.post(new), 422, "target-moved")
        assert (document["recorded"], document["posted"]) == (old, new)
        assert old in document["detail"]
        assert new in document["detail"]
        assert len(app.calls) == 1


async def test_a_workflow_that_was_never_reached(shop: Client) -> None:
    """Nobody listens at the recorded URL: none of its functions can have posted a step."""
    async with application(order=away) as app:
        old, new = "http://127.0.0.1:1/order", f"{app.url}/v2/order"
        first = await shop.post(old, retry=SLOW, prefer="respond-async")
        await backing_off(shop, first)
        is_problem(await shop.post(new), 422, "target-moved")
        assert not app.calls


async def move(shop: Client, run_id: str, start: str, to: str, **members: object) -> httpx.Response:
    """The action `retarget`."""
    body = {"action": "retarget", "from": start, "to": to, **members}
    return await shop.http.post(f"/api/v1/runs/{run_id}/actions", json=body)


async def test_a_moved_run_goes_on_under_the_new_url(shop: Client) -> None:
    """Its steps are found by both, called at the new one, and done once; a dry run tells which."""
    done: dict[str, list[str]] = {}

    async def work(call: Call) -> Answer:
        done.setdefault(call.own_key, []).append(call.path)
        return Answer(503 if call.path == "/v1/second" else 200)

    async def order(call: Call) -> Answer:
        base = f"{app.url}/v1"  # old code, whoever calls it where
        for name in ("first", "second"):
            answer = await shop.post(f"{base}/{name}", parent_token=call.parent_token, retry=SLOW)
            if answer.status_code != 200:
                return Answer(500)
        return Answer(201)

    async with application(order=order, first=work, second=work) as app:
        old, new = f"{app.url}/v1", f"{app.url}/v2"
        posted = await shop.post(f"{old}/order", retry=SLOW, prefer="respond-async")
        run_id = posted.json()["id"]
        await eventually_async(lambda: has_backing_off(shop, run_id))
        dry = (await move(shop, run_id, old, new, dryRun=True)).json()
        told = [(it["stepName"], it["from"], it["to"]) for it in dry["moved"]]
        names = ("order", "first", "second")
        assert told == [(name, f"{old}/{name}", f"{new}/{name}") for name in names]
        answer = await move(shop, run_id, old, new, reason="a deploy")
        assert (answer.status_code, answer.json()["moved"]) == (202, dry["moved"])
        await shop.http.post(f"/api/v1/runs/{run_id}/actions", json={"action": "retry"})
        outcome = await shop.post(f"{new}/order")
        assert (outcome.status_code, outcome.json()["httpStatus"]) == (200, 201)
        assert outcome.json()["stepInvokeUrl"] == f"{new}/order"
        assert (await shop.post(f"{old}/order")).content == outcome.content
        assert sorted(done.values()) == [["/v1/first"], ["/v1/second", "/v2/second"]]
        await move(shop, run_id, new, old)
        tree = (await shop.get(f"/api/v1/runs/{run_id}")).json()
        assert [(it["from"], it["to"]) for it in tree["moves"]] == [(old, new), (new, old)]
        assert [it["actor"] for it in tree["moves"]] == ["http:127.0.0.1"] * 2
        assert tree["run"]["submittedAt"] < tree["moves"][0]["at"] < tree["moves"][1]["at"]


async def has_backing_off(shop: Client, run_id: str) -> bool:
    """Whether a step below the root waits for its next attempt."""
    tree = (await shop.get(f"/api/v1/runs/{run_id}")).json()
    return any(step["status"] == "backing-off" for step in tree["steps"][1:])


async def test_what_a_move_is_refused_for(shop: Client) -> None:
    """400 for what is no move, 409 where two would become one or the address may not be called."""
    async with application(order=away) as app:
        posted = await shop.post(f"{app.url}/order", retry=SLOW, prefer="respond-async")
        run_id, url = posted.json()["id"], f"{app.url}/order"
        await backing_off(shop, posted)
        document = is_problem(await move(shop, run_id, "/v1", url), 400, "invalid-request")
        assert document["member"] == "from"
        is_problem(await move(shop, run_id, url, url), 400, "invalid-request")
        step = await move(shop, run_id, url, f"{url}2", step=run_id)
        is_problem(step, 400, "invalid-request")
        paused = {"action": "pause", "from": url}
        answer = await shop.http.post(f"/api/v1/runs/{run_id}/actions", json=paused)
        is_problem(answer, 400, "invalid-request")
        for elsewhere in ("http://192.0.2.1/order", "http://169.254.169.254/order"):
            document = is_problem(await move(shop, run_id, url, elsewhere), 409, "not-possible")
            assert "may not be called" in document["detail"]
            bulk = {"action": "retarget", "q": "is:live", "from": url, "to": elsewhere}
            answer = await shop.http.post("/api/v1/bulk", json={**bulk, "dryRun": True})
            assert is_problem(answer, 409, "not-possible")["detail"] == document["detail"]
        assert (await move(shop, run_id, url, f"{url}2")).status_code == 202
        is_problem(await move(shop, run_id, url, f"{url}2"), 409, "not-possible")
