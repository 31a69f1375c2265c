"""Code that changes under an open run: rows of the table in docs/how-to/change-a-workflow.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.e2e.harness import Answer, Application, Call, Client, application, fine

AGAIN = {"count": 3, "backOff": 1, "jitter": 0}
Post = Callable[..., Awaitable[httpx.Response]]
Code = Callable[[Post], Awaitable[None]]


async def deployed(shop: Client, old: Code, new: Code) -> Application:
    """A run whose function is `old` code when it is first called, which then fails, and `new` code
    from then on. Returns its application when the run has completed."""

    async def workflow(call: Call) -> Answer:
        async def post(name: str, payload: object = 1, **members: Any) -> httpx.Response:
            url, token = app.at(name), call.parent_token
            answer = await shop.post(url, call.key, payload, parent_token=token, **members)
            assert answer.status_code == 200, answer.text
            return answer

        if call.attempt == 1:
            await old(post)
            return Answer(500, b'{"error": "cut by the deploy"}')
        await new(post)
        return Answer(200, b'"done"')

    async with application(index=workflow, a=fine, b=fine, c=fine) as app:
        answer = await shop.post(app.at("index"), retry=AGAIN)
        assert answer.json()["response"] == "done", answer.text
        return app


def calls(app: Application) -> list[str]:
    """The steps that were called, in order."""
    return [call.name for call in app.calls if call.name != "index"]


async def two_steps(post: Post) -> None:
    """The old code of most rows."""
    await post("a")
    await post("b")


async def test_a_step_that_is_inserted_runs(shop: Client) -> None:
    """Also before those that are recorded, which are not called again."""

    async def new(post: Post) -> None:
        await post("c")
        await two_steps(post)

    assert calls(await deployed(shop, two_steps, new)) == ["a", "b", "c"]


async def test_a_step_that_is_removed_is_not_asked_for(shop: Client) -> None:
    """Its record is no error."""

    async def new(post: Post) -> None:
        await post("b")

    assert calls(await deployed(shop, two_steps, new)) == ["a", "b"]


async def test_the_order_does_not_matter(shop: Client) -> None:
    """Steps are found by their names."""

    async def new(post: Post) -> None:
        await post("b")
        await post("a")

    assert calls(await deployed(shop, two_steps, new)) == ["a", "b"]


async def test_another_url_or_step_key_is_another_step(shop: Client) -> None:
    """It runs; a `stepKey` that stays keeps the step when its URL changes."""

    async def old(post: Post) -> None:
        await post("a")
        await post("b", stepKey="charge")

    async def new(post: Post) -> None:
        await post("c")  # was at /a
        kept = await post("a", stepKey="charge")  # was at /b
        assert kept.json()["response"] == {"done": "b"}
        await post("b", stepKey="another")

    assert calls(await deployed(shop, old, new)) == ["a", "b", "c", "b"]


async def test_another_payload_is_answered_from_the_record(shop: Client) -> None:
    """With a header that says so; the step is not called with the new one."""
    told: list[str | None] = []

    async def new(post: Post) -> None:
        told.append((await post("a", 2)).headers.get("Atomic-Payload-Differs"))
        told.append((await post("b")).headers.get("Atomic-Payload-Differs"))

    assert calls(await deployed(shop, two_steps, new)) == ["a", "b"]
    assert told == ["true", None]


async def test_other_options_do_not_change_a_recorded_step(shop: Client) -> None:
    """A recorded step goes by those it was recorded with, and there is no conflict."""

    async def new(post: Post) -> None:
        await post("a", retry={"count": 7}, attemptTimeout=5)
        await post("b")

    assert calls(await deployed(shop, two_steps, new)) == ["a", "b"]
