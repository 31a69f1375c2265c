"""Endpoints that move while runs are open: an operator moves a run, and new code is called.

New code is what is called under the new URL. It posts steps under new URLs, at the hosts to which
the operator knows that the run has been moved; old code in flight, and old code that lives on
unseen, goes on posting under old ones. Clients that ask for a run's root use either. Some runs are
moved back again.

    R27  a moved run was called at its old URL        (its steps are called at the new)
    R28  a workflow that moved was taken for a step   (nobody was at work who could post one)

That nothing is done under two keys, and that a key is one run, R2 and the effects say.
"""

from __future__ import annotations

from collections import defaultdict
from random import Random

import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.core.model import Move, Run, StepState
from engine.core.rules.action import Action
from tests.simulation.clients import act, known_runs
from tests.simulation.net import Net, Submission
from tests.simulation.programs import HOSTS
from tests.simulation.wire import NEW, plain

TRIES_MAX = 4
"""The engine may be down, or have done it without saying so."""


class Moving(Struct):
    """A move of one host of a run's: until it is known to be done, either URL may be called."""

    run_id: str
    host: str
    to_new: bool
    began: int
    done: int | None = None


class Moves:
    """The moves of one world."""

    def __init__(self, net: Net, rng: Random) -> None:
        self._net, self._rng = net, rng
        self.found: list[Moving] = []
        self.at: dict[str, set[str]] = defaultdict(set)
        """Of each run, the hosts to which it is known to have been moved."""
        self._up = trio.Event()

    def engine_is_up(self) -> None:
        """A life of the engine has begun."""
        self._up.set()

    async def operate(self) -> None:
        """Move some run now and then, and as soon as the engine is back: before functions post
        again what its crash took back."""
        while True:
            with trio.move_on_after(1 + self._rng.random() * 15):
                await self._up.wait()
                self._up = trio.Event()
            runs = known_runs(self._net.history)
            if runs:
                run_id = self._rng.choice(runs)
                for host in HOSTS:
                    await self._move(run_id, host, to_new=host not in self.at[run_id])

    async def _move(self, run_id: str, host: str, *, to_new: bool) -> None:
        """To the other side. What is not known to be done is asked for until it is: a rule twice
        is no other than once."""
        old, new = f"http://{host}/", f"http://{host}/{NEW}/"
        record = Moving(run_id, host, to_new, self._net.history.place())
        self.found.append(record)
        if not to_new:
            self.at[run_id].discard(host)
        move = Move(old, new) if to_new else Move(new, old)
        for _ in range(TRIES_MAX):
            if await act(self._net, run_id, Action.RETARGET, move=move):
                record.done = self._net.history.place()
                if to_new:
                    self.at[run_id].add(host)
                return
            await trio.sleep(self._rng.random() * 5)
        if not to_new:
            self.at[run_id].add(host)

    def url(self, run_id: str, url: str, *, is_new: bool) -> str:
        """Where code of one version posts what stands at `url` in its program."""
        host = url.split("/")[2]
        if is_new and host in self.at[run_id]:
            return url.replace(f"{host}/", f"{host}/{NEW}/", 1)
        return url

    def root(self, what: Submission) -> Submission:
        """Somebody asks for a run, under the old URL or the new."""
        if what.parent_token is not None or not self.found:
            return what
        for post in self._net.history.posts:
            same = (post.client, post.workflow, post.key) == (what.client, what.workflow, what.key)
            if same and post.run_id is not None and post.url == what.url:
                is_new = self._rng.random() < 0.5
                return replace(what, url=self.url(post.run_id, what.url, is_new=is_new))
        return what

    def check(self) -> None:
        """R27, when all is over."""
        for move in self.found:
            if move.done is None:
                continue
            until = min(
                other.began
                for other in [*self.found, Moving("", "", False, self._net.history.place())]
                if other.began > move.began
                and other.run_id in (move.run_id, "")
                and other.host in (move.host, "")
            )
            self._check_sends(move, until)

    def _check_sends(self, move: Moving, until: int) -> None:
        for send in self._net.history.sends:
            if send.run_id != move.run_id or send.url.split("/")[2] != move.host:
                continue
            assert move.done is not None
            if send.began < move.done or send.began > until:
                continue
            if send.is_new is not move.to_new:
                what = f"attempt {send.attempt} of {send.step_id} was sent to {send.url}"
                self._net.history.fail("R27", f"{what}, {'new' if send.is_new else 'old'}")


async def post_moved(net: Net, runs: list[Run]) -> None:
    """Each workflow is posted again under another URL when nobody can be at work for it: it is
    not taken for a step of itself."""
    first: dict[str, Submission] = {}
    for post in net.history.posts:
        if post.run_id is not None and post.run_id == post.step_id and post.url:
            what = Submission(post.client, post.workflow, post.key, post.url, post.payload)
            first.setdefault(post.run_id, replace(what, prefer="respond-async"))
    for run in runs:
        state = run.root.state
        at_rest = run.root.ended or state is StepState.PAUSED
        if run.id not in first or not at_rest or run.counts.get(StepState.RUNNING):
            continue
        moved = replace(first[run.id], url=f"{plain(first[run.id].url)}/moved")
        before = net.history.place()
        post = await net.post(moved)
        if any(send.began > before for send in net.history.sends) or post.status is None:
            continue
        if post.is_expired or post.problem in ("target-moved", "run-ended", "run-cancelled"):
            continue
        net.history.fail("R28", f"{moved.url} was answered {post.body!r} in {run.id} ({state})")
