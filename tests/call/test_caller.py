"""The caller: what it sends (`docs/reference/protocol.md` §3), and which outcome each answer is."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import msgspec
import pytest
import trio

from engine.call.caller import HttpCaller, parse_retry_after
from engine.call.dial import CalledUrl, Dialler, Gate, NoDescriptor, Wire
from engine.call.transport import LeanTransport
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.ports.caller import EndpointCaller
from tests.call.scripted_server import (
    OK,
    TRACEPARENT,
    Peer,
    Script,
    always_ok,
    answering,
    fixed_resolver,
    invocation,
    lean,
    serving,
)

NOW = 1_795_435_200.0  # Mon, 23 Nov 2026 12:00:00 GMT


def http_caller(transport: LeanTransport) -> EndpointCaller:
    """With a clock that stands still."""
    return HttpCaller(transport, version="1.2.3", utc_now=lambda: NOW)


async def outcome_of(script: Script, *, answer_bytes_max: int = 1_048_576) -> Outcome:
    """One call to a server with this script."""
    async with serving(script) as server, lean(answer_bytes_max=answer_bytes_max) as transport:
        return await http_caller(transport).call(invocation(server.url))


async def test_no_descriptor_for_a_connection_is_said() -> None:
    """The core is told that nobody was called."""

    class Full(Dialler):
        async def connect(self, target: CalledUrl, gate: Gate | None = None) -> Wire:
            await trio.lowlevel.checkpoint()
            raise NoDescriptor("no connection: too many open files") from OSError(24, "too many")

    async with lean(Full()) as transport:
        outcome = await http_caller(transport).call(invocation())
    detail = "127.0.0.1:1: no connection: too many open files"
    why = "no connection: too many open files (errno 24, EMFILE)"
    assert outcome == Unanswered(CallError.NO_DESCRIPTOR, detail, why=why)


def raw_answer(status: int, body: bytes = b"", *lines: bytes) -> bytes:
    """An answer with a length."""
    head = (b"HTTP/1.1 %d Reason" % status, *lines, b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("status", "sent", "told"),
    [
        (301, b"https://app/v2/order", "https://app/v2/order"),
        (302, b"/login?next=%2F&token=secret#top", "/login"),
        (307, b"http://ada:secret@app/x", "http://app/x"),
        (308, b"/caf\xc3\xa9 x", "/caf???x"),
        (303, b"/" + b"x" * 300, "/" + "x" * 199 + "…"),
        (200, b"/elsewhere", None),
        (404, b"/elsewhere", None),
    ],
)
async def test_where_a_redirect_leads(status: int, sent: bytes, told: str | None) -> None:
    """A redirect is not followed, so the run says where it leads: without secrets, in one line."""
    outcome = await outcome_of(answering(raw_answer(status, b"", b"Location: " + sent)))
    assert isinstance(outcome, Answered)
    assert outcome.location == told


async def test_what_is_sent() -> None:
    """Body and headers of protocol §3, each once, and nothing else."""
    async with serving(always_ok) as server, lean() as transport:
        assert await http_caller(transport).call(invocation(server.url)) == Answered(200, b"ok")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == b'{"idempotencyKey":"order \\"7\\"","payload":{"a" : 1.0}}'
    assert json.loads(body) == {"idempotencyKey": 'order "7"', "payload": {"a": 1.0}}
    assert head.decode().split("\r\n")[0] == "POST /hook HTTP/1.1"
    assert sorted(head.decode().split("\r\n")[1:]) == sorted(
        [
            f"Host: 127.0.0.1:{server.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            'Idempotency-Key: "k-\\"1\\"\\\\x"',
            "Atomic-Client: shop",
            "Atomic-Run-Id: 01RUN",
            "Atomic-Step-Id: 01STEP",
            "Atomic-Workflow: createUser",
            "Atomic-Attempt: 3",
            "Atomic-Parent: 01STEP.3",
            f"traceparent: {TRACEPARENT}",
            "Accept-Encoding: identity",
            "User-Agent: atomic/1.2.3",
        ]
    )


@pytest.mark.parametrize(
    "field", ["step_own_key", "run_id", "step_id", "workflow", "parent_token", "traceparent"]
)
@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b", "ä", "a\x7f"])
async def test_no_header_can_be_injected(field: str, value: str) -> None:
    """A value that would end its line, or is not ASCII, is a loud error and nothing is sent."""
    async with serving(always_ok) as server, lean() as transport:
        bad = msgspec.structs.replace(invocation(server.url), **{field: value})
        with pytest.raises(ValueError, match="printable ASCII"):
            await http_caller(transport).call(bad)
    assert server.connections == 0


def faulty(body: bytes, fault: str, content_type: str = "", *, no_retry: bool = False) -> Answered:
    """A 2xx that is no outcome."""
    return Answered(200, body, content_type, no_retry=no_retry, fault=fault)


ANSWERS: dict[str, tuple[bytes, Outcome]] = {
    "created": (
        raw_answer(201, b'{"id":42}', b"Content-Type: application/json; charset=utf-8"),
        Answered(201, b'{"id":42}', "application/json; charset=utf-8", json=True),
    ),
    "empty": (raw_answer(204)[: -len("Content-Length: 0\r\n\r\n")] + b"\r\n", Answered(204)),
    "json that is none": (
        raw_answer(200, b"{nope", b"Content-Type: application/json"),
        faulty(b"{nope", "not JSON at byte 1 (expected '\"')", "application/json"),
    ),
    "json of half a character": (
        raw_answer(200, rb'"\ud83d"', b"Content-Type: application/problem+JSON ;v=1"),
        Answered(200, rb'"\ud83d"', "application/problem+JSON ;v=1", json=True),
    ),
    "json of nothing": (
        raw_answer(200, b"", b"Content-Type: application/json", b"Content-Encoding: gzip"),
        Answered(200, b"", "application/json"),
    ),
    "json that is none, of a failure": (
        raw_answer(500, b"{nope", b"Content-Type: application/json"),
        Answered(500, b"{nope", "application/json"),
    ),
    "json that is none, not to be tried again": (
        raw_answer(200, b"NaN", b"Content-Type: application/json", b"Atomic-No-Retry: true"),
        faulty(b"NaN", "not JSON at byte 0 (invalid character)", "application/json", no_retry=True),
    ),
    "json that is none, and nobody's": (
        raw_answer(200, b"NaN", b"Content-Type: application/json", b"Atomic-Suspend: true"),
        Answered(200, b"NaN", "application/json", suspend=True),
    ),
    "utf-8": (raw_answer(200, "grüß".encode()), Answered(200, "grüß".encode())),
    "not found": (raw_answer(404, b"gone"), Answered(404, b"gone")),
    "not found, not utf-8": (raw_answer(404, b"\xff\xfe"), Answered(404, b"\xff\xfe")),
    "redirect": (
        raw_answer(302, b"", b"Location: http://169.254.169.254/"),
        Answered(302, location="http://169.254.169.254/"),
    ),
    "no retry": (raw_answer(400, b"", b"Atomic-No-Retry: TRUE "), Answered(400, no_retry=True)),
    "no retry: false": (raw_answer(400, b"", b"Atomic-No-Retry: 1"), Answered(400)),
    "suspend": (raw_answer(503, b"", b"atomic-suspend: true"), Answered(503, suspend=True)),
    "retry after": (
        raw_answer(429, b"", b"Retry-After: 7"),
        Answered(429, retry_after_ms=7000),
    ),
    "retry at": (
        raw_answer(503, b"", b"Retry-After: Mon, 23 Nov 2026 12:00:30 GMT"),
        Answered(503, retry_after_ms=30_000),
    ),
    "retry garbage": (raw_answer(503, b"", b"Retry-After: soon"), Answered(503)),
    "surrogate": (
        raw_answer(200, b"ab\xed\xa0\x80"),
        faulty(b"ab\xed\xa0\x80", "not UTF-8 at byte 2"),
    ),
    "latin-1": (
        raw_answer(200, b"gr\xfc\xdf"),
        faulty(b"gr\xfc\xdf", "not UTF-8 at byte 2"),
    ),
    "gzip": (
        raw_answer(200, b"\x1f\x8b", b"Content-Encoding: gzip"),
        faulty(b"\x1f\x8b", "encoded though identity was asked for"),
    ),
    "gzip, not found": (
        raw_answer(404, b"\x1f\x8b", b"Content-Encoding: gzip"),
        Answered(404, b"\x1f\x8b"),
    ),
    "too large": (
        raw_answer(200, b"x" * 1001),
        Unanswered(CallError.ANSWER_TOO_LARGE, "the answer's body is over 1000 bytes", 200),
    ),
    "too large, of a failure": (
        raw_answer(503, b"x" * 1001, b"Retry-After: 7"),
        Answered(503, b"x" * 1000, retry_after_ms=7000, size=1001),
    ),
    "cut short": (
        raw_answer(200, b"x" * 9)[:-1],
        Unanswered(CallError.BAD_ANSWER, "the body was cut short: 8 of 9 bytes", 200),
    ),
    "not HTTP": (
        b"SSH-2.0-OpenSSH_9\r\n",
        Unanswered(CallError.BAD_ANSWER, "this is not HTTP/1.1"),
    ),
    "no answer": (
        b"",
        Unanswered(CallError.CONNECTION_LOST, "the peer closed the connection without an answer"),
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_answers(case: str) -> None:
    """Each answer is the outcome that the contract says; details name the place."""
    raw, expected = ANSWERS[case]
    outcome = await outcome_of(answering(raw), answer_bytes_max=1000)
    if isinstance(outcome, Unanswered):
        place, _, what = outcome.detail.partition(": ")
        assert place.startswith("127.0.0.1:")
        assert outcome.why == what
        outcome = msgspec.structs.replace(outcome, detail=what, why="")
    elif outcome.fault is not None:
        what, _, place = outcome.fault.partition(", answered by ")
        assert place.startswith("127.0.0.1:")
        outcome = msgspec.structs.replace(outcome, fault=what)
    assert outcome == expected


async def test_lost_after_the_request_was_read_on_a_reused_connection() -> None:
    """One call is one request: the loss is reported, and nothing is sent again."""

    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.read_request()

    async with serving(script) as server, lean() as transport:
        caller = http_caller(transport)
        await caller.call(invocation(server.url))
        outcome = await caller.call(invocation(server.url))
    assert isinstance(outcome, Unanswered)
    assert outcome.error is CallError.CONNECTION_LOST
    assert (len(server.requests), server.connections) == (2, 1)


async def unanswered(
    url: str, resolve: Callable[[str], Awaitable[list[str]]] | None = None
) -> tuple[str, str]:
    """The error and the detail of one call."""
    async with lean(Dialler(resolve=resolve)) as transport:
        outcome = await http_caller(transport).call(invocation(url))
    assert isinstance(outcome, Unanswered)
    assert outcome.http_status is None
    return outcome.error, outcome.detail


async def test_no_connection() -> None:
    """Refused, unresolved, not allowed and not a URL: each is its own error, none is raised."""

    async def nobody(host: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        raise OSError("no such name")

    async with serving(always_ok) as server:
        pass
    assert await unanswered(server.url) == (
        CallError.CONNECTION_REFUSED,
        f"127.0.0.1:{server.port}: no connection: connection refused",
    )
    assert await unanswered("http://app.test/", nobody) == (
        CallError.DNS,
        "app.test:80: the name was not resolved: no such name",
    )
    assert await unanswered("http://app.test/", fixed_resolver("127.0.0.1", "10.0.0.9")) == (
        CallError.TARGET_NOT_ALLOWED,
        "app.test:80: the address 10.0.0.9 may not be called",
    )
    assert (await unanswered("http://169.254.169.254/"))[0] is CallError.TARGET_NOT_ALLOWED
    assert (await unanswered("gopher://app/"))[0] is CallError.TARGET_NOT_ALLOWED


async def test_tls_failure() -> None:
    """Plain HTTP on a TLS port is a TLS error."""

    async def script(peer: Peer) -> None:
        await peer.stream.receive_some()
        await peer.stream.send_all(OK)

    async with serving(script, scheme="https") as server:
        error, detail = await unanswered(server.url)
    assert error is CallError.TLS
    assert detail.endswith("TLS failed: wrong version number")


async def test_a_dripping_answer_ends_when_the_caller_cancels() -> None:
    """A byte now and then keeps the call open; cancelling ends it and closes the connection."""
    dripped, closed = trio.Event(), trio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        try:
            for n in range(1_000_000):
                await peer.stream.send_all(b"x")
                if n == 50:
                    dripped.set()
        except trio.BrokenResourceError:
            closed.set()

    async with serving(script) as server, lean() as transport:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(http_caller(transport).call, invocation(server.url))
            await dripped.wait()
            nursery.cancel_scope.cancel()
        await closed.wait()
        assert transport.idle_count == 0


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [
        (b"0", 0),
        (b" 120 ", 120_000),
        (b"3600", 3_600_000),
        (b"3601", 3_600_000),
        (b"315360000", 3_600_000),
        (b"9" * 5000, 3_600_000),
        (b"0" * 5000 + b"1", 1000),
        (b"-5", 0),
        (b"Mon, 23 Nov 2026 12:00:01 GMT", 1000),
        (b"Monday, 23-Nov-26 12:00:01 GMT", 1000),
        (b"Mon Nov 23 12:00:01 2026", 1000),
        (b"Mon, 23 Nov 2026 11:00:00 GMT", 0),
        (b"Mon, 23 Nov 2036 12:00:00 GMT", 3_600_000),
        (b"", None),
        (b"-", None),
        (b"1.5", None),
        (b"+5", None),
        (b"5, 6", None),
        (b"soon", None),
        (b"Mon, 32 Nov 2026 12:00:01 GMT", None),
        (b"Mon, 23 Nov 2026 12:00:01 CET", None),
        ("٣".encode(), None),
        (b"\xb2", None),
    ],
)
def test_retry_after(value: bytes, wait_ms: int | None) -> None:
    """Seconds or a date in its three forms, 0 … 1 h; garbage is ignored (RFC 9110 §10.2.3)."""
    assert parse_retry_after(value, lambda: NOW) == wait_ms


def test_retry_after_is_never_early() -> None:
    """A fraction of a millisecond is rounded up."""
    date = b"Mon, 23 Nov 2026 12:00:01 GMT"
    assert parse_retry_after(date, lambda: NOW + 0.9995) == 1
