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
