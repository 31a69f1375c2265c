"""What the audit keeps of a request."""

from __future__ import annotations

import json
import re
from typing import Any, cast
from unittest import mock

import pytest

from engine.core.access.token import Role
from engine.core.errors import Problem, Refused
from engine.front.access.audited import (
    DETAIL_CHARACTERS_MAX,
    Act,
    act_of,
    is_act,
    names_of,
    problem_of,
)
from engine.front.access.who import Who
from engine.front.admin.audit import audit_page
from engine.ports.audit import AuditEntry, AuditQuery, Names
from engine.wire import Action, routes
from engine.wire.access import BACKUP_FAILED, BACKUP_MADE, RESTORE, TOKEN_REFUSED
from engine.wire.routes import ROUTES, Route

NOW = 1_800_000_000_000


def _asked(**members: Any) -> bytes:
    return json.dumps(members).encode()


def test_every_route_that_changes_something_has_a_name_in_the_audit() -> None:
    """Posts of the roles operate and admin, and no others: a new one without a name fails here."""
    changing = {it for it in ROUTES if it.method == "POST" and it is not routes.SUBMIT}
    assert {it.role for it in changing} == {Role.OPERATE, Role.ADMIN}
    bodies = {it for it in ROUTES if routes.WHOLE in it.queries}  # for when all of one is asked for
    assert {it for it in ROUTES if it.act} == changing | bodies
    names = [it.act for it in ROUTES if it.act]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("route", "names", "body", "act"),
    [
        (routes.ACT, {"id": "R1"}, _asked(action="retry", reason="x"),
         Act("retry", "R1", '{"reason":"x"}', "R1", "R1")),
        (routes.ACT, {"id": "R1"}, _asked(action="skip", step="R1-2"),
         Act("skip", "R1", '{"step":"R1-2"}', "R1", "R1-2")),
        (routes.ACT, {"id": "R1"}, _asked(action="skip", step=["R1-2"]),
         Act("skip", "R1", '{"step":["R1-2"]}', "R1")),
        (routes.BULK, {}, _asked(action="cancel", q="is:failed", expect=3),
         Act("bulk cancel", "is:failed", '{"expect":3}')),
        (routes.HOLD, {}, _asked(kind="host", name="a:1"), Act("hold", "host a:1", "")),
        (routes.CLIENT_ADD, {}, _asked(name="shop", targets=[]),
         Act("client add", "shop", '{"targets":[]}')),
        (routes.TOKEN_REMOVE, {"name": "ci"}, b"{}", Act("token rm", "ci", "")),
        (routes.TOKEN_ROTATE, {"name": "ci"}, b"", Act("token rotate", "ci", "")),
    ],
)  # fmt: skip
def test_an_act_is_told_in_the_words_of_the_command(
    route: Route[Any], names: dict[str, str], body: bytes, act: Act
) -> None:
    """What was done, to what, and the rest of what was asked."""
    assert act_of(route, names, body) == act


@pytest.mark.parametrize("route", [routes.PAYLOAD, routes.ANSWER, routes.LAST_ANSWER])
def test_that_all_of_a_body_is_asked_for_is_an_act(route: Route[Any]) -> None:
    """Refused or not, and no other look at it."""
    assert is_act(route, {"whole": "true"})
    assert not is_act(route, {"whole": "false"})
    assert not is_act(route, {})
    assert not is_act(routes.STEP, {"whole": "true"})
    act = Act(route.act, "R1-2 3", "", "R1", "R1-2")
    assert act_of(route, {"id": "R1-2", "number": "3"}, b"") == act


def test_all_that_is_kept_has_one_of_the_names_that_there_are() -> None:
    """Those of routes, and of the actions of runs and bulk jobs, also one that there is not."""
    for route in (it for it in ROUTES if it.act):
        names = dict.fromkeys(re.findall(r"\{(\w+)\}", route.path), "x")
        for action in (*Action, "restore", "dance"):
            act = act_of(route, names, _asked(action=action))
            assert act is not None
            assert act.act in routes.ACTS
    beside = {TOKEN_REFUSED, RESTORE, BACKUP_MADE, BACKUP_FAILED}
    assert beside < routes.ACTS
    assert not {"action", "bulk"} & routes.ACTS


EVERYBODY = Who()
SHOP = Names("shop", "w", "k", "pay")


async def test_names_are_looked_for_in_memory_and_then_in_the_store() -> None:
    """An act is named by what it is about. Who sees one client is told nothing of others by it, and
    a store that cannot be read keeps nobody from acting."""

    class Stored:
        def __init__(self, found: Names | Refused | None) -> None:
            self.found = found

        async def names(self, run_id: str, step_id: str) -> Names | None:
            assert (run_id, step_id) == ("R1", "R1-2")
            if isinstance(self.found, Refused):
                raise self.found
            return self.found

    act, refused = Act("skip", "R1", "", "R1", "R1-2"), Refused(Problem.STORE_UNAVAILABLE, "away")

    async def named(
        stored: Any, at_hand: Names | None = None, who: Who = EVERYBODY
    ) -> Names | None:
        return await names_of(
            act, who, lambda run_id, step_id: at_hand, cast("Any", Stored(stored))
        )

    assert await named(refused, at_hand=SHOP) == SHOP
    assert await named(SHOP) == SHOP
    assert await named(SHOP, who=Who(client="shop")) == SHOP
    assert await named(SHOP, who=Who(client="cafe")) is None
    assert await named(None) is None
    assert await named(refused) is None
    of_none = Act("hold", "client shop", "")
    assert await names_of(of_none, Who(), lambda *ids: SHOP, cast("Any", None)) is None


