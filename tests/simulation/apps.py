"""The simulated applications: endpoints that note down what they do, and workflow functions.

Endpoints are idempotent by the key the engine sends them. A function runs its program from the top
whenever it is invoked, and posts every step again. When the engine hangs up, it may notice, or it
lives on and goes on posting with its old parent token.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
import trio

from engine.core.outcome import Answered, Outcome
from engine.ports.caller import Invocation
from tests.simulation.forger import try_forged
from tests.simulation.history import TEXT, Answer, History, Post, effect_of, value_in
from tests.simulation.net import Connection, Net, Submission
from tests.simulation.pools import EVIL, Workers, sent_home
from tests.simulation.programs import HOSTS, STOP_STATUS, Call, Command, Library, Program
from tests.simulation.repairs import may_be_repaired
from tests.simulation.wire import NEW, plain

ENDED = ("stale-execution", "run-cancelled", "run-ended", "parent-ended", "outcome-expired")
"""Refusals that tell a function that nobody waits for it any more."""
REPOSTS_MAX = 4
PLAIN = "text/plain"


class PostsAt(Protocol):
    """Where code of a run posts a step: new code elsewhere than old."""

    def __call__(self, run_id: str, url: str, *, is_new: bool) -> str: ...


class Stop(Exception):
    """The function gives up with this answer; None: its process dies without one."""

    def __init__(self, answer: Answered | int | None) -> None:
        super().__init__(answer)
        self.answer = Answered(answer) if isinstance(answer, int) else answer


class Host:
    """One application's process."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.serving: dict[int, trio.CancelScope] = {}
        self.served = 0


