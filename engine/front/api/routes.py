"""Each route's answer: Quart-trio in front of functions that know no framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio
from quart import Request, Response, g, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from engine import wire
from engine.core.access.token import Role
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.front.access.actor import actor_of
from engine.front.access.audited import (
    Act,
    act_of,
    is_act,
    names_of,
    note_refused_token,
    problem_of,
)
from engine.front.access.own import check_own
from engine.front.access.who import Who
from engine.front.admin import clients, limits, prune
from engine.front.admin.alerts import test_alerts
from engine.front.admin.audit import audit_page
from engine.front.admin.backup import begin_backup
from engine.front.admin.doctor import examine
from engine.front.api import act, bulk, causes, events, read
from engine.front.api.context import Front
from engine.front.api.door import internal_error, unless_lapsed
from engine.front.api.headers import read_headers, wait_of
from engine.front.api.outcome import result_reply
from engine.front.api.reasons import note_denied
from engine.front.api.submit import answer_submission
from engine.front.asked import check_no_members, since_ms
from engine.front.openapi.document import document
from engine.front.server.reply import ROOM, GivenBack, Reply
from engine.front.server.strict import RawHeaders
from engine.front.show import pages
from engine.front.show.replies import json_reply, problem_reply, refusal
from engine.ports.audit import AuditEntry
from engine.process.budget import Parcel
from engine.runs.engine import Engine
from engine.runs.limits.refusals import no_such_step
from engine.wire import routes
from engine.wire.access import NoMembers

Answer = Callable[..., Reply | Awaitable[Reply | Response]]
"""What answers a route; it is called with the names of its path."""
Answers = dict[routes.Route[Any], Answer]
TEXT = (("content-type", "text/plain; charset=utf-8"),)
_BY_STATUS = {
    404: Problem.NOT_FOUND,
    405: Problem.METHOD_NOT_ALLOWED,
    413: Problem.TOO_LARGE,
    415: Problem.UNSUPPORTED_MEDIA_TYPE,
}


def response(reply: Reply) -> Response:
    """A Reply as Quart sends it; its room is given back when it is sent."""
    if reply.room is not None:
        give_back_when_answered(reply.room)
    answer = Response(reply.body, status=reply.status)
    answer.headers.clear()
    for name, value in reply.headers:
        answer.headers.add(name, value)
    answer.headers["content-length"] = str(len(reply.body))
    return answer


def give_back_when_answered(taken: GivenBack) -> None:
    """What the request at hand takes until its answer is sent."""
    request.scope["extensions"][ROOM]["charges"].append(taken)


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
    answers = _work(front) | _reads(front) | _admin(front) | _pruning(front) | _pages(front)
    for route in routes.ROUTES:
        app.add_url_rule(
            rule_of(route), name_of(route), _view(answers[route]), methods=[route.method]
        )
    return app


def _view(answer: Answer) -> Callable[..., Awaitable[Response]]:
    async def view(**names: str) -> Response:
        given = answer(**names)
        reply = given if isinstance(given, Reply) else await given
        return response(reply) if isinstance(reply, Reply) else reply

    return view


def name_of(route: routes.Route[Any]) -> str:
    """What Quart knows a route by."""
    return f"{route.method} {route.path}"


def rule_of(route: routes.Route[Any]) -> str:
    """A route's path as Quart writes it."""
    return route.path.replace("{", "<").replace("}", ">")


