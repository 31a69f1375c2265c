"""Traces of a real engine, as a collector takes them, and exemplars as a scraper reads them."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Application,
    Call,
    application,
    client,
    fine,
    restart,
    running,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TOLD = f"00-{TRACE}-{SPAN}-01"
CANARY = "canary7c1f"
OPENMETRICS = {"Accept": "application/openmetrics-text"}


def _spans(app: Application) -> list[Any]:
    """All that the collector was sent."""
    found: list[Any] = []
    for call in app.called("traces"):
        assert (call.path, call.headers["x-key"]) == ("/v1/traces", "of the collector")
        assert CANARY.encode() not in call.body
        for of_engine in ExportTraceServiceRequest.FromString(call.body).resource_spans:
            names = {it.key: it.value.string_value for it in of_engine.resource.attributes}
            assert names["service.name"] == "atomic"
            for scope in of_engine.scope_spans:
                found += scope.spans
    return found


def _settings(tmp_path: Path, app: Application) -> dict[str, Any]:
    headers = tmp_path / "headers"
    headers.write_text("# of the collector\nx-key: of the collector\n")
    headers.chmod(0o600)
    return {**SETTINGS, "otlp_endpoint": app.url, "otlp_headers_file": str(headers)}


async def test_attempts_are_spans_of_their_submitters_trace(tmp_path: Path) -> None:
    """A workflow and its step, which fails once: three spans, each within the one that posted it;
    what is secret in a URL, a payload or an answer is in none. An exemplar names one of them."""
    tried: list[str] = []

    async def taken(call: Call) -> Answer:
        return Answer(200, b"")

    async def order(call: Call) -> Answer:
        headers = {"Atomic-Parent": call.parent_token}
        posted = {**STEP, "stepInvokeUrl": f"{app.at('charge')}?token={CANARY}"}
        answer = await it.http.post(f"{engine.url}/shop", json=posted, headers=headers)
        assert answer.status_code == 200
        tried.append(call.headers["traceparent"])
        return Answer(201)

    async def charge(call: Call) -> Answer:
        tried.append(call.headers["traceparent"])
        failed = f'{{"password": "{CANARY}"}}'.encode()
        return Answer(503, failed) if call.attempt == 1 else Answer(200)

    STEP = {"workflowName": "order", "idempotencyKey": "k", "payload": {"secret": CANARY},
            "retry": {"backOff": 1}}  # fmt: skip
    async with application(traces=taken, order=order, **{f"charge?token={CANARY}": charge}) as app:
        with running(tmp_path, **_settings(tmp_path, app)) as engine:
            async with client(engine.url) as it:
                post = {**STEP, "stepInvokeUrl": app.at("order")}
                answer = await it.http.post(
                    f"{engine.url}/shop", json=post, headers={"traceparent": TOLD}
                )
                assert answer.status_code == 200
                page = await it.http.get(f"{engine.url}/metrics", headers=OPENMETRICS)
            engine.signal(signal.SIGTERM)
            await engine.ended()
        spans = {(span.name, span.status.code): span for span in _spans(app)}
    assert set(spans) == {("order", 0), ("charge", 2), ("charge", 0)}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    root = spans["order", 0]
    assert root.parent_span_id.hex() == SPAN
    assert {spans["charge", code].parent_span_id for code in (0, 2)} == {root.span_id}
    assert sorted(tried) == sorted(f"00-{TRACE}-{span.span_id.hex()}-01" for span in spans.values())
    failed = {it.key: it.value for it in spans["charge", 2].attributes}
    assert failed["http.response.status_code"].int_value == 503
    assert failed["atomic.attempt"].int_value == 1
    assert root.start_time_unix_nano <= spans["charge", 0].start_time_unix_nano
    families = {it.name: it for it in text_string_to_metric_families(page.text)}
    examples = [
        sample.exemplar.labels
        for sample in families["atomic_attempt_duration_seconds"].samples
        if sample.exemplar is not None
    ]
    known = {span.span_id.hex() for span in spans.values()}
    assert {it["trace_id"] for it in examples} == {TRACE}
    assert {it["span_id"] for it in examples} <= known


async def test_a_trace_outlives_the_engine(tmp_path: Path) -> None:
    """A run goes on in its trace after a kill; the attempt that the kill ended has no span."""

    async def taken(call: Call) -> Answer:
        return Answer(200, b"")

    async def flaky(call: Call) -> Answer:
        if call.attempt == 1:
            engine.kill()
        return await fine(call)

    async with application(traces=taken, flaky=flaky) as app:
        settings = _settings(tmp_path, app)
        with running(tmp_path, **settings) as engine:
            async with client(engine.url) as it:
                post = {"workflowName": "w", "stepInvokeUrl": app.at("flaky"),
                        "idempotencyKey": "k", "retry": {"backOff": 1}}  # fmt: skip
                headers = {"traceparent": TOLD, "Prefer": "respond-async"}
                answer = await it.http.post(f"{engine.url}/shop", json=post, headers=headers)
                run_id = answer.json()["id"]
                await engine.ended()
            again = await restart(engine, tmp_path, **settings)
            async with client(again.url) as it:
                await it.wait_run(run_id, "completed")
            again.signal(signal.SIGTERM)
            await again.ended()
        (span,) = _spans(app)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
        assert span.status.code == 0
        assert [call.headers["traceparent"][3:35] for call in app.called("flaky")] == [TRACE] * 2


async def test_a_collector_that_is_away_hurts_nobody(tmp_path: Path) -> None:
    """Runs complete, the engine stops within its time, and the log and the figures tell of it."""
    async with application(fine=fine) as app:
        away = {**SETTINGS, "otlp_endpoint": "http://127.0.0.1:1"}
        with running(tmp_path, **away) as engine:
            async with client(engine.url) as it:
                post = {"workflowName": "w", "stepInvokeUrl": app.at("fine"), "idempotencyKey": "k"}
                assert (await it.http.post(f"{engine.url}/shop", json=post)).status_code == 200
                page = httpx.get(f"{engine.url}/metrics").text
                assert "atomic_spans_dropped_total 0.0" in page
            assert engine.stop() == 0
        (line,) = engine.events("spans-dropped")
        assert (line["spans"], line["url"]) == (1, "http://127.0.0.1:1/v1/traces")
