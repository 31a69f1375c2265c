"""What endpoints answer in the real world, and what is posted there: odd, and yet right."""

from __future__ import annotations

import json

import httpx
import pytest

from engine.front.api.outcome import as_recorded_before
from engine.store.journal import BodyLine
from tests.e2e.harness import Answer, Call, Client, application, fine, is_problem

HALF = rb'{"note":"Thanks \ud83d", "n":1.50}'
SOON = {"count": 3, "backOff": 0}


async def test_json_with_half_a_character_is_json(shop: Client) -> None:
    """The bytes are the endpoint's, also from the record and for who reads the body."""

    async def half(call: Call) -> Answer:
        return Answer(body=HALF)

    async with application(index=half) as app:
        answer = await shop.post(app.at("index"))
        again = await shop.post(app.at("index"))
        assert answer.status_code == 200
        assert b'"response":' + HALF + b"," in answer.content
        assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
        kept = await shop.get(f"/api/v1/steps/{answer.json()['id']}/response")
        assert kept.content == HALF


@pytest.mark.parametrize("digits", ["9" * 5_000, "1e" + "9" * 5_000, "0." + "1" * 100_000])
async def test_numbers_of_any_length_are_json(shop: Client, digits: str) -> None:
    """Posted and answered: the bytes go through, and another spelling is the same payload."""

    async def echo(call: Call) -> Answer:
        return Answer(body=call.body)

    async def post(payload: str) -> httpx.Response:
        body = f'{{"workflowName":"w","stepInvokeUrl":"{app.at("index")}",'
        body += f'"idempotencyKey":"{digits[:3]}",'
        return await shop.http.post(
            "/shop", content=body + f'"payload":[{payload}]}}', headers=head
        )

    head = {"Content-Type": "application/json"}
    async with application(index=echo) as app:
        answer = await post(digits)
        again = await post(digits.replace("1e", "1.0E+") if "e" in digits else f"{digits}e0")
        other = await post(digits + "1")
    assert answer.status_code == 200, answer.text
    assert f'"payload":[{digits}]'.encode() in answer.content
    assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
    is_problem(other, 422, "idempotency-key-reused")