def _common(app: QuartTrio, front: Front) -> None:
    by_rule = {name_of(route): route for route in routes.ROUTES}
    pages_by_rule = frozenset(map(name_of, routes.PAGES))

    @app.before_request
    async def check_access() -> Response | None:
        # An address that is not there, or not for this method, says so whatever the body is.
        if request.endpoint in pages_by_rule:
            return None  # `front/ui/serve.py` asks: there a login will do, too
        method = "GET" if request.routing_exception is not None else request.method
        route = by_rule.get(request.endpoint or "")
        client = (request.view_args or {}).get("client", "")
        headers = raw_headers(request)
        found = front.gate.check(route, request.path, method, headers, client)
        if isinstance(found, Who):
            g.who = found
            if route is not None and is_act(route, request.args):
                act = act_of(route, request.view_args or {}, await request.body)
                g.entry = act and await _begun(front, act)
            if route is not None and route.body is NoMembers:
                check_no_members(await request.body)
            return None
        address = front.proxies.address(headers, request.remote_addr)
        path, method = request.path, request.method
        note_refused_token(front.audit, front.gate, method, path, headers, address, found)
        if request.method == "POST":
            note_denied(front.engine, request.path[1:], headers, b"", found)
        return response(found)

    @app.after_request
    async def count(answer: Response) -> Response:
        front.metrics.request(request.method, answer.status_code)
        if entry := g.get("entry"):
            status = answer.status_code
            body = await answer.get_data(as_text=False) if status >= 400 else b""
            front.audit.end(entry, status, problem_of(body), g.who.token)
        return answer

    @app.errorhandler(Refused)
    async def refused(error: Refused) -> Response:
        if error.problem is Problem.OVERLOADED:
            members = error.members
            front.engine.run_log.overloaded(
                str(members["limit"]), retry_after_s=members["retryAfter"]
            )
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
            answer.headers["allow"] = ", ".join(_allowed(error, request.path))
        return answer

    @app.errorhandler(Exception)
    async def bug(error: Exception) -> Response:
        return response(internal_error(front, error, request.path))


async def _begun(front: Front, act: Act) -> AuditEntry:
    """The audit's entry of an act, with the names of what it is about."""
    actor = _actor(front)  # first: it refuses who says it wrongly
    names = await names_of(act, g.who, front.engine.memory.names, front.views)
    return front.audit.begin(act.act, act.what, act.detail, actor, names)


def _allowed(error: HTTPException, path: str) -> list[str]:
    methods = {*(getattr(error, "valid_methods", None) or ())}
    if path.strip("/") in wire.RESERVED_CLIENTS:  # it is no client's, so nothing is posted to it
        methods.discard("POST")
    return sorted(methods)


def _explain(kind: Problem, error: HTTPException, front: Front) -> str:
    if kind is Problem.TOO_LARGE:
        return f"The body is larger than {front.config.body_bytes_max:,} bytes (body_bytes_max)."
    if kind is Problem.NOT_FOUND:
        return "Nothing is at this address. Submissions go to POST /{client}."
    if kind is Problem.METHOD_NOT_ALLOWED:
        return "This address does not take this method."
    return error.description or "The request cannot be answered."


def _work(front: Front) -> Answers:
    async def submit(client: str) -> Reply:
        body, headers = Parcel(await request.body), raw_headers(request)
        reply = await answer_submission(front, g.who, client, headers, body)
        return _unless_lapsed(front, reply)

    async def outcome(id: str) -> Reply:
        posted = read_headers(raw_headers(request))
        wait = wait_of(posted, None)
        await check_own(g.who, id, no_such_step(id), front.engine.memory.client_of, front.views)
        found = await front.engine.outcome(id, wait)
        is_own = g.who.role is Role.SUBMIT
        shown = found if is_own else await read.shown_outcome(front, found)
        return _unless_lapsed(front, result_reply(shown, posted, redacted=shown is not found))

    async def take_action(id: str) -> Reply:
        raw = raw_headers(request)
        body = await request.body
        return await act.action(
            front, g.who, id, body, _actor(front), lambda: read_headers(raw).key
        )

    async def hold() -> Reply:
        return await act.hold(front, await request.body, _actor(front))

    async def release() -> Reply:
        return await act.release(front, await request.body, _actor(front))

    async def note_cause(cause: str) -> Reply:
        return await causes.note_cause(front, g.who, cause, await request.body, _actor(front))

    async def dismiss_cause(cause: str) -> Reply:
        body = await request.body
        return await causes.dismiss_cause(front, g.who, cause, body, _actor(front))

    async def begin_bulk() -> Reply:
        body = await request.body
        key = read_headers(raw_headers(request)).key
        answer = await bulk.ask(front.bulk, body, _actor(front), key, g.who)
        return json_reply(answer, 200 if answer.id is None else 202)

    return {
        routes.SUBMIT: submit,
        routes.OUTCOME: outcome,
        routes.ACT: take_action,
        routes.HOLDS: lambda: act.holds(front, g.who),
        routes.HOLD: hold,
        routes.RELEASE: release,
        routes.CAUSE_NOTE: note_cause,
        routes.CAUSE_UNNOTE: lambda cause, number: causes.take_note_back(
            front, g.who, cause, number, _actor(front)
        ),
        routes.CAUSE_DISMISS: dismiss_cause,
        routes.CAUSE_UNDISMISS: lambda cause: causes.undismiss_cause(
            front, g.who, cause, _actor(front)
        ),
        routes.BULK: begin_bulk,
        routes.JOBS: _json(lambda: bulk.jobs(front.bulk, request.args.to_dict(), g.who)),
        routes.JOB: _json(lambda id: bulk.show(front.bulk, id, g.who)),
        routes.ABORT: lambda id: bulk.abort(front.bulk, id, _actor(front), g.who),
    }


