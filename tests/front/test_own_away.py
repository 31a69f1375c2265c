"""While the store is away a tenant learns no more of another's runs than of those there are not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from engine.core.access.token import Role
from engine.core.errors import Problem, Refused
from engine.core.outcome import Outcome
from engine.front.access.own import check_own
from engine.front.access.who import Who
from engine.ports.caller import Invocation
from tests.contract.asks import AS_SHOP, admin, submit
from tests.contract.player import Ask, Called, Pass, Scene, Step, Trouble, record
from tests.runs.away import away_world
from tests.world import ok

ASYNC = "Prefer: respond-async"
TARGETS: Any = {"targets": ["http://<app>/"]}
AS_CAFE = "Authorization: Bearer <secret-3>"
LOOKS_AT_CAFE = "Authorization: Bearer <secret-4>"
FOREIGN, OWN, UNKNOWN = "<run-1>", "<run-2>", "01M84WPRZ8FE8XB2H4Y04XKXPK"
IDS = re.compile(rf"(<(run|step)-\d+>|{UNKNOWN})(-0123456789abcdef0123)?")
BEGIN: tuple[Step, ...] = (
    admin("clients", "X-No: 1", name="shop", **TARGETS), admin("clients", name="cafe", **TARGETS),
    admin("tokens", name="look", role="operate", client="cafe"),
)  # fmt: skip
RUNS: tuple[Step, ...] = (
    submit("order", "k", AS_SHOP, ASYNC), Called("order"),
    submit("charge", "k", AS_CAFE, ASYNC, client="cafe"), Called("charge"),
)  # fmt: skip
AWAY: tuple[Step, ...] = (
    Trouble("disk"), submit("ok", "first", AS_CAFE, ASYNC, client="cafe", begin="first"),
    Pass(0.6), Pass(0.3),
)  # fmt: skip


def asked(id: str, step: str, path: str) -> Ask:
    """One look at a run, or one action on it."""
    method, _, target = path.partition(" ")
    where = target.format(run=id, step=step)
    body = {"action": "pause"} if method == "POST" else None
    return Ask(f"{method} /api/v1/{where}", body, (LOOKS_AT_CAFE, "Prefer: wait=0"))


PATHS = (
    "GET runs/{run}", "GET steps/{run}", "GET steps/{step}", "GET steps/{run}/outcome",
    "GET steps/{step}/outcome", "GET steps/{run}/payload", "GET steps/{run}/response",
    "GET steps/{run}/attempts/1/response", "POST runs/{run}/actions",
)  # fmt: skip


def answers(scene: Scene) -> dict[str, list[tuple[str, Any]]]:
    """Status and document of each answer, by whose id was asked for: without the id itself."""
    told: dict[str, list[tuple[str, Any]]] = {FOREIGN: [], OWN: [], UNKNOWN: []}
    for it in record(scene):
        if LOOKS_AT_CAFE not in it.get("with", ()):
            continue
        (id,) = [each for each in told if each in it["ask"]]
        told[id].append((it["status"], IDS.sub("ID", repr(it["answer"]))))
    return told


@pytest.mark.parametrize("in_tables", [False, True])
def test_another_clients_run_is_as_one_that_there_is_not(*, in_tables: bool) -> None:
    """In the tables or in the journal alone: 404 for both, in the same words, whatever is asked.
    Its own run is found."""
    looks = tuple(
        asked(id, f"{id}-0123456789abcdef0123", path)
        for path in PATHS
        for id in (FOREIGN, UNKNOWN, OWN)
    )
    rest = (Pass(5.0),) if in_tables else ()
    told = answers(Scene((*BEGIN, *RUNS, *rest, *AWAY, *looks)))
    assert len(told[FOREIGN]) == len(PATHS)
    assert told[FOREIGN] == told[UNKNOWN]
    assert {status for status, _ in told[FOREIGN]} == {"404"}
    assert told[OWN][0][0] == "200"


async def test_nor_is_one_that_waits_to_be_recorded(autojump_clock: object, path: Path) -> None:
    """Whose it is is known before it is recorded: to another client there is none, and its own
    client is told that it waits."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    async with away_world(path, app) as (it, away):
        await away.begin()
        (run_id,) = it.engine.memory.live
        unknown = Refused(Problem.NOT_FOUND, "There is no such run.")

        async def look(client: str) -> object:
            who = Who("look", Role.OPERATE, client)
            await check_own(who, run_id, unknown, lambda run_id: None, away.views)
            return await away.views.tree(run_id)

        with pytest.raises(Refused) as foreign:
            await look("cafe")
        assert foreign.value is unknown
        with pytest.raises(Refused) as own:
            await look("shop")
        assert own.value.problem is Problem.STORE_UNAVAILABLE
        await away.end()
        with pytest.raises(Refused) as foreign:
            await look("cafe")
        assert foreign.value is unknown
        assert await look("shop") is not None