class Apps:
    """All of them, with what they have done."""

    def __init__(
        self, history: History, nursery: trio.Nursery, net: Net, rng: Random, library: Library
    ) -> None:
        self.history = history
        self.library = library
        self.hosts = {name: Host(Workers(name, net.swarm.workers)) for name in HOSTS}
        self._few = net.swarm.workers is not None
        self._attempt_min_ms = net.swarm.attempt_min_ms
        self.url: PostsAt = lambda run_id, url, *, is_new: url
        self._failed: Counter[str] = Counter()
        self._stumbled: Counter[tuple[str, str]] = Counter()
        self._early: dict[str, str] = {}
        """What goes wrong with the next execution of a function, by its step's own key."""
        self._nursery, self._net, self._rng = nursery, net, rng

    def accept(self, connection: Connection) -> None:
        """A request comes in."""
        self._nursery.start_soon(self._serve, connection)

    def crash(self, name: str) -> None:
        """An application dies with all it was doing; it is back at once."""
        self.history.note("fault:app-crash")
        for scope in list(self.hosts[name].serving.values()):
            scope.cancel()

    async def _serve(self, connection: Connection) -> None:
        call = connection.invocation
        parts = urlsplit(call.url)
        host = self.hosts[parts.netloc]
        host.served += 1
        number = host.served
        answer: Outcome | None = None
        with trio.CancelScope() as scope:
            host.serving[number] = scope
            if self._rng.random() < 0.5:
                connection.on_hang_up = scope.cancel
            else:
                connection.on_hang_up = partial(self.history.note, "situation:zombie")
            async with host.workers.limiter:
                host.workers.moved()
                answer = await self._answer(call, parts.path.split("/")[1:])
            host.workers.moved()
            if isinstance(answer, Answered):
                status, body = answer.http_status, answer.body
                self.history.answers.append(
                    Answer(call.step_id, call.attempt, status, body, answer.content_type == PLAIN)
                )
        del host.serving[number]
        connection.finish(answer)

    async def _answer(self, call: Invocation, path: list[str]) -> Answered | None:
        rng = self._rng
        await trio.sleep(rng.random() * (rng.choice((0.01, 0.3, 3.0))))
        path = path[1:] if path[0] == NEW else path
        if path[0] == "do" and self._net.swarm.has("slow-app") and rng.random() < 0.3:
            self.history.note("fault:slow-app")
            await trio.sleep(4 + rng.random() * 20)  # mostly longer than the attempt may take
        match path:
            case ["flow", name]:
                return await self._flow(call, self.library.programs[name])
            case ["fail", "no-retry", _]:
                return Answered(500, no_retry=True)
            case ["fail", how, _]:
                return Answered(STOP_STATUS if how == "stop" else 500)
            case ["flaky", times, name]:
                self._failed[call.step_own_key] += 1
                if self._failed[call.step_own_key] <= int(times):
                    return Answered(rng.choice((404, 500, 503)))
                return self._done(call, name)
            case ["do", name]:
                return self._done(call, name)
            case _:
                raise AssertionError(path)

    def _done(self, call: Invocation, name: str) -> Answered:
        """Do it, once for each key."""
        payload = msgspec.json.decode(call.payload)
        if payload["effect"] == EVIL:
            self.history.fail("R18", f"{call.step_id} was called for who was sent home")
        keys = self.history.effects.setdefault(
            effect_of(payload["client"], payload["effect"]), Counter()
        )
        keys[call.step_own_key] += 1
        return _value(payload["value"], self._rng)

    # -- workflow functions --------------------------------------------------------------------

    async def _flow(self, call: Invocation, program: Program) -> Answered | None:
        total = 0
        try:
            self._go_wrong(self._early.pop(call.step_own_key, ""))
            for command in program.commands:
                values = await self._command(call, program, command)
                if values is None:
                    self.history.note("situation:suspended")
                    return Answered(200, suspend=True)
                total += values
        except Stop as stop:
            return stop.answer
        return _value(total, self._rng)

    def _stumble(self, call: Invocation, what: Call) -> None:
        """Told of a failed step, the function has not compensated yet: it may go wrong, once in
        each of the ways that the call says. Raises Stop."""
        done = self._stumbled[call.step_own_key, what.name]
        if done >= len(what.stumbles):
            return
        self._stumbled[call.step_own_key, what.name] += 1
        way = what.stumbles[done]
        self.history.note("situation:told and not handled")
        if way.startswith("early-"):
            self._early[call.step_own_key] = way.removeprefix("early-")
            way = "500"
        self._go_wrong(way)

    def _go_wrong(self, way: str) -> None:
        if way:
            raise Stop(None if way == "dies" else int(way))

    async def _command(self, call: Invocation, program: Program, command: Command) -> int | None:
        """Post its calls at once; the sum of their values, None while one is open."""
        results: list[int | Stop | None] = []

        async def one(what: Call) -> None:
            try:
                results.append(await self._step(call, program, what, suspend=command.suspend))
            except Stop as stop:
                results.append(stop)

        async with trio.open_nursery() as nursery:
            for what in command.calls:
                nursery.start_soon(one, what)
        for result in results:
            if isinstance(result, Stop):
                raise result
        values = [result for result in results if isinstance(result, int)]
        return sum(values) if len(values) == len(results) else None

    async def _step(
        self, call: Invocation, program: Program, what: Call, *, suspend: bool, once: bool = False
    ) -> int | None:
        """One step, and its compensation if it fails. `once`: posted a single time."""
        post = await self._post(call, what, suspend=suspend, once=once)
        if post.status == 202:
            return None
        if post.status == 200:
            value = value_in(post.body)
            if value != what.value and not may_be_repaired(self.history, call.run_id):
                self.history.fail("R4", f"step {what.name} answered {value}, not {what.value}")
            return what.value
        if what.instead is None or not what.fails:
            raise Stop(_lets_out(program))
        self._stumble(call, what)
        try:
            value = await self._step(call, program, what.instead, suspend=False, once=what.sloppy)
        except Stop:
            if not what.sloppy:
                raise
            self.history.note("situation:gave up on a compensation")
            raise Stop(_lets_out(program)) from None
        self.history.note("situation:compensated")
        return value

    async def _post(self, call: Invocation, what: Call, *, suspend: bool, once: bool) -> Post:
        """Post a step until there is an answer that says something. Raises Stop."""
        rng = self._rng
        root = call.run_id
        key = f"{call.idempotency_key}/{what.name}" if what.own_key else call.idempotency_key
        # under another key than the run's a post without parent token would open its own run
        bare = not what.parent_token and "/" not in call.idempotency_key
        bare = bare and not self._few  # the engine would not see who waits
        client = msgspec.json.decode(call.payload)["client"]
        payload: dict[str, object] = {"effect": what.effect, "value": what.value, "client": client}
        if what.now:
            payload["now"] = round(trio.current_time() * 1000)
        if what.pad:
            payload["pad"] = "p" * what.pad
        submission = Submission(
            client=client,
            workflow=call.workflow,
            key=key,
            url=self.url(root, what.url, is_new=plain(call.url) != call.url),
            payload=msgspec.json.encode(payload),
            retry=what.retry,
            step_key=what.step_key,
            attempt_timeout_ms=max(self._attempt_min_ms, what.attempt_timeout_ms),
            parent_token=None if bare else call.parent_token,
            prefer="respond-async" if suspend else None,
        )
        if not bare and self._net.swarm.has("forged-parent-token") and rng.random() < 0.1:
            await try_forged(self._net, submission, rng)
        patience = rng.choice((None, None, 5.0, 30.0))
        for _ in range(1 if once else rng.randint(1, REPOSTS_MAX)):
            workers = self.hosts[urlsplit(call.url).netloc].workers
            workers.waiting[id(call)] += 1
            try:
                post = await self._net.post(submission, patience)
            finally:
                workers.waiting[id(call)] -= 1
            if post.status in (200, 202, 424):
                workers.moved()
                return post
            if post.problem == "suspended":
                if bare and call.step_id != root:
                    self.history.told_for_root.add(call.parent_token.rpartition(".")[0])
                raise Stop(await sent_home(self._net, call, submission, rng))
            if post.problem in ENDED or (bare and post.problem == "target-moved"):
                raise Stop(500)
            if post.problem == "idempotency-key-reused" and what.now:
                raise Stop(500)  # another execution of this function has recorded it
            if post.status is not None and post.status < 500:
                self.history.fail("R12", f"{what.name} of {root} refused: {post.body!r}")
                raise Stop(500)
            await trio.sleep(0.2 + rng.random() * 2)
        raise Stop(rng.choice((500, 503)))


def _lets_out(program: Program) -> Answered:
    """The answer of a function that lets the failure of a step end it."""
    match program.lets_out:
        case "stop-on":
            return Answered(STOP_STATUS)
        case "no-retry":
            return Answered(500, no_retry=True)
        case _:
            return Answered(424)


def _value(value: int, rng: Random) -> Answered:
    """Now and then a long answer, as long bodies are kept in another way; now and then one that is
    no JSON, in which nobody sees that its end is missing."""
    pad = "a" * rng.choice((3_000, 20_000)) if rng.random() < 0.05 else ""
    if rng.random() < 0.3:
        return Answered(200, f"{TEXT}{value} {pad}and all is well".encode(), PLAIN)
    body = {"v": value, "pad": pad} if pad else {"v": value}
    return Answered(200, msgspec.json.encode(body), "application/json")
