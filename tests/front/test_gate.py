"""Which token opens which route: every role on every route, as the table of routes says it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine.core.access.client import Client
from engine.core.access.token import Role
from engine.core.text.secrets import without_secrets
from engine.front.access.gate import Gate, posted_to
from engine.front.access.tokens import who_has
from engine.front.access.who import EVERYBODY, Who
from engine.front.server.reply import Reply
from engine.front.server.strict import RawHeaders
from engine.registry.registry import Registry, digest_of
from engine.wire import routes
from engine.wire.routes import ROUTES, Route
from tests.front.gates import HOST, JSON, NOW, bearing, gate_of, token

OF_ALL = (routes.METRICS, routes.LIMITS, routes.HOLD, routes.RELEASE)
"""What tells of all clients: not for who is bound to one."""
OPENS = {
    None: "submit read operate admin nobody",
    Role.SUBMIT: "submit operate admin",
    Role.READ: "read operate admin",
    Role.OPERATE: "operate admin",
    Role.ADMIN: "admin",
}
"""By what a route asks for, whom it lets in: as a person reads the page."""


def asked(gate: Gate, route: Route[Any] | None, headers: RawHeaders, client: str = "shop") -> Any:
    """Who passes, or the status and the problem of the refusal."""
    method = "GET" if route is None else route.method
    found = gate.check(route, "/", method, headers, client)
    if isinstance(found, Who):
        return found
    return found.status, json.loads(found.body)


def roles_and_routes() -> Iterator[Any]:
    for route in ROUTES:
        for role in Role:
            for client in (None, "shop") if role in (Role.READ, Role.OPERATE) else (None,):
                bound = "shop" if role is Role.SUBMIT else client
                name = f"{role}-{bound}-{route.method}-{route.path}"
                yield pytest.param(route, role, bound, id=name)


@pytest.mark.parametrize(("route", "role", "client"), [*roles_and_routes()])
def test_a_role_opens_what_the_table_says(route: Route[Any], role: Role, client: str) -> None:
    """Every role, bound or not, on every route. Who is refused is told what is needed and what
    they have, and never the token."""
    found = asked(gate_of(token("it", role, client)), route, bearing("it"))
    roles = [*Role] if route is routes.WHOAMI else OPENS[route.role].split()
    opens = role in roles and not (client and route in OF_ALL)
    assert isinstance(found, Who) is opens
    if route.role is None:
        assert found == EVERYBODY
    elif opens:
        assert found == Who("it", role, client)
    else:
        status, problem = found
        assert (status, problem["type"]) == (403, "/problems/forbidden")
        assert f"role {route.role}" in problem["detail"]
        assert "atomic_" not in problem["detail"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda it: f"{it.method}-{it.path}")
def test_without_a_good_token_there_is_health_alone(route: Route[Any]) -> None:
    """And the pages of problems. A token that never was, one that has run out, and a header that
    is none are refused alike, with the challenge of RFC 6750."""
    gate = gate_of(token("old", Role.ADMIN, expires_at=NOW[0]))
    for headers in (
        (HOST, JSON), bearing("old"), bearing("none"), bearing("old", (b"authorization", b"x")),
        (HOST, JSON, (b"authorization", b"Basic YTpi")),
    ):  # fmt: skip
        found = gate.check(route, "/", route.method, headers, "shop")
        if route.role is None:
            assert found == EVERYBODY
            continue
        assert isinstance(found, Reply)
        assert found.status == 401
        assert dict(found.headers)["www-authenticate"].startswith('Bearer realm="atomic"')
        assert b"atomic_old" not in found.body


def test_nobody_is_asked_where_there_are_neither_clients_nor_tokens() -> None:
    """Who sets nothing keeps what there was; a token that is sent all the same harms nothing."""
    gate = gate_of(clients=())
    for route in ROUTES:
        assert asked(gate, route, bearing("any")) == asked(gate, route, (HOST, JSON)) == EVERYBODY
    assert asked(gate_of(), routes.RUNS, (HOST, JSON))[0] == 401, "a client is enough"


def test_what_is_not_there_is_told_to_those_with_a_token() -> None:
    """Of whatever role: without one nobody learns which addresses there are."""
    gate = gate_of(token("it", Role.SUBMIT, "shop"))
    assert asked(gate, None, bearing("it"), "") == Who("it", Role.SUBMIT, "shop")
    assert asked(gate, None, (HOST, JSON), "")[0] == 401


@pytest.mark.parametrize(
    ("role", "bound", "client", "words"),
    [
        (Role.SUBMIT, "shop", "cafe", "it posts to /shop, and not to /cafe"),
        (Role.OPERATE, "shop", "cafe", "it posts to /shop"),
        (Role.SUBMIT, "shop", "nosuch", "it posts to /shop, and not to /nosuch"),
        (Role.ADMIN, None, "nosuch", "There is no client 'nosuch'"),
        (Role.SUBMIT, "gone", "gone", "There is no client 'gone' here (any more)"),
        (Role.SUBMIT, "off", "off", "The client 'off' is disabled: `atomic client enable off`"),
        (Role.ADMIN, None, "off", "The client 'off' is disabled"),
        (Role.ADMIN, None, "away", "The client 'away' is disabled: clients/away.toml says so."),
    ],
)
def test_a_post_is_to_a_client_that_is_known(
    role: Role, bound: str | None, client: str, words: str
) -> None:
    """And is the token's own; of others it learns nothing, not even whether they are there."""
    clients = (
        Client("shop"),
        Client("cafe"),
        Client("off", disabled=True),
        Client("away", disabled=True, defined_in="clients/away.toml"),
    )
    gate = gate_of(token("it", role, bound), clients=clients)
    status, problem = asked(gate, routes.SUBMIT, bearing("it"), client)
    assert status == 403
    assert words in problem["detail"]