def test_what_changes_nothing_is_no_act() -> None:
    """Neither a look nor a dry run."""
    assert act_of(routes.RUNS, {}, b"") is None
    assert act_of(routes.BULK, {}, _asked(action="retry", q="", dryRun=True)) is None
    assert act_of(routes.BULK, {}, _asked(action="retry", q="", dryRun=False)) is not None


@pytest.mark.parametrize("route", [routes.PAYLOAD, routes.LAST_ANSWER, routes.HOLD])
def test_only_where_there_are_dry_runs_can_one_be_asked_for(route: Route[Any]) -> None:
    """Elsewhere the member means nothing: who sends it must not be passed over by the audit."""
    assert act_of(route, {"id": "S1"}, _asked(dryRun=True)) is not None


@pytest.mark.parametrize("body", [b"[1]", b"{", b'"\xff"', b"[" * 100_000, b"null"])
def test_what_cannot_be_read_is_kept_without_its_members(body: bytes) -> None:
    """It is refused, which the entry's status says."""
    assert act_of(routes.ACT, {"id": "R1"}, body) == Act("?", "R1", "", "R1", "R1")


@pytest.mark.parametrize("member", ["payload", "result", "paylod", "Payload", "response"])
def test_bodies_are_not_kept(member: str) -> None:
    """They belong to their run, and may be secret; so may what a name holds that is none of the
    route's, as one that is misspelt."""
    act = act_of(routes.ACT, {"id": "R1"}, _asked(action="rerun", **{member: {"a": "canary"}}))
    assert act == Act("rerun", "R1", f'{{"{member}":"(not kept)"}}', "R1", "R1")


@pytest.mark.parametrize("number", ["1" * 5_000, "1e999"])
def test_an_act_is_told_whatever_its_body_holds(number: str) -> None:
    """The record takes numbers that the decoder does not, and their act has its name."""
    body = f'{{"action":"rerun","payload":{number}}}'.encode()
    act = act_of(routes.ACT, {"id": "R1"}, body)
    assert act == Act("rerun", "R1", '{"payload":"(not kept)"}', "R1", "R1")
    dry = body.replace(b"{", b'{"dryRun":true,')
    assert act_of(routes.ACT, {"id": "R1"}, dry) is None


def test_what_looks_like_a_secret_is_not_kept() -> None:
    """Wherever it was written, as in a URL or a reason; names of what is hidden stay."""
    asked = _asked(action="retarget", to="https://me:canary@b/", reason="token=canary")
    act = act_of(routes.ACT, {"id": "R1"}, asked)
    assert act is not None
    assert "canary" not in act.detail
    assert "@b/" in act.detail
    names = _asked(add=["/card/password", "authorization", "x-api-key"], remove=["/token"])
    assert act_of(routes.CLIENT_REDACT, {"name": "shop"}, names) == Act(
        "client redact", "shop", names.decode().replace(" ", "")
    )


def test_what_was_asked_is_kept_up_to_a_bound() -> None:
    """The longest whole, and one character more cut."""
    room = DETAIL_CHARACTERS_MAX - len('{"reason":""}')
    for length, cut in ((room, False), (room + 1, True)):
        act = act_of(routes.ACT, {"id": "R1"}, _asked(action="retry", reason="x" * length))
        assert act is not None
        assert (len(act.detail), act.detail.endswith("…")) == (DETAIL_CHARACTERS_MAX, cut)


def test_the_type_of_a_problem_is_its_last_part() -> None:
    """Of a document; of anything else there is none."""
    assert problem_of(b'{"type":"/problems/not-found","status":404}') == "not-found"
    assert problem_of(b"") is None
    assert problem_of(b"not json") is None


@pytest.mark.parametrize(
    ("since", "at"),
    [
        ("1h30m", NOW - 5_400_000),
        ("90d", NOW - 7_776_000_000),
        ("500ms", NOW - 500),
        ("0s", NOW),
        ("999999999999d", 0),
        ("2026-11-23T12:00:00Z", 1_795_435_200_000),
    ],
)
async def test_since_is_a_time_or_a_duration(since: str, at: int) -> None:
    """As on the command line, and never before there was any time."""
    asked: list[AuditQuery] = []

    async def page(query: AuditQuery) -> list[AuditEntry]:
        asked.append(query)
        return []

    await audit_page(mock.Mock(page=page), {"since": since}, NOW)
    assert [query.since for query in asked] == [at]


@pytest.mark.parametrize("since", ["90", "1.5h", "1w", "yesterday", "1h 30m", ""])
async def test_what_is_neither_is_refused(since: str) -> None:
    """With how both are written."""
    with pytest.raises(Refused, match="or 12h or 90d for so long") as refused:
        await audit_page(mock.Mock(), {"since": since}, NOW)
    assert refused.value.members == {"member": "since"}
