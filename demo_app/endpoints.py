"""What all endpoints of the application share: reading the call, its fault, errors to statuses."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from quart import Blueprint, Quart, Response, jsonify, request

from demo_app.atomic import Atomic, NoOutcome, Outcome, Refused, StepFailed
from demo_app.calls import Answer, BadCall, Call, Handler, parse_call, unquote_key
from demo_app.carrier import Carrier
from demo_app.effects import Effects
from demo_app.faults import BadFault, Faults, World, answer_with
from demo_app.mail import Mailer
from demo_app.signatures import BadSignature, check_signature, read_secrets

# The seed's; a payload's `options` may bring others.
RETRY = {"count": 10, "backOff": 1000}
USER_TIMEOUT_MS = 8000

# The same call would fare no better again: the engine is told not to retry it.
NO_RETRY = {"Atomic-No-Retry": "true"}


class BadRequest(ValueError):
    """A mistake in a request to one of our own endpoints. The message is for a person."""


@dataclass(frozen=True)
class Services:
    """What the handlers work with."""

    atomic: Atomic
    effects: Effects
    faults: Faults
    mailer: Mailer
    http: httpx.AsyncClient
    analytics_url: str
    world: Callable[[], World]
    secret_file: Path | None = None
    carrier: Carrier | None = None


def step_options(call: Call) -> dict[str, Any]:
    """Options of every step that a workflow posts: the seed's retry, or what the payload asks."""
    return {"retry": RETRY, **call.options}


def add_endpoint(
    blueprint: Blueprint, services: Services, path: str, step: str, handler: Handler
) -> None:
    """Route the engine's calls of `path` to the handler, counted and with their faults."""

    async def view() -> Response:
        body = await request.data
        if services.secret_file is not None:
            secrets = read_secrets(services.secret_file)
            check_signature(secrets, dict(request.headers), body, time.time())
        call = parse_call(step, request.headers, body)
        services.faults.plan_from_payload(call.key, call.payload)
        services.effects.count_call(call)
        fault = services.faults.take(call.key, call.label)
        answer = await answer_with(fault, handler, call, services.world())
        response = jsonify(answer.body)
        response.status_code = answer.status
        response.headers.update(answer.headers)
        return response

    blueprint.add_url_rule(path, endpoint=step, view_func=view, methods=["POST"])


def add_error_answers(app: Quart) -> None:
    """What the contract's failures become, for the engine and for people alike."""

    def answer(status: int, headers: Mapping[str, str]) -> Callable[[Exception], Response]:
        def to_response(error: Exception) -> Response:
            response = jsonify({"status": status, "error": str(error)})
            response.status_code = status
            response.headers.update(headers)
            return response

        return to_response

    for mistake in (BadCall, BadFault, BadRequest):
        app.register_error_handler(mistake, answer(400, NO_RETRY))
    # It may be the engine after all, with another secret or clock: it tries again.
    app.register_error_handler(BadSignature, answer(401, {}))
    # Not caught by the workflow: it fails with that step as its cause.
    app.register_error_handler(StepFailed, answer(424, {}))
    # Says as little to our caller as the engine said to us: call again, with the same key.
    app.register_error_handler(NoOutcome, answer(503, {"Retry-After": "1"}))
    app.register_error_handler(Refused, answer(500, {}))


async def start(services: Services, workflow: str, path: str, required: Iterable[str]) -> Outcome:
    """Start a workflow for whoever asks at one of our own endpoints, and wait for its outcome.

    The request's body is the payload, but for `idempotencyKey`, which may also come as a header.
    Raises BadRequest, StepFailed, NoOutcome, Refused.
    """
    body = await request.get_json()
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    in_body = body.pop("idempotencyKey", "")
    key = unquote_key(request.headers.get("Idempotency-Key", "")) or in_body
    missing = [] if key else ["idempotencyKey"]
    missing += [name for name in required if not body.get(name)]
    if missing:
        raise BadRequest(f"missing: {', '.join(missing)}")
    options = body.get("options", {})
    if not isinstance(options, dict):
        raise BadRequest("options must be an object")
    return await services.atomic.workflow(
        workflow, path, str(key), body, **{"timeout": USER_TIMEOUT_MS, **options}
    )


def effect_handler(
    services: Services, effect: Callable[[Call, sqlite3.Connection], Any]
) -> Handler:
    """A step whose whole work is one effect in our own database."""

    async def handle(call: Call) -> Answer:
        return Answer(services.effects.once(call, partial(effect, call)))

    return handle


def mail_handler(services: Services, write: Callable[[Call], tuple[str, str, str]]) -> Handler:
    """A step that sends one mail: `write` gives its addressee, subject and text."""

    async def handle(call: Call) -> Answer:
        to, subject, text = write(call)
        return Answer(await services.mailer.send_once(services.effects, call, to, subject, text))

    return handle
