"""The table of routes is what the engine serves: no rule beside it, and none that is missing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from quart_trio import QuartTrio

from engine.front.api.routes import build
from engine.front.ui.serve import add_pages
from engine.process.config import Config
from engine.wire import NAMES_NOT_FREE, RESERVED_CLIENTS, routes
from engine.wire.routes import ROUTES, Role, Route
from tests.world import FakeClock

FRONT: Any = SimpleNamespace(
    config=Config(), version="1", views=None, file_id="file", changes=None, registry=None,
    clock=FakeClock(), digests=None,
)  # fmt: skip


def differing(app: QuartTrio) -> set[tuple[str, str]]:
    """Rules that are not in the table, and routes that are not served."""
    served = {
        (method, rule.rule.replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    return served ^ {(route.method, route.path) for route in routes.ROUTES}


def test_the_rules_are_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule beside it is found, and a route that is not served. Without an answer none starts."""
    app = build(FRONT)
    assert differing(app) == set()
    app.add_url_rule("/beside/<id>", "beside", lambda id: "", methods=["GET", "POST"])
    assert differing(app) == {("GET", "/beside/{id}"), ("POST", "/beside/{id}")}
    new: Route[bytes] = Route("POST", "/new", Role.ADMIN, bytes, "New.")
    monkeypatch.setattr(routes, "ROUTES", (*ROUTES, new))
    assert ("POST", "/new") in differing(app)
    with pytest.raises(KeyError):
        build(FRONT)


def test_the_pages_are_their_table() -> None:
    """What is below `/ui` is a route of the table of pages. But for the form of the login they
    read, and but for what a login takes each has a role."""
    app = build(FRONT)
    add_pages(app, FRONT)
    assert differing(app) == {(page.method, page.path) for page in routes.PAGES}
    posted = [page for page in routes.PAGES if page.method == "POST"]
    assert posted == [routes.UI_LOG_IN, routes.UI_CODE]
    free = [page for page in routes.PAGES if page.role is None]
    assert free == [routes.UI_LOGIN, routes.UI_LOG_IN, routes.UI_LOGOUT, routes.UI_ASSET]
    assert {page.path.split("/")[1] for page in routes.PAGES} <= NAMES_NOT_FREE


def test_no_client_is_called_as_a_route_begins() -> None:
    """Else its posts and that route would be one address."""
    assert {route.path.split("/")[1] for route in ROUTES} - {"{client}"} <= RESERVED_CLIENTS


def test_every_change_needs_a_role_that_may_change_something() -> None:
    """And who has no token learns only that the engine is there, and what its problems are."""
    changing = {it.role for it in ROUTES if it.method == "POST"}
    assert changing == {Role.SUBMIT, Role.OPERATE, Role.ADMIN}
    free = [it for it in ROUTES if it.role is None]
    assert free == [routes.PROBLEM, routes.PROBLEMS, routes.HEALTH, routes.READY]
