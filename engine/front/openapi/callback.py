"""What the engine sends to an endpoint, and what it makes of the answer."""

from __future__ import annotations

from typing import Any

_CALLED_WITH = {
    "Idempotency-Key": "The step's own key, a quoted string; constant over attempts.",
    "Atomic-Client": "Whose run it is: its function posts its steps to this path.",
    "Atomic-Run-Id": "The run.",
    "Atomic-Step-Id": "The step.",
    "Atomic-Workflow": "The workflow's name.",
    "Atomic-Attempt": "Number of the attempt, from 1.",
    "Atomic-Parent": "Copy it onto every post of this function.",
    "traceparent": "W3C trace context.",
}
_SIGNED_WITH = {
    "webhook-id": "The step's own key, without quotes.",
    "webhook-timestamp": "The attempt's time, in seconds since the epoch.",
    "webhook-signature": "`v1,` and the base64 of HMAC-SHA256; with two secrets two.",
}
_CALL_ENDS = {
    "2XX": "The step is completed with this answer.",
    "424": "With a failed or cancelled step below: the step fails at once, because of it. Else a"
    " failed attempt.",
    "default": "A failed attempt; retried by the policy. `Retry-After` lengthens the delay,"
    " `Atomic-No-Retry: true` fails the step, `Atomic-Suspend: true` asks to be invoked when a"
    " child ends.",
}


def callback() -> dict[str, Any]:
    """What is sent to `stepInvokeUrl`."""
    body = {
        "type": "object",
        "required": ["idempotencyKey", "payload"],
        "properties": {"idempotencyKey": {"type": "string"}, "payload": {}},
    }
    signed = {
        name: f"{text} Of a client with a signing secret." for name, text in _SIGNED_WITH.items()
    }
    called = {
        "summary": "The engine invokes the step.",
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": name in _CALLED_WITH,
                "description": text,
                "schema": {"type": "string"},
            }
            for name, text in (_CALLED_WITH | signed).items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {code: {"description": text} for code, text in _CALL_ENDS.items()},
    }
    return {"invoke": {"{$request.body#/stepInvokeUrl}": {"post": called}}}
