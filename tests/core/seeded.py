"""The machine of `any_run.py`, driven by seeds with a workload like a real one's.

Hypothesis shrinks well and seldom goes deep; here most attempts come to an end, steps post steps,
and now and then an operator or a crash comes between. One seed replays everything.
"""

from __future__ import annotations

from random import Random

from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import OnExhausted, RetryPolicy
from engine.core.rules.action import Action
from tests.core.any_run import REPAIRS, AnyRun
from tests.core.support import BAD, LOST, OK, SUSPEND

STEPS_PER_SEED = 100
OUTCOMES: list[Outcome] = [
    *[OK] * 6,
    *[BAD] * 4,
    *[LOST] * 2,
    *[SUSPEND] * 2,
    Answered(503, retry_after_ms=5_000),
    Answered(500, no_retry=True),
    Answered(424),
    Unanswered(CallError.ANSWER_TOO_LARGE, "2 MiB"),
    Unanswered(CallError.TARGET_NOT_ALLOWED, "not on the list", pauses=True),
]


def _policy(random: Random) -> RetryPolicy | None:
    return random.choice(
        [
            None,
            RetryPolicy(count=0),
            RetryPolicy(count=1, back_off_ms=10),
            RetryPolicy(count=1, on_exhausted=OnExhausted.PAUSE),
            RetryPolicy(max_elapsed_ms=3_000),
        ]
    )


def _step(world: AnyRun, random: Random) -> None:
    which = random.randrange(10**6)
    kinds = {"post": 6, "end": 4, "time": 4, "act": 2, "late": 1, "crash": 0.3, "drain": 0.3}
    kinds |= {"repair": 0.7, "hold": 0.7, "let-go": 0.7}
    if world.driven.run.root.ended:
        kinds |= {"act": 8}
    match random.choices(list(kinds), list(kinds.values()))[0]:
        case "post":
            name, payload = random.choice("abcdef"), random.choice("xxxy")
            parent_token, count = random.random() < 0.6, random.randrange(3)
            world.post(name, payload, _policy(random), which, parent_token, count)
        case "end" if world.driven.run.flights:
            posts = random.choice(["fine"] * 8 + ["cut", "refused"])
            flying = len(world.driven.run.flights)
            if flying > 1 and random.random() < 0.7:  # steps end sooner than their workflow
                which = random.randrange(1, flying)
            outcome = random.choice(OUTCOMES)
            held = random.random() < 0.2
            world.end(which, outcome, random.random(), posts, held=held)
        case "time":
            world.pass_time(random.choice([None, 1, 1_000, 70_000]), random.randrange(5))
        case "act":
            again = [Action.RETRY, Action.RERUN] if world.driven.run.root.ended else list(Action)
            world.act(random.choice(again), random.choice([None, which]))
        case "repair" if random.random() < 0.7:
            world.act(random.choice(REPAIRS), which)
        case "repair":
            world.call_with_another_payload(None)
        case "hold":
            world.hold(random.choice([0, 5_000]))
        case "let-go" if any(it.held_since is not None for it in world.driven.run.steps.values()):
            world.let_go(which)
        case "late":
            world.end_late(which, random.choice(OUTCOMES))
        case "crash":
            world.crash(random.choice([0, 0, 3_600_000]), random.choice([1, 1, 1, 11]))
        case "drain":
            world.drain(random.randrange(5))


def run_of(seed: int, machine: type[AnyRun] = AnyRun) -> AnyRun:
    """A run to which this seed's workload has happened."""
    random, world = Random(seed), machine()
    world.open(_policy(random))
    for _ in range(STEPS_PER_SEED):
        _step(world, random)
    return world