def _actor(front: Front) -> Actor:
    """Who sent the request at hand. Raises Refused."""
    headers = raw_headers(request)
    address = front.proxies.address(headers, request.remote_addr)
    return actor_of(headers, address, g.who.token)


def _unless_lapsed(front: Front, reply: Reply) -> Reply:
    def peer() -> str | None:
        return request.remote_addr

    return unless_lapsed(
        front, g.who, request.method, request.path, raw_headers(request), peer, reply
    )


def _json(read_it: Callable[..., Awaitable[Any]]) -> Answer:
    async def answer(**names: str) -> Reply:
        return json_reply(await read_it(**names))

    return answer


def _byte_range() -> str | None:
    return request.headers.get("range")


def _reads(front: Front) -> Answers:
    tail = events.EventTail(front.views, front.file_id, front.digests)

    async def event_stream() -> Response:
        if request.method == "HEAD":  # the stream would never end, and so neither its answer
            return Response(b"", content_type="text/event-stream")
        headers, since = raw_headers(request), request.args.get("since")
        start = events.Start(
            request.headers.get("last-event-id"),
            None if since is None else since_ms(since, front.clock.steady_ms()),
        )
        who: Who = g.who
        actor = _actor(front).name

        def may_read() -> bool:
            now = front.gate.check(routes.EVENTS, routes.EVENTS.path, "GET", headers, "")
            return now == who

        if who.client is not None and (counted := front.engine.new_runs.stream_begins(who.client)):
            give_back_when_answered(counted)
        if who.client is None:
            stream = await events.stream(front, tail, start, may_read)
        else:
            stream = await events.own_stream(front, tail, start, may_read, who.client)
        now = front.clock.steady_ms()
        give_back_when_answered(front.listeners.begins(actor, who.client, now))
        answer = Response(stream, content_type="text/event-stream")
        answer.timeout = None
        return answer

    async def answer_to(id: str, number: str | None) -> Reply:
        return await read.response(front, g.who, id, number, request.args, _byte_range())

    return {
        routes.STATUS: _json(lambda: read.status(front, g.who)),
        routes.WHOAMI: lambda: read.whoami(g.who),
        routes.RUNS: _json(lambda: read.runs(front, g.who, request.args.to_dict())),
        routes.RUN: lambda id: read.tree(front, g.who, id),
        routes.CAUSES: _json(lambda: causes.causes(front, g.who, request.args.to_dict())),
        routes.RETRIES: lambda: read.retries(front, g.who, request.args.to_dict()),
        routes.STEP: lambda id: read.step(front, g.who, id),
        routes.PAYLOAD: lambda id: read.payload(front, g.who, id, request.args, _byte_range()),
        routes.LAST_ANSWER: partial(answer_to, number=None),
        routes.ANSWER: answer_to,
        routes.EVENTS: event_stream,
    }


async def _examine(front: Front) -> Reply:
    return json_reply(await examine(front.examined))


async def _test_alerts(front: Front) -> Reply:
    return json_reply(await test_alerts(front.alerts, _actor(front)), 202)


async def _back_up(front: Front) -> Reply:
    asked = await request.body
    return json_reply(begin_backup(front.backups, asked, _actor(front)), 202)


async def _change_targets(front: Front, name: str) -> Reply:
    asked, actor = await request.body, _actor(front).name
    return json_reply(await clients.change_targets(front.changes, name, asked, actor))


async def _change_redact(front: Front, name: str) -> Reply:
    asked, actor = await request.body, _actor(front).name
    return json_reply(await clients.change_redact(front.changes, name, asked, actor))


