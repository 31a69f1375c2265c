"""An operator says what came of a step, or does without it, of whatever state it is.

    R33  a result that was set is not what is answered   (told as done, and nothing was done since)
    R36  a run that was called with another payload is called with one from before

That an outcome which says `setBy` is one that was given, R4 says (`checker.invented`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING

import msgspec
import trio

from engine.core.rules.action import Action
from engine.core.rules.repair import Given
from tests.simulation.clients import act, known_runs, known_steps
from tests.simulation.history import REPAIRS, Act, History, Post
from tests.simulation.net import Net

if TYPE_CHECKING:
    from tests.simulation.checker import Seen, Wrong


async def repair(net: Net, rng: Random) -> None:
    """Set a result now and then, mostly of a step below a run's root; twice, with one key, where
    nobody has told what came of the first."""
    count = 0
    while True:
        await trio.sleep(1 + rng.random() * 20)
        runs = known_runs(net.history)
        if not runs:
            continue
        run_id = rng.choice(runs)
        steps = known_steps(net.history, run_id)
        step_id = rng.choice(steps[1:] if len(steps) > 1 and rng.random() < 0.8 else steps)
        count += 1
        action = rng.choice((Action.SET_RESULT, Action.SET_RESULT, Action.SKIP))
        given = _given(action, count)
        for _ in range(2):
            if await act(net, run_id, action, step_id, given=given) or rng.random() < 0.5:
                break
            await trio.sleep(rng.random() * 5)


async def call_again(net: Net, rng: Random) -> None:
    """Have a run called from its beginning with another payload, now and then; mostly one that has
    ended, as nobody may while something of it is in flight."""
    count = 0
    while True:
        await trio.sleep(2 + rng.random() * 20)
        posts = [it for it in net.history.posts if it.run_id is not None and it.url]
        if not posts:
            continue
        post = rng.choice(posts)
        assert post.run_id is not None
        count += 1
        data = msgspec.json.encode({"user": "again", "client": post.client, "again": count})
        digest = hashlib.sha256(data).digest()
        given = Given(0, digest, f"again-{count}", data, "application/json", json=True)
        for _ in range(2):
            if await act(net, post.run_id, Action.RERUN, given=given) or rng.random() < 0.5:
                break
            await trio.sleep(rng.random() * 5)


def _given(action: Action, count: int) -> Given:
    """A result that nobody else answers."""
    if action is Action.SKIP:
        return Given(204, b"skip", f"key-{count}")
    data = msgspec.json.encode({"v": -count})
    digest = hashlib.sha256(data).digest()
    return Given(200, digest, f"key-{count}", data, "application/json", json=True)


def response_of(post: Post) -> bytes:
    """What an outcome has as its endpoint's answer."""
    return bytes(msgspec.json.decode(post.body, type=_Response).response)


def was_set(post: Post) -> bool:
    """Whether an outcome says that an operator gave it."""
    return post.status == 200 and msgspec.json.decode(post.body, type=_Response).set_by is not None


class _Response(msgspec.Struct, rename="camel"):
    response: msgspec.Raw
    set_by: str | None = None


def payloads_set(history: History, run_id: str, before: int) -> set[bytes]:
    """Those that operators have tried to call the run with before this place."""
    return {
        it.given
        for it in history.acts
        if (it.run_id, it.action) == (run_id, "rerun") and it.began < before
    }


def called_as_set(seen: Seen) -> Iterable[Wrong]:
    """R36: from a payload that was told as set until another may have been, calls carry it."""
    for done in seen.history.acts:
        if done.action != "rerun" or done.ended is None or not done.done:
            continue
        others = [it for it in seen.acts[done.run_id] if it.action == "rerun" and it is not done]
        later = [it.began for it in others if (it.ended or it.began) > done.began]
        until = min(later, default=None)
        for send in seen.sends[done.run_id]:
            if send.began < done.ended or (until is not None and send.began > until):
                continue
            if send.payload != done.given:
                yield (
                    "R36",
                    f"{done.given!r} was set; {send.run_id} was called with {send.payload!r}",
                )


def may_be_repaired(history: History, run_id: str) -> bool:
    """Whether an operator may have set a result in the run: its functions may go another way."""
    acts = (it for it in history.acts if it.run_id == run_id and it.action in REPAIRS)
    return any(it.done is not False for it in acts)


def gives(act: Act, post: Post) -> bool:
    """Whether the outcome is what the operator gave."""
    return (act.step_id, act.given or b"null") == (post.step_id, response_of(post))


def repaired(seen: Seen) -> Iterable[Wrong]:
    """R33: what an operator was told is done stays, unless something else was done to the run."""
    for done in seen.history.acts:
        if done.action not in REPAIRS or done.ended is None or not done.done:
            continue
        others = [it for it in seen.acts[done.run_id] if it is not done]
        if any(it.ended is None or it.ended > done.began for it in others):
            continue
        for post in seen.posts[done.step_id or ""]:
            if not post.is_outcome or post.began < done.ended:
                continue
            if not (was_set(post) and gives(done, post)):
                what = f"{done.given!r} was set for {done.step_id}"
                yield "R33", f"{what}, and a post was answered {post.body!r}"
