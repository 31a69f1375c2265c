"""The routes: Quart-trio in front of functions that know no framework."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import trio
from quart import Request, Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.front.access.actor import actor_of
from engine.front.api import act, bulk, events, read
from engine.front.api.context import Front
from engine.front.api.door import internal_error
from engine.front.api.headers import read_headers, wait_of
from engine.front.api.outcome import result_reply
from engine.front.api.reasons import note_denied
from engine.front.api.submit import answer_submission
from engine.front.server.reply import ROOM, Reply
from engine.front.server.strict import RawHeaders
from engine.front.show import openapi, pages
from engine.front.show.replies import json_reply, problem_reply, refusal
from engine.process.budget import Parcel

_BY_STATUS = {
    404: Problem.NOT_FOUND,
    405: Problem.METHOD_NOT_ALLOWED,
    413: Problem.TOO_LARGE,
    415: Problem.UNSUPPORTED_MEDIA_TYPE,
}


def response(reply: Reply) -> Response:
    """A Reply as Quart sends it; its room is given back when it is sent."""
    if reply.room is not None:
        request.scope["extensions"][ROOM]["charges"].append(reply.room)
    answer = Response(reply.body, status=reply.status)
    answer.headers.clear()
    for name, value in reply.headers:
        answer.headers.add(name, value)
    answer.headers["content-length"] = str(len(reply.body))
    return answer


def raw_headers(incoming: Request) -> RawHeaders:
    """The headers as they came, names in lower case."""
    return tuple((name, value) for name, value in incoming.scope["headers"])


def build(front: Front) -> QuartTrio:
    """The application with all its routes."""
    app = QuartTrio("engine", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=front.config.body_bytes_max,
        BODY_TIMEOUT=None,  # the server has its own
        RESPONSE_TIMEOUT=None,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    app.url_map.strict_slashes = False
    _common(app, front)
    _submit_routes(app, front)
    _bulk_routes(app, front)
    _reading_routes(app, front)
    _health_routes(app, front)
    return app


def _common(app: QuartTrio, front: Front) -> None:
    @app.before_request
    async def check_access() -> Response | None:
        # An address that is not there, or not for this method, says so whatever the body is.
        method = "GET" if request.routing_exception is not None else request.method
        refused = front.access.check(method, raw_headers(request))
        if refused is None:
            return None
        if request.method == "POST":
            note_denied(front.engine, request.path[1:], raw_headers(request), b"", refused)
        return response(refused)

    @app.after_request
    async def count(answer: Response) -> Response:
        front.metrics.request(request.method, answer.status_code)
        return answer

    @app.errorhandler(Refused)
    async def refused(error: Refused) -> Response:
        if error.problem is Problem.OVERLOADED:
            told = error.members
            front.engine.run_log.overloaded(str(told["limit"]), retry_after_s=told["retryAfter"])
        return response(refusal(error))

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        code = error.code or 500
        kind = _BY_STATUS.get(code, Problem.INVALID_REQUEST if code < 500 else Problem.INTERNAL)
        reply = problem_reply(kind, _explain(kind, error, front))
        if request.method == "POST" and code < 500:
            note_denied(front.engine, request.path[1:], raw_headers(request), b"", reply)
        answer = response(reply)
        if kind is Problem.METHOD_NOT_ALLOWED:
            answer.headers["allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return answer

    @app.errorhandler(Exception)
    async def bug(error: Exception) -> Response:
        return response(internal_error(front, error, request.path))


def _explain(kind: Problem, error: HTTPException, front: Front) -> str:
    if kind is Problem.TOO_LARGE:
        return f"The body is larger than {front.config.body_bytes_max:,} bytes (body_bytes_max)."
    if kind is Problem.NOT_FOUND:
        return "Nothing is at this address. Submissions go to POST /{client}."
    if kind is Problem.METHOD_NOT_ALLOWED:
        return "This address does not take this method."
    return error.description or "The request cannot be answered."


def _submit_routes(app: QuartTrio, front: Front) -> None:
    depth_max = front.config.json_depth_max

    @app.post("/<client>")
    async def submit(client: str) -> Response:
        body = Parcel(await request.body)
        reply = await answer_submission(
            front.engine, front.dear, client, raw_headers(request), body, depth_max
        )
        return response(reply)

    @app.get("/api/v1/steps/<step_id>/outcome")
    async def outcome(step_id: str) -> Response:
        posted = read_headers(raw_headers(request))
        result = await front.engine.outcome(step_id, wait_of(posted, None))
        return response(result_reply(result, posted))

    @app.post("/api/v1/runs/<run_id>/actions")
    async def take_action(run_id: str) -> Response:
        body = await request.body
        return response(await act.action(front, run_id, body, _actor()))


def _bulk_routes(app: QuartTrio, front: Front) -> None:
    @app.post("/api/v1/bulk")
    async def ask() -> Response:
        body = await request.body
        key = read_headers(raw_headers(request)).key
        answer = await bulk.ask(front.bulk, body, _actor(), key)
        return response(json_reply(answer, 200 if answer.id is None else 202))

    @app.get("/api/v1/bulk")
    async def jobs() -> Response:
        return response(json_reply(bulk.list_of(front.bulk)))

    @app.get("/api/v1/bulk/<job_id>")
    async def job(job_id: str) -> Response:
        return response(json_reply(bulk.answer_of(front.bulk.job(job_id))))

    @app.post("/api/v1/bulk/<job_id>/abort")
    async def abort(job_id: str) -> Response:
        return response(json_reply(bulk.answer_of(front.bulk.abort(job_id)), 202))


def _actor() -> Actor:
    """Who sent the request at hand. Raises Refused."""
    return actor_of(raw_headers(request), request.remote_addr)


def _reading_routes(app: QuartTrio, front: Front) -> None:
    def route(path: str, answer: Callable[..., Awaitable[Reply]]) -> None:
        async def view(**names: Any) -> Response:
            return response(await answer(**names))

        app.add_url_rule(path, path, view, methods=["GET"])

    route("/api/v1/status", lambda: read.status(front))
    route("/api/v1/runs", lambda: read.runs(front, request.args.to_dict()))
    route("/api/v1/causes", lambda: read.causes(front))
    route("/api/v1/retries", lambda: read.retries(front, request.args.to_dict()))
    route("/api/v1/runs/<id>", lambda id: read.tree(front, id))
    route("/api/v1/steps/<id>", lambda id: read.step(front, id))
    route(
        "/api/v1/steps/<id>/payload",
        lambda id: read.payload(front, id, request.headers.get("range")),
    )
    route(
        "/api/v1/steps/<id>/response",
        lambda id: read.response(front, id, None, request.headers.get("range")),
    )
    route(
        "/api/v1/steps/<id>/attempts/<number>/response",
        lambda id, number: read.response(front, id, number, request.headers.get("range")),
    )

    tail = events.Tail(front.views, front.file_id)

    @app.get("/api/v1/events")
    async def event_stream() -> Response:
        if request.method == "HEAD":  # the stream would never end, and so neither its answer
            return Response(b"", content_type="text/event-stream")
        last_id = request.headers.get("last-event-id")
        stream: AsyncIterator[bytes] = await events.stream(front, tail, last_id)
        answer = Response(stream, content_type="text/event-stream")
        answer.timeout = None
        return answer


def _health_routes(app: QuartTrio, front: Front) -> None:
    text = (("content-type", "text/plain; charset=utf-8"),)

    @app.get("/healthz")
    async def healthz() -> Response:
        return response(Reply(200, text, b"ok\n"))

    @app.get("/readyz")
    async def readyz() -> Response:
        engine = front.engine
        if engine.ready and not engine.draining and engine.store.away is None:
            return response(Reply(200, text, b"ready\n"))
        why = b"recovering\n"
        if engine.draining:
            why = b"draining\n"
        elif engine.store.away is not None:
            why = b"store-unavailable\n"
        return response(Reply(503, (*text, ("retry-after", "1")), why))

    @app.get("/metrics")
    async def metrics() -> Response:
        body, content_type = await trio.to_thread.run_sync(
            front.metrics.page, ", ".join(request.headers.getlist("accept"))
        )
        return response(Reply(200, (("content-type", content_type),), body))

    @app.get("/openapi.json")
    async def openapi_json() -> Response:
        return response(json_reply(openapi.document(front.version)))

    @app.get("/problems/")
    async def problem_index() -> Response:
        return response(pages.problem_index())

    @app.get("/problems/<name>")
    async def problem_page(name: str) -> Response:
        return response(pages.problem_page(name))
