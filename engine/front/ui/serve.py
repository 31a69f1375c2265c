"""Where each page is: Quart-trio before functions that know no framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from quart import Response, g, request
from quart_trio import QuartTrio

from engine.core.errors import Problem, Refused
from engine.front.access.actor import actor_of
from engine.front.access.audited import note_refused_token
from engine.front.api import read
from engine.front.api.context import Front
from engine.front.api.routes import (
    give_back_when_answered,
    name_of,
    raw_headers,
    response,
    rule_of,
)
from engine.front.asked import check_no_members
from engine.front.server.reply import Reply
from engine.front.show.replies import json_reply
from engine.front.ui import pages, run
from engine.front.ui.bodies import body_file, body_page
from engine.front.ui.export import Exports
from engine.front.ui.live import Streams, behind
from engine.front.ui.login import Door
from engine.front.ui.site import Site, asset
from engine.wire import PROBLEMS, routes

Answer = Callable[..., Awaitable[Reply | Response]]
"""What answers a page; it is called with the names of its path."""


def add_pages(app: QuartTrio, front: Front) -> None:
    """Have the application serve them, too."""
    site = Site(front)
    door = Door(site)
    answers = _answers(site, door, Streams(front))
    for route in routes.PAGES:
        view = _view(site, door, route, answers[route])
        app.add_url_rule(rule_of(route), name_of(route), view, methods=[route.method])


def _answers(site: Site, door: Door, streams: Streams) -> dict[routes.Route[Any], Answer]:
    return _pages(site) | _bodies(site) | _logins(site, door) | _live(site, door, streams)


def _pages(site: Site) -> dict[routes.Route[Any], Answer]:
    exports = Exports(site)

    async def static(name: str) -> Reply:
        found = asset(name)
        if found is None:
            raise Refused(Problem.NOT_FOUND, "There is no such file.")
        return found

    async def nothing(rest: str) -> Reply:
        raise Refused(Problem.NOT_FOUND, f"There is no page {f'/ui/{rest}'[:100]!r}.")

    return {
        routes.UI: lambda: pages.home(site, g.who),
        routes.UI_RUNS: lambda: pages.runs(site, g.who, request.args.to_dict()),
        routes.UI_RUN: lambda id: run.run_page(site, g.who, id, request.args.to_dict()),
        routes.UI_FILE: lambda id: exports.run_file(g.who, id, request.args.to_dict()),
        routes.UI_STUCK: lambda: pages.stuck(site, g.who, request.args.to_dict()),
        routes.UI_JOBS: lambda: pages.jobs(site, g.who, request.args.to_dict()),
        routes.UI_JOB: lambda id: pages.job(site, g.who, id),
        routes.UI_ASSET: static,
        routes.UI_ELSE: nothing,
    }


def _bodies(site: Site) -> dict[routes.Route[Any], Answer]:
    front = site.front

    async def body(id: str, number: str | None = None, *, answer: bool) -> Reply:
        async def read_it(byte_range: str | None) -> Reply:
            if not answer:
                return await read.payload(front, g.who, id, {}, byte_range)
            return await read.response(front, g.who, id, number, {}, byte_range)

        what = "answer" if answer else "payload"
        what += "" if number is None else f" to try {number}"
        if "file" in request.args:
            return await body_file(id, what, read_it)
        return await body_page(site, g.who, id, what, read_it)

    return {
        routes.UI_PAYLOAD: partial(body, answer=False),
        routes.UI_LAST_ANSWER: partial(body, answer=True),
        routes.UI_ANSWER: partial(body, answer=True),
    }


def _logins(site: Site, door: Door) -> dict[routes.Route[Any], Answer]:
    front = site.front

    async def login() -> Reply:
        code, headers = request.args.get("code"), raw_headers(request)
        if code is not None and front.registry.asks_token:
            if request.method == "HEAD" or front.gate.from_elsewhere("GET", headers) is not None:
                return await door.ask_first(code)
            return await door.enter(headers, code, _address(front))
        return await door.ask_for(request.args.get("next", ""), headers)

    async def make_link() -> Reply:
        check_no_members(await request.body)
        return json_reply(door.link(raw_headers(request)))

    async def log_in() -> Reply:
        return await door.log_in(raw_headers(request), await request.body, _address(front))

    return {
        routes.UI_LOGIN: login,
        routes.UI_LOG_IN: log_in,
        routes.UI_CODE: make_link,
        routes.UI_LOGOUT: lambda: door.log_out(raw_headers(request), request.method),
    }


def _live(site: Site, door: Door, streams: Streams) -> dict[routes.Route[Any], Answer]:
    front = site.front

    async def events(id: str) -> Response:
        headers, who = raw_headers(request), g.who
        place = streams.take(door.whose(headers) or who.token or _address(front) or "unknown")
        give_back_when_answered(place)  # of one that is refused below, too
        if who.client is not None and (counted := front.engine.new_runs.stream_begins(who.client)):
            give_back_when_answered(counted)
        await run.check_there(site, who, id)
        if request.method == "HEAD":  # the stream would never end
            return Response(b"", content_type="text/event-stream")
        seen = None
        if "last-event-id" not in request.headers:  # who comes back may have missed something
            seen = behind(front, who, request.args.get("seen", ""))

        def may_read() -> bool:
            now = front.gate.check_page(routes.UI_EVENTS, "GET", headers, door.logged_in)
            return bool(now == who)

        actor = actor_of(headers, _address(front), who.token).name
        listener = front.listeners.begins(actor, who.client, front.clock.steady_ms())
        give_back_when_answered(listener)
        answer = Response(streams.about(id, seen, may_read), content_type="text/event-stream")
        answer.timeout = None
        return answer

    return {routes.UI_EVENTS: events}


def _view(
    site: Site, door: Door, route: routes.Route[Any], answer: Answer
) -> Callable[..., Awaitable[Response]]:
    front = site.front

    async def view(**names: str) -> Response:
        headers = raw_headers(request)
        if request.method == "POST":  # no login does anything
            found = front.gate.from_elsewhere("POST", headers) or front.gate.check(
                route, request.path, "POST", headers, ""
            )
        else:
            found = front.gate.check_page(route, request.method, headers, door.logged_in)
        if isinstance(found, Reply):
            note_refused_token(
                front.audit, front.gate, request.method, request.path, headers, _address(front),
                found,
            )  # fmt: skip
            asks = found.status == 401 and _is_for_people()
            return response(door.to_login(request.full_path.rstrip("?")) if asks else found)
        g.who = found
        try:
            reply = await answer(**names)
            return response(reply) if isinstance(reply, Reply) else reply
        except Refused as error:
            if not _is_for_people():
                raise
            return response(await _refused(site, error))

    return view


def _is_for_people() -> bool:
    """Whether a browser asks for a page; a program is told what is wrong as everywhere."""
    return "text/html" in request.headers.get("accept", "")


def _address(front: Front) -> str | None:
    return front.proxies.address(raw_headers(request), request.remote_addr)


async def _refused(site: Site, error: Refused) -> Reply:
    """What was wrong, as a page."""
    its = PROBLEMS[error.problem]
    members = {"title": its.title, "detail": error.detail, "status": its.status}
    return await site.page("refused", g.who, members, its.status)
