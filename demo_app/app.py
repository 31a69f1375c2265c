"""Composition: databases, services, routes."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Never

from quart import Quart, request

from demo_app import analytics, effects, faults, newsletter, orders, partner, users
from demo_app.atomic import Atomic, open_http
from demo_app.carrier import AWAY_S_MAX, Carrier
from demo_app.database import open_database
from demo_app.effects import Effects
from demo_app.endpoints import BadRequest, Services, add_error_answers
from demo_app.faults import Draw, Faults, World
from demo_app.listener import Listener
from demo_app.mail import Mailer

SCHEMA = "".join(part.SCHEMA for part in (effects, faults, users, orders, partner, newsletter))


@dataclass(frozen=True)
class Settings:
    """What the command line says; `own_url` is where the engine reaches us (default: listener).

    `draw` gives the faults of a step for which none were planned (see `scenario.draw_faults`).
    `token_file` has the token that the engine asks for, `secret_file` what it signs calls with;
    both are read each time: what changes in them is taken without a restart.
    `carrier` is the host of an order's carrier, if it has one of its own.
    """

    engine_url: str
    client: str
    data: Path
    smtp: tuple[str, int]
    own_url: str | None = None
    draw: Draw | None = None
    may_crash: bool = False
    token_file: Path | None = None
    secret_file: Path | None = None
    carrier: Carrier | None = None


@asynccontextmanager
async def open_app(
    settings: Settings,
    listener: Listener,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Quart]:
    """The application, its databases open while the block runs. All waiting is by `sleep` (s)."""
    own_url = settings.own_url or f"http://127.0.0.1:{listener.port}"

    async def die() -> Never:
        await services.effects.wait_idle()
        os._exit(1)  # as in a power cut nothing is flushed, closed or answered

    def world() -> World:
        peer = request.scope["client"]
        assert peer is not None, "we listen on TCP only, where every peer has an address"
        crash = die if settings.may_crash else None
        return World(drop=partial(drop, peer[:2]), crash=crash, sleep=sleep)

    def drop(peer: tuple[str, int]) -> None:
        try:
            listener.drop(peer)
        except KeyError:
            if settings.carrier is None:
                raise
            settings.carrier.drop(peer)

    with (
        closing(open_database(settings.data / "app.db", SCHEMA)) as database,
        closing(open_database(settings.data / "analytics.db", analytics.SCHEMA)) as events,
    ):
        async with open_http() as http:
            services = Services(
                atomic=Atomic(
                    http,
                    f"{settings.engine_url}/{settings.client}",
                    own_url,
                    sleep,
                    settings.token_file,
                ),
                effects=Effects(database),
                faults=Faults(database, may_crash=settings.may_crash, draw=settings.draw),
                mailer=Mailer(*settings.smtp),
                http=http,
                analytics_url=f"{own_url}/analytics",
                world=world,
                secret_file=settings.secret_file,
                carrier=settings.carrier,
            )
            app = compose(services)
            app.register_blueprint(analytics.routes(events))
            try:
                yield app
            finally:
                await services.effects.wait_idle()


def compose(services: Services) -> Quart:
    """Routes: people's endpoints, the engine's, and the demonstration's own."""
    app = Quart("demo_app")
    add_error_answers(app)
    for routes in (users.routes, orders.routes, partner.routes, newsletter.routes):
        app.register_blueprint(routes(services))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/effects")
    async def list_effects() -> dict[str, Any]:
        return {"effects": services.effects.listing(request.args.get("key"))}

    @app.get("/faults")
    async def list_faults() -> dict[str, Any]:
        return {"faults": services.faults.listing()}

    @app.post("/faults")
    async def plan_faults() -> dict[str, Any]:
        body = await request.get_json()
        if not isinstance(body, dict) or not {"key", "step", "faults"} <= body.keys():
            raise BadRequest("the body must be an object with key, step and faults")
        services.faults.plan(str(body["key"]), str(body["step"]), body["faults"])
        return {"planned": body["faults"]}

    @app.post("/carrier/away")
    async def send_carrier_away() -> dict[str, Any]:
        body = await request.get_json()
        seconds = body.get("seconds") if isinstance(body, dict) else None
        if services.carrier is None:
            raise BadRequest("the carrier has no port of its own: start with --carrier-port")
        if not isinstance(seconds, int | float) or not 0 <= seconds <= AWAY_S_MAX:
            raise BadRequest(f"the body must be an object with seconds, 0 to {AWAY_S_MAX:g}")
        if seconds:
            services.carrier.send_away(seconds)
        else:
            services.carrier.come_back()
        return {"awaySeconds": seconds, "carrier": services.carrier.url}

    return app
