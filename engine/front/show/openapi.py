"""The interface described in OpenAPI 3.1, with what the engine calls back. Made from the types."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from engine import wire
from engine.core.errors import Problem

_TYPES = [
    wire.Submission,
    wire.OutcomeAnswer,
    wire.OpenAnswer,
    wire.RunPage,
    wire.RunTree,
    wire.StepRow,
    wire.ActionRequest,
    wire.ActionAnswer,
    wire.CauseList,
    wire.RetryPage,
    wire.BulkRequest,
    wire.BulkAnswer,
    wire.BulkList,
    wire.ProblemDocument,
]


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _problem(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {"description": text, "content": {"application/problem+json": {"schema": schema}}}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _header(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}


def _actor() -> dict[str, Any]:
    return _header("Atomic-Actor", "Who acts, in 1 to 64 printable ASCII: a claim, for the record.")


def _get(summary: str, *names: str, answer: str | None = None, **more: Any) -> dict[str, Any]:
    content = _json(answer) if answer else {"application/octet-stream": {}}
    return {
        "get": {
            "summary": summary,
            "parameters": [_path(name) for name in names],
            "responses": {
                "200": {"description": "As asked.", "content": content},
                "404": _problem("No such thing."),
            },
            **more,
        }
    }


def _problems() -> dict[str, Any]:
    """The answers of a submission that are problems, by status."""
    found: dict[str, list[str]] = {}
    for kind, it in wire.PROBLEMS.items():
        if kind not in (Problem.REVISION_CHANGED, Problem.NOT_POSSIBLE, Problem.INVALID_REQUEST):
            found.setdefault(str(it.status), []).append(kind)
    return {code: _problem(", ".join(kinds)) for code, kinds in sorted(found.items())}


def _callback() -> dict[str, Any]:
    """What the engine sends to `stepInvokeUrl`."""
    body = {
        "type": "object",
        "required": ["idempotencyKey", "payload"],
        "properties": {"idempotencyKey": {"type": "string"}, "payload": {}},
    }
    headers = {
        "Idempotency-Key": "The step's own key, a quoted string; constant over attempts.",
        "Atomic-Client": "Whose run it is: its function posts its steps to this path.",
        "Atomic-Run-Id": "The run.",
        "Atomic-Step-Id": "The step.",
        "Atomic-Workflow": "The workflow's name.",
        "Atomic-Attempt": "Number of the attempt, from 1.",
        "Atomic-Parent": "Copy it onto every post of this function.",
        "traceparent": "W3C trace context.",
    }
    return {
        "invoke": {
            "{$request.body#/stepInvokeUrl}": {
                "post": {
                    "summary": "The engine invokes the step.",
                    "parameters": [_header(name, text) for name, text in headers.items()],
                    "requestBody": {"content": {"application/json": {"schema": body}}},
                    "responses": {
                        "2XX": {"description": "The step is completed with this answer."},
                        "424": {
                            "description": "With a failed or cancelled step below: the step fails"
                            " at once, because of it. Else a failed attempt."
                        },
                        "default": {
                            "description": "A failed attempt; retried by the policy. `Retry-After`"
                            " lengthens the delay, `Atomic-No-Retry: true` fails the step,"
                            " `Atomic-Suspend: true` asks to be invoked when a child ends."
                        },
                    },
                }
            }
        }
    }


def _submit() -> dict[str, Any]:
    return {
        "summary": "Submit a workflow or a step, and wait for its recorded outcome.",
        "parameters": [
            _path("client"),
            _header("Idempotency-Key", "Instead of the member `idempotencyKey`."),
            _header("Atomic-Parent", "Parent token of the posting attempt: the post is its child."),
            _header("Prefer", "respond-async, or wait=N seconds."),
        ],
        "requestBody": {"required": True, "content": _json("Submission")},
        "responses": {
            "200": {"description": "The recorded outcome.", "content": _json("OutcomeAnswer")},
            "202": {"description": "Recorded, still open.", "content": _json("OpenAnswer")},
            **_problems(),
        },
        "callbacks": _callback(),
    }


def _action() -> dict[str, Any]:
    return {
        "summary": "Carry out an operator's action.",
        "parameters": [_path("id"), _actor()],
        "requestBody": {"required": True, "content": _json("ActionRequest")},
        "responses": {
            "202": {"description": "Done, durably.", "content": _json("ActionAnswer")},
            "200": {"description": "Dry run.", "content": _json("ActionAnswer")},
            "409": _problem("revision-changed, not-possible"),
        },
    }


def _bulk() -> dict[str, Any]:
    return {
        "summary": "One action on every run that a filter finds.",
        "parameters": [_header("Idempotency-Key", "A job is begun once for each."), _actor()],
        "requestBody": {"required": True, "content": _json("BulkRequest")},
        "responses": {
            "202": {"description": "The job has begun.", "content": _json("BulkAnswer")},
            "200": {"description": "Dry run.", "content": _json("BulkAnswer")},
            "400": _problem("invalid-request: the filter is empty, or cannot be read"),
            "409": _problem("revision-changed: more runs match than `expect`; not-possible"),
            "422": _problem("idempotency-key-reused: the key is another job's"),
        },
    }


def _abort() -> dict[str, Any]:
    return {
        "summary": "Stop a bulk job; what it has done stays done.",
        "parameters": [_path("id")],
        "responses": {
            "202": {"description": "It stops.", "content": _json("BulkAnswer")},
            "404": _problem("not-found"),
            "409": _problem("not-possible: it has ended"),
        },
    }


def _queries(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]


@lru_cache(maxsize=1)
def document(version: str) -> dict[str, Any]:
    """The whole description."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    runs = _get("Runs, newest first.", answer="RunPage")
    runs["get"]["parameters"] = _queries(
        "client", "workflow", "key", "status", "q", "sort", "cursor", "limit"
    )
    retries = _get("What is tried next, by time.", answer="RetryPage")
    retries["get"]["parameters"] = _queries("q", "cursor", "limit")
    return {
        "openapi": "3.1.0",
        "info": {"title": "Atomic", "version": version, "license": {"name": "MIT"}},
        "paths": {
            "/{client}": {"post": _submit()},
            "/api/v1/status": _get("The engine itself.", answer=None),
            "/api/v1/runs": runs,
            "/api/v1/runs/{id}": _get("A run and its steps.", "id", answer="RunTree"),
            "/api/v1/runs/{id}/actions": {"post": _action()},
            "/api/v1/causes": _get("Why runs need a person.", answer="CauseList"),
            "/api/v1/retries": retries,
            "/api/v1/bulk": {**_get("Bulk jobs.", answer="BulkList"), "post": _bulk()},
            "/api/v1/bulk/{id}": _get("A bulk job.", "id", answer="BulkAnswer"),
            "/api/v1/bulk/{id}/abort": {"post": _abort()},
            "/api/v1/steps/{id}": _get("A step.", "id", answer="StepRow"),
            "/api/v1/steps/{id}/outcome": _get(
                "A step's outcome; waits.", "id", answer="OutcomeAnswer"
            ),
            "/api/v1/steps/{id}/payload": _get("A step's payload, raw.", "id"),
            "/api/v1/steps/{id}/response": _get("The last attempt's answer, raw.", "id"),
            "/api/v1/steps/{id}/attempts/{number}/response": _get(
                "An attempt's answer, raw.", "id", "number"
            ),
            "/api/v1/events": _get("Server-Sent Events, resumable with Last-Event-ID."),
            "/problems/{name}": _get("The page of a problem type.", "name"),
            "/healthz": _get("Liveness."),
            "/readyz": _get("Readiness."),
            "/metrics": _get("Prometheus metrics."),
        },
        "components": {"schemas": schemas},
    }
