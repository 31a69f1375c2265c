"""Who is answered while there are as many connections as may be."""

from __future__ import annotations

import pytest

from engine.core.access.token import Role
from engine.front.server.strict import RequestHead
from tests.front.gates import gate_of, token

FOR_APPLICATIONS = [
    ("POST", "/shop"),
    ("POST", "/shop/"),
    ("GET", "/api/v1/steps/x/outcome?wait=5"),
    ("GET", "/nowhere"),
    ("GET", "/api/v1/nowhere"),
    ("PUT", "/shop"),
    ("POST", "/healthz"),
]
FOR_OPERATORS = [
    ("GET", "/api/v1/status"),
    ("HEAD", "/api/v1/status"),
    ("GET", "/api/v1/runs?q=is:stuck"),
    ("GET", "/api/v1/events"),
    ("POST", "/api/v1/runs/x/actions"),
    ("POST", "/api/v1/holds"),
    ("GET", "/metrics"),
    ("HEAD", "/metrics"),
    ("GET", "/ui"),
    ("GET", "/ui/runs/x"),
]
OF_NO_ROLE = [("GET", "/ui/static/page.css"), ("GET", "/problems/overloaded")]
"""Pages come with these: where no token is asked for they are let in."""
HEALTH = [("GET", "/healthz"), ("HEAD", "/healthz"), ("GET", "/readyz")]
TOKENS = [
    token("submitter", Role.SUBMIT, "shop"),
    token("tenant", Role.OPERATE, "shop"),
    token("reader", Role.READ),
    token("operator", Role.OPERATE),
    token("root", Role.ADMIN),
]
OPERATORS = {"reader", "operator", "root"}


def head_of(method: str, target: str, bearer: str = "", body_bytes: int | None = 0) -> RequestHead:
    value = f"Bearer atomic_{bearer}".encode() if bearer else b""
    return RequestHead(method.encode(), target.encode(), True, (), body_bytes, value)


@pytest.mark.parametrize("bearer", ["", "nobody", *(it.name for it in TOKENS)])
def test_where_tokens_are_asked_for(bearer: str) -> None:
    """Whoever may look at all of it, and a prober; a token of one client's opens nothing here."""
    lets_in = gate_of(*TOKENS).lets_in
    for asked in (*FOR_OPERATORS, *FOR_APPLICATIONS, *OF_NO_ROLE):
        opens = bearer in OPERATORS and asked not in FOR_APPLICATIONS
        assert lets_in(head_of(*asked, bearer)) is opens, asked
    assert all(lets_in(head_of(*asked, bearer)) for asked in HEALTH)


def test_where_none_is_asked_for() -> None:
    """All but what is for applications."""
    lets_in = gate_of(clients=()).lets_in
    assert all(lets_in(head_of(*it)) for it in (*FOR_OPERATORS, *OF_NO_ROLE, *HEALTH))
    assert not any(lets_in(head_of(*it)) for it in FOR_APPLICATIONS)


@pytest.mark.parametrize("body_bytes", [1, None])
def test_a_prober_sends_no_body(body_bytes: int | None) -> None:
    """One that never comes would keep its place."""
    assert not gate_of(*TOKENS).lets_in(head_of("GET", "/healthz", "", body_bytes))