FORM = (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((FORM,), None),
        ((FORM, (b"content-length", b"8192")), None),
        ((FORM, (b"content-length", b"8193")), 413),
        ((FORM, (b"content-length", b"9" * 400)), 413),
        ((FORM, (b"transfer-encoding", b"chunked")), 413),
        ((JSON, (b"content-length", b"2")), 415),
        (((b"content-length", b"2"),), 415),
    ],
)
def test_how_long_a_form_is_is_known_before_it_is_read(
    lines: tuple[tuple[bytes, bytes], ...], status: int | None
) -> None:
    """The one that there is is for who has no token."""
    found = gate_of(token("it", Role.READ)).check_head("POST", b"/ui/login?x", (HOST, *lines))
    assert (None if found is None else found.status) == status


def test_the_order_of_the_checks() -> None:
    """Another origin before the token, the token before the name and the kind of body; a good
    token makes the name unimportant, as who has it is no page of a browser."""
    gate = gate_of(token("it", Role.SUBMIT, "shop"))
    foreign, elsewhere = (b"origin", b"http://evil"), (b"host", b"elsewhere")
    bare = (elsewhere, foreign)
    bearer = bearing("it")[2]
    assert asked(gate, routes.SUBMIT, (*bare, bearer))[0] == 403
    assert asked(gate, routes.SUBMIT, bare)[1]["detail"].startswith("Requests of pages")
    assert asked(gate, routes.SUBMIT, (elsewhere,))[0] == 401
    assert asked(gate, routes.SUBMIT, (elsewhere, bearer))[0] == 415
    assert asked(gate, routes.SUBMIT, (elsewhere, bearer, JSON)) == Who("it", Role.SUBMIT, "shop")
    assert asked(gate, routes.PROBLEMS, (elsewhere,))[0] == 421, "without a token the name counts"


def test_a_token_holds_no_longer_than_it_is_one() -> None:
    """What is remembered of a head outlives neither the token nor its time."""
    gate = gate_of(token("it", Role.READ, expires_at=NOW[0] + 5))
    try:
        assert asked(gate, routes.RUNS, bearing("it")) == Who("it", Role.READ)
        NOW[0] += 5
        assert asked(gate, routes.RUNS, bearing("it"))[0] == 401
    finally:
        NOW[0] -= 5
    gate.registry.set_defined([Client("shop")], [])
    assert asked(gate, routes.RUNS, bearing("it"))[0] == 401
    gate.registry.set_defined([], [])
    assert asked(gate, routes.RUNS, bearing("it"))[0] == 401, "files that are gone open nothing"


