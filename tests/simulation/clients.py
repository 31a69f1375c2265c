"""Who posts workflows, and the operator who meddles.

The mix matters: a client that posts again until it has an answer repairs what the engine loses, so
some stop at the first acknowledgement and some never post twice.
"""

from __future__ import annotations

from random import Random

import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.core.errors import Refused
from engine.core.events import Actor
from engine.core.model import Move
from engine.core.rules.action import Action, Order
from engine.core.rules.repair import Given
from tests.simulation.history import Act, History, Post
from tests.simulation.life import Died
from tests.simulation.net import Net, Submission

KINDS = ("patient", "impatient", "fire-and-forget", "one-shot", "burst", "other-payload", "reader")


class Client(Struct, frozen=True):
    """Somebody who wants one workflow run."""

    kind: str
    what: Submission
    starts_s: float


async def act_as(client: Client, net: Net, rng: Random) -> None:
    """Do what this kind of client does."""
    await trio.sleep(client.starts_s)
    match client.kind:
        case "patient":
            await _patient(net, client.what, rng)
        case "impatient":
            for _ in range(rng.randint(1, 8)):
                post = await net.post(client.what, rng.random() * 3)
                if post.is_over:
                    break
                await trio.sleep(rng.random() * 3)
        case "fire-and-forget":
            what = replace(client.what, prefer="respond-async")
            while not ((post := await net.post(what, 10.0)).acknowledged or post.is_expired):
                await trio.sleep(0.1 + rng.random() * 5)
        case "one-shot":
            await net.post(client.what, rng.choice((0.05, 1.0, 30.0)))
        case "burst":
            async with trio.open_nursery() as nursery:
                for _ in range(rng.randint(2, 6)):
                    nursery.start_soon(net.post, client.what, 60.0)
        case "other-payload":
            await _other_payload(net, client.what)
        case "reader":
            await _reader(net, client.what, rng)
        case _:
            raise AssertionError(client.kind)


async def _patient(net: Net, what: Submission, rng: Random) -> None:
    """Post until there is an outcome, and then once more."""
    what = replace(what, prefer=rng.choice((None, None, "wait=10")))
    what = replace(what, timeout_ms=rng.choice((None, None, 8_000)))
    while not (await net.post(what, rng.choice((None, 100.0)))).is_over:
        await trio.sleep(0.5 + rng.random() * 5)
    await trio.sleep(rng.random() * 30)
    await net.post(what, 60.0)


async def _other_payload(net: Net, what: Submission) -> None:
    """Once the run is acknowledged, post another payload under its key: 422, whatever comes."""
    post = await _wait_acknowledged(net.history, what)
    other = await net.post(replace(what, payload=b'{"other":true}'), 30.0)
    if other.status not in (None, 422, 503) and not other.is_expired:
        net.history.fail("R6", f"another payload under {post.step_id} was not refused: {other}")


async def _reader(net: Net, what: Submission, rng: Random) -> None:
    """Look at the outcome by its id now and then."""
    post = await _wait_acknowledged(net.history, what)
    assert post.step_id is not None
    for _ in range(rng.randint(1, 6)):
        await net.read(what.client, post.step_id, rng.choice((0, 0, 20)))
        await trio.sleep(rng.random() * 30)


async def _wait_acknowledged(history: History, what: Submission) -> Post:
    identity = (what.client, what.workflow, what.key, what.url)
    while True:
        for post in history.posts:
            found = (post.client, post.workflow, post.key, post.url)
            if found == identity and post.acknowledged:
                return post
        await trio.sleep(5)


# -- the operator --------------------------------------------------------------------------------

ACTIONS = (
    Action.PAUSE, Action.PAUSE, Action.RESUME, Action.RESUME, Action.RESUME, Action.RETRY,
    Action.RETRY, Action.CANCEL, Action.DISMISS,
)  # fmt: skip
OF_STEPS = (Action.PAUSE, Action.RESUME, Action.RETRY, Action.CANCEL)
"""Those that can be about one step."""


async def operate(net: Net, rng: Random) -> None:
    """Steer some run, now and then."""
    while True:
        await trio.sleep(0.5 + rng.random() * 12)
        runs = known_runs(net.history)
        if not runs:
            continue
        run_id, action, step_id = rng.choice(runs), rng.choice(ACTIONS), None
        if action in OF_STEPS and rng.random() < 0.5:
            step_id = run_id
            if rng.random() < 0.5:
                step_id = rng.choice(known_steps(net.history, run_id))
        await act(net, run_id, action, step_id)


def known_steps(history: History, run_id: str) -> list[str]:
    """The run's root, and its steps that were called."""
    return list(dict.fromkeys((run_id, *(s.step_id for s in history.sends if s.run_id == run_id))))


def known_runs(history: History) -> list[str]:
    """Runs that somebody was told of, in order."""
    return list(dict.fromkeys(post.run_id for post in history.posts if post.run_id is not None))


async def act(
    net: Net,
    run_id: str,
    action: Action,
    step_id: str | None = None,
    move: Move | None = None,
    given: Given | None = None,
) -> bool:
    """One action; what came of it goes into the history. True if it is known to be done."""
    life = net.life
    if life is None or life.engine is None:
        return False
    record = Act(net.history.place(), run_id, action, step_id=step_id)
    record.given = b"" if given is None else given.data
    net.history.acts.append(record)
    net.history.log("act", run_id, action)
    with trio.CancelScope() as scope:
        life.requests[record.began] = scope
        try:
            order = Order(action, step_id, Actor("operator"), "so", move, given)
            await life.engine.act(run_id, order)
            done = True
        except Died:
            return False
        except Refused:
            done = False
        finally:
            del life.requests[record.began]
        if not life.dead:
            record.done, record.ended = done, net.history.place()
            net.history.note(f"act:{action}" if done else "act:refused")
            if done:
                life.promised()
                return True
    return False
