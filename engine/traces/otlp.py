"""Spans sent to a collector: OTLP over HTTP, in protobuf (OpenTelemetry Protocol 1.x).

Batches are sent one after another. What a collector cannot take for now is tried again for a while
(§"Failures" of the protocol: 429, 502, 503, 504, no answer); what it refuses is dropped. The engine
waits for none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx
import trio
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from engine.traces.spans import Span, Spans

SEND_EVERY_S = 2.0
BATCH_SPANS_MAX = 512
TIMEOUT_S = 10.0
TRIES_MAX = 5
BACK_OFF_S = 1.0
RETRY_AFTER_S_MAX = 30.0
LAST_S = 2.0
"""For what is left at the end."""
ANSWER_BYTES_MAX = 16_384
"""It says how many spans were refused, and why in a sentence."""
AGAIN = frozenset({429, 502, 503, 504})
NS_PER_MS = 1_000_000
_SAMPLED = 1

Say = Callable[..., None]


class Exporter:
    """Sends what waits in `Spans`, until it is cancelled."""

    def __init__(
        self,
        spans: Spans,
        http: httpx.AsyncClient,
        endpoint: str,
        headers: Sequence[tuple[str, str]],
        resource: dict[str, str],
        warn: Say,
    ) -> None:
        """`endpoint`: of the collector; its path for traces is added."""
        self._spans, self._http, self._warn = spans, http, warn
        self._url = f"{endpoint.rstrip('/')}/v1/traces"
        self._headers = [
            *headers,
            ("content-type", "application/x-protobuf"),
            ("accept-encoding", "identity"),
        ]
        self._resource = resource
        self._failing = False

    async def run(self) -> None:
        """Send batch after batch. At the end what is left is tried once."""
        try:
            while True:
                if len(self._spans) < BATCH_SPANS_MAX:
                    await trio.sleep(SEND_EVERY_S)
                await self._send(self._spans.take(BATCH_SPANS_MAX))
        finally:
            with trio.move_on_after(LAST_S, shield=True):
                while batch := self._spans.take(BATCH_SPANS_MAX):
                    await self._send(batch, tries_max=1)

    async def _send(self, batch: list[Span], tries_max: int = TRIES_MAX) -> None:
        if not batch:
            return
        body = encode(batch, self._resource)
        why = ""
        for number in range(tries_max):
            answer: httpx.Response | None = None
            content = b""
            try:
                with trio.fail_after(TIMEOUT_S):
                    answer, content = await self._post(body)
            except (httpx.HTTPError, trio.TooSlowError) as error:
                why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            if answer is not None:
                if answer.is_success:
                    return self._taken(batch, content)
                why = f"HTTP {answer.status_code}"
                if answer.status_code not in AGAIN:
                    break
            if number + 1 < tries_max:
                await trio.sleep(_pause_s(number, answer))
        self._lost(len(batch), why)

    async def _post(self, body: bytes) -> tuple[httpx.Response, bytes]:
        """The answer, and what of its body is of use: it may never end."""
        async with self._http.stream(
            "POST", self._url, content=body, headers=self._headers
        ) as answer:
            length = answer.headers.get("content-length", "")
            if not length.isdigit() or int(length) > ANSWER_BYTES_MAX:
                return answer, b""
            return answer, await answer.aread()

    def _taken(self, batch: list[Span], content: bytes) -> None:
        refused = _refused(content)
        self._spans.sent += len(batch) - refused
        if refused:
            return self._lost(refused, "the collector refused them")
        self._failing = False

    def _lost(self, count: int, why: str) -> None:
        """Warn once, until it goes well again: the figures have the rest."""
        self._spans.dropped += count
        if not self._failing:
            self._failing = True
            self._warn("spans-dropped", url=self._url, spans=count, error=why)


def _pause_s(number: int, answer: httpx.Response | None) -> float:
    told = "" if answer is None else answer.headers.get("retry-after", "")
    if told.isdigit():
        return min(float(told), RETRY_AFTER_S_MAX)
    return BACK_OFF_S * 2.0**number


def _refused(content: bytes) -> int:
    """How many of the spans the answer says were not taken."""
    try:
        answer = ExportTraceServiceResponse.FromString(content)
    except DecodeError:  # 2xx means taken
        return 0
    return int(answer.partial_success.rejected_spans)


def encode(batch: Sequence[Span], resource: dict[str, str]) -> bytes:
    """The body of a request."""
    request = ExportTraceServiceRequest()
    of_engine = request.resource_spans.add()
    of_engine.resource.attributes.extend(_pairs(resource))
    scope = of_engine.scope_spans.add()
    scope.scope.name = "atomic"
    for span in batch:
        made = scope.spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_id or ""),
            flags=_SAMPLED,
            name=span.name,
            kind=trace_pb2.Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=span.began_ms * NS_PER_MS,
            end_time_unix_nano=span.ended_ms * NS_PER_MS,
            attributes=_pairs(span.attributes),
        )
        if span.failed is not None:
            made.status.code = trace_pb2.Status.STATUS_CODE_ERROR
            made.status.message = span.failed
    return bytes(request.SerializeToString())


def _pairs(values: dict[str, str | int] | dict[str, str]) -> list[KeyValue]:
    return [
        KeyValue(
            key=name,
            value=AnyValue(int_value=value)
            if isinstance(value, int)
            else AnyValue(string_value=value),
        )
        for name, value in values.items()
    ]