def test_of_a_rotated_token_both_secrets_hold_for_a_while() -> None:
    """To the millisecond: then the new one alone. When the token runs out both are over."""
    rotated = token(
        "new", Role.READ, rotated_digest=digest_of("atomic_old"), rotated_until=NOW[0] + 5,
        expires_at=NOW[0] + 9,
    )  # fmt: skip
    gate = gate_of(rotated)

    def good() -> list[str]:
        return [it for it in ("old", "new") if asked(gate, routes.RUNS, bearing(it)) != 401
                and isinstance(asked(gate, routes.RUNS, bearing(it)), Who)]  # fmt: skip

    try:
        assert good() == ["old", "new"]
        NOW[0] += 5
        assert good() == ["new"]
        NOW[0] += 4
        assert good() == []
    finally:
        NOW[0] = 1_000


@pytest.mark.parametrize(
    ("target", "route", "client"),
    [
        (b"/shop", routes.SUBMIT, "shop"),
        (b"/shop?x=1", routes.SUBMIT, "shop"),
        (b"/sh%6Fp", routes.SUBMIT, "shop"),
        (b"/api/v1/runs/R/actions", routes.ACT, ""),
        (b"/api/v1/bulk/", routes.BULK, ""),
        (b"/api/v1/bulk/J/abort", routes.ABORT, ""),
        (b"/api/v1/nothing", None, ""),
    ],
)
def test_a_head_alone_tells_the_route(target: bytes, route: Any, client: str) -> None:
    """So that who may not post is refused before the body is read."""
    assert posted_to(target)[:2] == (route, client)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_health_is_for_anybody_whatever_comes_with_it(method: str) -> None:
    """A prober may send a body; the head decides."""
    gate = gate_of(token("it", Role.READ))
    assert gate.check_head(method, b"/healthz?x", (HOST, JSON)) is None
    assert gate.check_head(method, b"/healthz/x", (HOST, JSON)) is not None


def test_who_has_no_token_is_told_what_to_do_also_in_an_attempts_reason() -> None:
    """A helper passes it on: then it is cut to 120 bytes, and what looks like a secret masked."""
    reply = who_has(Registry.__new__(Registry), None)
    assert isinstance(reply, Reply)
    detail = json.loads(reply.body)["detail"]
    assert without_secrets(detail) == detail
    assert "ATOMIC_TOKEN_FILE" in detail[:120]


def test_whose_a_connection_is() -> None:
    """Its token's client, whoever of that it is; without a client the token's own; and where no
    token is asked for everybody's."""
    gate = gate_of(
        token("a", Role.SUBMIT, "shop"), token("b", Role.READ, "shop"), token("c", Role.ADMIN)
    )
    assert [owner_of(gate, it) for it in "abc"] == ["shop", "shop", "token c"]
    assert owner_of(gate, "x") is gate.owner_of(b"") is None
    gate.registry.asks_token = False
    assert owner_of(gate, "a") == owner_of(gate, "x") == ""


def owner_of(gate: Gate, name: str) -> str | None:
    return gate.owner_of(gate.token_of(dict(bearing(name))[b"authorization"]))


def test_whether_a_token_is_good_is_asked_without_a_use() -> None:
    """Who looks through connections for one to close uses none of their tokens."""
    gate = gate_of(token("it", Role.READ))
    digest = digest_of("atomic_it")
    assert owner_of(gate, "it") == "token it"
    assert gate.registry.used_at(digest) is None
    assert owner_of(gate, "other") is None
    assert gate.check(routes.RUNS, "/api/v1/runs", "GET", bearing("it"), "")
    assert gate.registry.used_at(digest) == NOW[0]