def _admin(front: Front) -> Answers:
    changes, registry, now = front.changes, front.registry, front.clock.utc_ms

    async def add_client() -> Reply:
        asked = await request.body
        return json_reply(await clients.add_client(changes, asked, _actor(front).name, now()))

    async def add_signing_secret(name: str) -> Reply:
        return json_reply(await clients.add_signing_secret(changes, name, _actor(front).name))

    async def remove_signing_secret(name: str) -> Reply:
        asked, actor = await request.body, _actor(front).name
        return json_reply(await clients.remove_signing_secret(changes, name, asked, actor))

    async def set_disabled(name: str, *, disabled: bool) -> Reply:
        changed = await changes.set_disabled(name, _actor(front).name, disabled=disabled)
        return json_reply(clients.client_row(changed))

    async def remove_client(name: str) -> Reply:
        return json_reply(clients.client_row(await changes.remove_client(name, _actor(front).name)))

    async def add_token() -> Reply:
        asked = await request.body
        return json_reply(await clients.add_token(changes, asked, _actor(front).name, now()))

    async def rotate_token(name: str) -> Reply:
        asked = await request.body
        answer = await clients.rotate_token(changes, name, asked, _actor(front).name, now())
        return json_reply(answer)

    async def remove_token(name: str) -> Reply:
        removed = await changes.remove_token(name, _actor(front).name)
        return json_reply(clients.token_row(removed, now()))

    async def see_audit() -> Reply:
        return json_reply(await audit_page(front.audit, request.args.to_dict(), now()))

    async def set_limits() -> Reply:
        asked = await request.body
        return json_reply(await limits.set_limits(front.limits, asked, _actor(front).name))

    async def reset_limits() -> Reply:
        asked = await request.body
        return json_reply(await limits.reset_limits(front.limits, asked, _actor(front).name))

    return {
        routes.ALERTS_TEST: partial(_test_alerts, front),
        routes.BACKUP: partial(_back_up, front),
        routes.DOCTOR: partial(_examine, front),
        routes.AUDIT: see_audit,
        routes.LIMITS: lambda: json_reply(limits.limits_list(front.limits)),
        routes.LIMITS_SET: set_limits,
        routes.LIMITS_RESET: reset_limits,
        routes.CLIENTS: lambda: json_reply(clients.client_list(registry)),
        routes.CLIENT_ADD: add_client,
        routes.CLIENT_TARGETS: partial(_change_targets, front),
        routes.CLIENT_REDACT: partial(_change_redact, front),
        routes.CLIENT_SIGN: add_signing_secret,
        routes.CLIENT_UNSIGN: remove_signing_secret,
        routes.CLIENT_DISABLE: partial(set_disabled, disabled=True),
        routes.CLIENT_ENABLE: partial(set_disabled, disabled=False),
        routes.CLIENT_REMOVE: remove_client,
        routes.TOKENS: lambda: json_reply(clients.token_list(registry, now())),
        routes.TOKEN_ADD: add_token,
        routes.TOKEN_ROTATE: rotate_token,
        routes.TOKEN_REMOVE: remove_token,
    }


def _pruning(front: Front) -> Answers:
    async def prune_now() -> Reply:
        asked = await request.body
        answer = await prune.prune(front.pruning, asked, _actor(front).name)
        return json_reply(answer, 200 if answer.dry_run else 202)

    return {routes.PRUNE: prune_now}


def _pages(front: Front) -> Answers:
    async def metrics() -> Reply:
        body, content_type = await trio.to_thread.run_sync(
            front.metrics.page, ", ".join(request.headers.getlist("accept")), front.metrics.ask()
        )
        return Reply(200, (("content-type", content_type),), body)

    return {
        routes.HEALTH: lambda: Reply(200, TEXT, b"ok\n"),
        routes.READY: lambda: _readiness(front.engine),
        routes.METRICS: metrics,
        routes.OPENAPI: lambda: json_reply(document(front.version)),
        routes.PROBLEMS: pages.problem_index,
        routes.PROBLEM: pages.problem_page,
    }


def _readiness(engine: Engine) -> Reply:
    draining, is_away = engine.draining, engine.store.away is not None
    if engine.ready and not draining and not is_away:
        return Reply(200, TEXT, b"ready\n")
    why = b"draining\n" if draining else b"store-unavailable\n" if is_away else b"recovering\n"
    return Reply(503, (*TEXT, ("retry-after", "1")), why)
