"""Batches on their way to a collector: taken, tried again, refused, lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from engine.traces.otlp import (
    ANSWER_BYTES_MAX,
    BATCH_SPANS_MAX,
    SEND_EVERY_S,
    TIMEOUT_S,
    TRIES_MAX,
    Exporter,
)
from engine.traces.spans import Span, Spans

Collector = Callable[[httpx.Request], httpx.Response]


def _span(number: int, failed: str | None = None) -> Span:
    return Span("ab" * 16, f"{number:016x}", None, "charge", 1_000, 1_500, {"n": number}, failed)


class Seen:
    """A collector that answers what it is told to, and remembers when it was asked what."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[float, httpx.Request]] = []
        self.warned: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((trio.current_time(), request))
        answer = self.answers.pop(0) if self.answers else httpx.Response(200)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def warn(self, event: str, **values: Any) -> None:
        self.warned.append({"event": event, **values})

    def exporter(self, spans: Spans) -> Exporter:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        resource = {"service.name": "atomic"}
        headers = (("x-key", "k"),)
        return Exporter(spans, http, "http://collector:4318/", headers, resource, self.warn)

    def numbers(self) -> list[list[int]]:
        """Of each request, which spans."""
        return [
            [span.attributes[0].value.int_value for span in _decoded(request)]
            for _, request in self.asked
        ]


def _decoded(request: httpx.Request) -> Any:
    decoded = ExportTraceServiceRequest.FromString(request.content)
    return decoded.resource_spans[0].scope_spans[0].spans


def _waiting(count: int) -> Spans:
    spans = Spans()
    spans._waiting.extend(map(_span, range(count)))
    return spans


async def _run_for(exporter: Exporter, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await exporter.run()


async def test_batches_are_sent(autojump_clock: object) -> None:
    """Full ones at once, the rest after a while; with the headers, to the path for traces."""
    spans, seen = _waiting(BATCH_SPANS_MAX + 1), Seen()
    await _run_for(seen.exporter(spans), SEND_EVERY_S + 1)
    assert [len(each) for each in seen.numbers()] == [BATCH_SPANS_MAX, 1]
    assert [at for at, _ in seen.asked] == [0.0, SEND_EVERY_S]
    request = seen.asked[0][1]
    assert (request.method, str(request.url)) == ("POST", "http://collector:4318/v1/traces")
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["x-key"] == "k"
    assert (spans.sent, spans.dropped, seen.warned) == (BATCH_SPANS_MAX + 1, 0, [])


async def test_a_collector_that_is_away_is_tried_again(autojump_clock: object) -> None:
    """With longer pauses each time, or as long as it says."""
    spans = _waiting(1)
    seen = Seen(
        httpx.ConnectError("refused"), httpx.Response(503),
        httpx.Response(429, headers={"retry-after": "7"}), httpx.Response(200),
    )  # fmt: skip
    await _run_for(seen.exporter(spans), 30)
    assert [at - SEND_EVERY_S for at, _ in seen.asked] == [0.0, 1.0, 3.0, 10.0]
    assert seen.numbers() == [[0]] * 4
    assert (spans.sent, spans.dropped, seen.warned) == (1, 0, [])


@pytest.mark.parametrize(
    ("answers", "tries", "why"),
    [
        ([httpx.Response(400)], 1, "HTTP 400"),
        ([httpx.Response(502)] * TRIES_MAX, TRIES_MAX, "HTTP 502"),
        ([httpx.ConnectError("no such name")] * TRIES_MAX, TRIES_MAX, "ConnectError: no such name"),
    ],
)
async def test_what_is_not_taken_is_lost_and_told(
    autojump_clock: object, answers: list[httpx.Response | Exception], tries: int, why: str
) -> None:
    """Once, until it goes well again: a collector that is away for a night is one line."""
    spans, seen = _waiting(1), Seen(*answers, httpx.Response(400))
    with trio.move_on_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(seen.exporter(spans).run)
            await trio.sleep(40)
            spans._waiting.append(_span(1))
    assert len(seen.asked) == tries + 1
    assert (spans.sent, spans.dropped) == (0, 2)
    url = "http://collector:4318/v1/traces"
    assert seen.warned == [{"event": "spans-dropped", "url": url, "spans": 1, "error": why}]


async def test_a_collector_that_takes_a_part_says_so(autojump_clock: object) -> None:
    """What it refused is counted as lost."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 2
    spans, seen = _waiting(3), Seen(httpx.Response(200, content=answer.SerializeToString()))
    await _run_for(seen.exporter(spans), SEND_EVERY_S + 1)
    assert (spans.sent, spans.dropped) == (1, 2)
    assert [each["spans"] for each in seen.warned] == [2]
    spans, seen = _waiting(1), Seen(httpx.Response(200, content=b"\xff not protobuf"))
    await _run_for(seen.exporter(spans), SEND_EVERY_S + 1)
    assert (spans.sent, spans.dropped) == (1, 0)


async def test_one_that_never_answers_is_given_up(autojump_clock: object) -> None:
    """Each try has its time, and the end of the engine does not wait for all of them."""

    class Hangs(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await trio.sleep_forever()
            raise AssertionError

    spans, warned = _waiting(1), []
    http = httpx.AsyncClient(transport=Hangs())
    exporter = Exporter(spans, http, "http://c", (), {}, lambda *_, **it: warned.append(it))
    await _run_for(exporter, SEND_EVERY_S + TRIES_MAX * TIMEOUT_S + 16)
    assert spans.dropped == 1
    spans._waiting.append(_span(1))
    began = trio.current_time()
    await _run_for(exporter, 0.5)
    assert trio.current_time() - began < 3


@pytest.mark.parametrize("headers", [{}, {"content-length": str(ANSWER_BYTES_MAX + 1)}])
async def test_an_answer_without_end_is_not_read(
    autojump_clock: object, headers: dict[str, str]
) -> None:
    """Nor one that is longer than there is to say; its connection is let go."""
    closed: list[bool] = []

    class Endless(httpx.AsyncByteStream):
        def __aiter__(self) -> AsyncIterator[bytes]:
            raise AssertionError("it is read")

        async def aclose(self) -> None:
            closed.append(True)

    spans, seen = _waiting(1), Seen(httpx.Response(200, stream=Endless(), headers=headers))
    await _run_for(seen.exporter(spans), SEND_EVERY_S + 1)
    assert (spans.sent, closed) == (1, [True])


def test_a_failure_is_an_error_of_its_span() -> None:
    """As OpenTelemetry has it."""
    from engine.traces.otlp import encode

    decoded = ExportTraceServiceRequest.FromString(encode([_span(1, "vendor down")], {"a": "b"}))
    (span,) = decoded.resource_spans[0].scope_spans[0].spans
    assert (span.status.code, span.status.message) == (2, "vendor down")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (10**9, 1_500_000_000)
    assert (span.trace_id, span.parent_span_id) == (bytes.fromhex("ab" * 16), b"")
    assert decoded.resource_spans[0].resource.attributes[0].value.string_value == "b"
