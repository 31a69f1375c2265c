"""What is the matter is said by the run itself, from the first attempt on. `protocol.md` §3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.harness import Answer, Call, Client, application, eventually_async, fine

SLOW = {"count": 20, "backOff": 60_000}


async def error_of(shop: Client, run_id: str) -> str:
    """What the run's first attempt came to."""
    found: dict[str, Any] = {}

    async def has_ended() -> bool:
        found.update((await shop.get(f"/api/v1/steps/{run_id}")).json())
        return bool(found["status"] == "backing-off")

    await eventually_async(has_ended)
    return str(found["error"])


@pytest.mark.parametrize(
    ("client", "members", "said"),
    [
        ("bank", {}, "is of client {shop}, and this post is to client bank"),
        ("", {"stepInvokeUrl": "http://a b/"}, "its post to /{shop} was refused: The URL must be"),
        ("", {"payloads": 1}, "The member `payloads` is not known"),
        ("", {"stepInvokeUrl": None}, "`stepInvokeUrl`"),
        ("api", {}, "its post to /api was refused: The name 'api' is reserved"),
    ],
)
@pytest.mark.parametrize("parent_token", [True, False])
async def test_the_run_says_why_a_post_of_its_function_was_refused(
    shop: Client, client: str, members: dict[str, Any], said: str, parent_token: bool
) -> None:
    """Whatever the function makes of it; without parent token where it is known whose it was."""

    async def workflow(call: Call) -> Answer:
        body = {"workflowName": "w", "stepInvokeUrl": app.at("a"), "idempotencyKey": "k", **members}
        headers = {"Atomic-Parent": call.parent_token} if parent_token else {}
        path = f"/{client or shop.name}"
        answer = await shop.http.post(path, json=body, headers=headers)
        assert answer.status_code == 400, answer.text
        return Answer(500)

    async with application(w=workflow, a=fine) as app:
        posted = await shop.post(app.at("w"), retry=SLOW, prefer="respond-async")
        if not parent_token and (client or members.get("stepInvokeUrl", "") is None):
            return  # nothing tells whose it was
        error = await error_of(shop, posted.json()["id"])
        assert error.startswith("http-status: answered 500; its post to /")
        assert said.format(shop=shop.name) in error


async def test_an_outsiders_refusal_is_not_the_functions(shop: Client) -> None:
    """Somebody posts the root with another payload, or wrongly, while its attempt is in flight."""

    async def workflow(call: Call) -> Answer:
        wrong: tuple[dict[str, Any], ...] = ({"payload": 2}, {"payloads": 1})
        for members in wrong:
            answer = await shop.post(app.at("w"), **members)
            assert answer.status_code in (400, 422)
        return Answer(500)

    async with application(w=workflow) as app:
        posted = await shop.post(app.at("w"), payload=1, retry=SLOW, prefer="respond-async")
        assert await error_of(shop, posted.json()["id"]) == "http-status: answered 500"


async def test_a_redirect_says_where_it_leads(shop: Client) -> None:
    """It is not followed; without its query, which may hold secrets."""

    async def moved(call: Call) -> Answer:
        return Answer(308, headers={"Location": "/v2/order?token=x"})

    async with application(order=moved) as app:
        posted = await shop.post(app.at("order"), retry=SLOW, prefer="respond-async")
        error = await error_of(shop, posted.json()["id"])
    assert error == (
        "http-status: answered 308 with Location: /v2/order (redirects are not followed)"
    )


async def test_a_limit_is_named(shop: Client) -> None:
    """`would-deadlock` too: what the core refuses is told like what the front does."""

    async def workflow(call: Call) -> Answer:
        answer = await shop.post(app.at("w"), parent_token=call.parent_token)
        assert answer.status_code == 409
        return Answer(500)

    async with application(w=workflow) as app:
        posted = await shop.post(app.at("w"), retry=SLOW, prefer="respond-async")
        error = await error_of(shop, posted.json()["id"])
    assert "was refused: A step posted itself or a step above it" in error


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "said"),
    [
        ("shop", {}, "x" * 1_100_000, 413, "its post to /{} was refused: the body is longer than"),
        ("shop", {"Content-Type": "text/plain"}, "{}", 415, "`Content-Type: application/json`"),
        ("shop", {"X-Long": "x" * 20_000}, "{}", 431, "was refused: the head is longer than"),
        ("shop", {"Host": "elsewhere"}, "{}", 421, "does not answer to the name"),
        ("shop/x", {}, "{}", 404, "Nothing is at this address"),
    ],
)
async def test_what_is_refused_before_it_is_read_is_told(
    shop: Client, path: str, headers: dict[str, str], body: str, status: int, said: str
) -> None:
    """By the parent token in its header, which is all that is known of it."""

    async def workflow(call: Call) -> Answer:
        head = {"Atomic-Parent": call.parent_token, "Content-Type": "application/json", **headers}
        url = f"/{path.replace('shop', shop.name)}"
        answer = await shop.http.post(url, content=body.encode(), headers=head)
        assert answer.status_code == status, answer.text
        return Answer(500)

    async with application(w=workflow) as app:
        posted = await shop.post(app.at("w"), retry=SLOW, prefer="respond-async")
        error = await error_of(shop, posted.json()["id"])
    assert error.startswith("http-status: answered 500; its post to /")
    assert said.format(shop.name) in error


async def test_an_invocation_names_its_client(shop: Client) -> None:
    """The path to which its function posts its steps."""
    async with application(w=fine) as app:
        await shop.post(app.at("w"))
        assert app.calls[0].headers["atomic-client"] == shop.name
