"""One small scenario that is told, not drawn: for failing its first operation, its second, …"""

from __future__ import annotations

from engine.core.retry import RetryPolicy
from tests.simulation import swarm as swarms
from tests.simulation.clients import Client
from tests.simulation.life import Death
from tests.simulation.net import Submission
from tests.simulation.programs import Call, Command, Program, value_of
from tests.simulation.world import Plan, World

HOST = "http://app0:9000"
RETRY = RetryPolicy(count=20, back_off_ms=300, factor=1.0, jitter=0)


def plan(*deaths: Death) -> Plan:
    """The scenario, with these deaths of the engine in it and no other fault."""
    return Plan(swarms.QUIET, deaths, _cast)


def _call(name: str, how: str = "do", **values: object) -> Call:
    return Call(name, f"{HOST}/{how}/{name}", value_of(name), RETRY, **values)  # type: ignore[arg-type]  # the few that a call of this file changes


def _cast(world: World) -> list[Client]:
    """Somebody who waits, somebody who asks once and leaves, and a run for each of them."""
    below = Program("r0.2", (Command((_call("r0.2.0"),)),))
    refused = Call(
        "r0.3", f"{HOST}/fail/always/r0.3", 0, RetryPolicy(count=1, back_off_ms=200),
        fails=True, instead=_call("r0.3!"),
    )  # fmt: skip
    whole = Program(
        "r0",
        (
            Command((_call("r0.0", "flaky/1"),)),
            Command((_call("r0.1.0"), _call("r0.1.1", parent_token=False))),
            Command((Call("r0.2", f"{HOST}/flow/r0.2", below.value, RETRY),)),
            Command((refused,)),
        ),
    )
    waits = Program("r1", (Command((_call("r1.0", "flaky/2"),), suspend=True),))
    clients = []
    for program, kind in ((whole, "patient"), (waits, "fire-and-forget"), (below, "")):
        world.library.programs[program.name] = program
        if not kind:
            continue
        what = Submission(
            *("shop", "flow", program.name, f"{HOST}/flow/{program.name}"),
            *(b'{"client":"shop"}', RETRY),
        )
        clients.append(Client(kind, what, 0.5))
    return clients