BAD: dict[str, tuple[bytes, str]] = {
    "NaN": (b'{"ratio": NaN}', "not JSON at byte 10 (invalid character)"),
    "Infinity": (b'{"ratio": Infinity}', "not JSON at byte 10 (invalid character)"),
    "two documents": (b"{}\n{}", "not JSON at byte 3 (trailing characters)"),
    "white space": (b" \n", "not JSON at byte 2 (it ends too early)"),
    "byte order mark": (b"\xef\xbb\xbf{}", "not JSON at byte 0 (invalid character)"),
    "a page": (b"<html>", "not JSON at byte 0 (invalid character)"),
    "Latin-1": (b'"\xfc"', "not UTF-8 at byte 1"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_says_json_and_is_none_is_tried_again(shop: Client, name: str) -> None:
    """A failed attempt that says where; the next answer counts. What came is there to be read."""
    body, reason = BAD[name]

    async def second_time(call: Call) -> Answer:
        return Answer(body=body if call.attempt == 1 else b"[]")

    async with application(index=second_time) as app:
        answer = (await shop.post(app.at("index"), retry=SOON)).json()
        step = await shop.read(f"/steps/{answer['id']}")
        kept = await shop.get(f"/api/v1/steps/{answer['id']}/attempts/1/response")
    assert (answer["attempts"], answer["response"]) == (2, [])
    first = step["attemptRows"][0]
    assert first["httpStatus"] == 200
    assert first["error"] == f"bad-answer: {reason}, answered by 127.0.0.1:{app.port}"
    assert kept.content == body


async def test_bad_json_to_the_end(shop: Client) -> None:
    """With its retries used up the step has failed, and says why; `Atomic-No-Retry` holds."""

    async def never(call: Call) -> Answer:
        headers = {"Atomic-No-Retry": "true"} if call.name == "stop" else {}
        return Answer(body=b"nan", headers=headers)

    async with application(index=never, stop=never) as app:
        retry = {"count": 1, "backOff": 0}
        failed = await shop.post(app.at("index"), "a", retry=retry)
        stopped = await shop.post(app.at("stop"), "b", retry=retry)
    for answer, attempts in ((failed, 2), (stopped, 1)):
        document = is_problem(answer, 424, "step-failed")
        assert document["attempts"] == attempts
        assert document["lastAttempt"]["error"].startswith("bad-answer: not JSON at byte 1 ")


@pytest.mark.parametrize(
    "headers", [{}, {"Content-Encoding": "gzip"}, {"Content-Type": "application/hal+json"}]
)
async def test_nothing_is_null(shop: Client, headers: dict[str, str]) -> None:
    """An empty body is empty, whatever its head says of it."""

    async def empty(call: Call) -> Answer:
        return Answer(body=b"", headers=headers)

    async with application(index=empty) as app:
        answer = (await shop.post(app.at("index"), str(headers))).json()
    assert (answer["status"], answer["response"], answer["attempts"]) == ("completed", None, 1)


async def test_a_failure_of_any_size_is_tried_again(shop: Client) -> None:
    """A page of 1.1 MB with a 503, or a compressed one, is an ordinary failed attempt."""

    async def third_time(call: Call) -> Answer:
        if call.attempt == 1:
            return Answer(503, b"x" * 1_100_000, {"Retry-After": "0"})
        if call.attempt == 2:
            return Answer(500, b"\x1f\x8b" * 10, {"Content-Encoding": "gzip"})
        return Answer()

    async with application(index=third_time) as app:
        answer = (await shop.post(app.at("index"), retry=SOON)).json()
        step = await shop.read(f"/steps/{answer['id']}")
        page = await shop.get(f"/api/v1/steps/{answer['id']}/attempts/1/response")
    assert (answer["status"], answer["attempts"]) == ("completed", 3)
    errors = [row.get("error") for row in step["attemptRows"]]
    assert errors == ["http-status: answered 503", "http-status: answered 500", None]
    assert page.content == b"x" * 16_384
    assert page.headers["atomic-full-size"] == "1100000"


async def test_payloads_with_half_a_character(shop: Client) -> None:
    """Taken, stored and sent on as they came; another spelling of one is the same payload."""
    fields = {"workflowName": "w", "idempotencyKey": "k", "stepName": "Größe"}

    async def post(payload: bytes) -> tuple[int, bytes]:
        start = json.dumps(fields | {"stepInvokeUrl": app.at("index")})[:-1].encode()
        answer = await shop.http.post(
            f"/{shop.name}",
            content=start + b',"payload":' + payload + b"}",
            headers={"Content-Type": "application/json"},
        )
        return answer.status_code, answer.content

    async with application(index=fine) as app:
        status, first = await post(HALF)
        assert status == 200, first
        assert app.calls[0].body == b'{"idempotencyKey":"k","payload":' + HALF + b"}"
        kept = await shop.get(f"/api/v1/steps/{json.loads(first)['id']}/payload")
        assert kept.content == HALF
        assert await post(rb'{"n": 1.5, "note": "Thanks \uD83D"}') == (200, first)
        assert (await post(rb'{"note":"Thanks \ud83e", "n":1.50}'))[0] == 422
        assert len(app.calls) == 1


async def test_half_a_character_in_a_reason_is_refused_in_true_words(shop: Client) -> None:
    """What people are to read cannot hold it."""
    answer = await shop.http.post(
        "/api/v1/runs/none/actions",
        content=rb'{"action":"retry","reason":"\ud83d"}',
        headers={"Content-Type": "application/json"},
    )
    document = is_problem(answer, 400, "invalid-request")
    assert r"`\ud83d` is half of a surrogate pair" in document["detail"]


@pytest.mark.parametrize(
    ("data", "content_type", "told"),
    [
        (b'{"a":1}', "application/json", b'{"a":1}'),
        (HALF, "application/json", json.dumps(HALF.decode()).encode()),
        (b"NaN", "application/json", b'"NaN"'),
        (b"text", "text/plain", b'"text"'),
    ],
)
def test_outcomes_of_before_are_told_as_they_were(
    data: bytes, content_type: str, told: bytes
) -> None:
    """An engine that had told a string for it goes on to: byte for byte is the promise."""
    assert json.loads(bytes(as_recorded_before(data, content_type))) == json.loads(told)


def test_bodies_of_before_are_not_known_to_be_json() -> None:
    """Entries that say nothing of it are read."""
    import msgspec

    old = b'["S",true,1,"application/json",2,2,false]'
    assert msgspec.json.decode(old, type=BodyLine).json is False
