"""The simulated network: between the engine and the applications, and between posters and engine.

Faults strike here, as drawn, while they are on. What happens to each request goes into the history.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Protocol

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.core.errors import Refused
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.front.access.who import EVERYBODY
from engine.front.api.headers import Posted
from engine.front.api.outcome import result_reply
from engine.front.api.submit import answer_submission
from engine.front.server.reply import Reply
from engine.front.show.replies import refusal
from engine.ports.caller import Invocation
from engine.process.budget import Parcel
from engine.runs.engine import Engine
from engine.runs.open.callers import Wait
from tests.simulation import wire
from tests.simulation.history import History, Post, Send
from tests.simulation.life import Died, Life
from tests.simulation.swarm import CALL_FAULTS, POST_FAULTS, QUIET, Swarm
from tests.world import front_of

PROXY_CUT_S = 60.0
PADDING_MAX = 200
"""Blanks behind a post's body: so a post that is cut may look whole, and is not."""
STRAIGHT = ("lost-before", "error-before", "throttled", "not-found", "gateway")
"""Faults of calls that never reach an endpoint."""


Asks = Callable[[Engine], Awaitable[Reply]]
"""Something asked of the engine."""


class Submission(Struct, frozen=True):
    """What somebody posts, before it is bytes."""

    client: str
    workflow: str
    key: str
    url: str
    payload: bytes
    retry: RetryPolicy | None = None
    step_key: str | None = None
    attempt_timeout_ms: int = 60_000
    parent_token: str | None = None
    timeout_ms: int | None = None
    prefer: str | None = None

    def encode(self) -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
        """Headers and body as they go over the wire."""
        body: dict[str, Any] = {
            "workflowName": self.workflow,
            "stepInvokeUrl": self.url,
            "idempotencyKey": self.key,
            "payload": msgspec.Raw(self.payload),
            "attemptTimeout": self.attempt_timeout_ms,
        }
        if self.retry is not None:
            body["retry"] = self.retry
        if self.step_key is not None:
            body["stepKey"] = self.step_key
        if self.timeout_ms is not None:
            body["timeout"] = self.timeout_ms
        headers = [(b"content-type", b"application/json")]
        if self.parent_token is not None:
            headers.append((b"atomic-parent", self.parent_token.encode()))
        if self.prefer is not None:
            headers.append((b"prefer", self.prefer.encode()))
        return tuple(headers), msgspec.json.encode(body)


class Connection:
    """One request at an application."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self.answer: Outcome | None = None
        self.done = trio.Event()
        self.on_hang_up: Callable[[], None] = lambda: None

    def finish(self, answer: Outcome | None) -> None:
        """The application has answered, or died (None)."""
        if not self.done.is_set():
            self.answer = answer
            self.done.set()

    async def wait(self) -> Outcome:
        """The answer. Whoever is cancelled here hangs up."""
        try:
            await self.done.wait()
        except trio.Cancelled:
            self.on_hang_up()
            raise
        lost = Unanswered(CallError.CONNECTION_LOST, "the connection was lost (simulated)")
        return lost if self.answer is None else self.answer


class Applications(Protocol):
    """Where requests are delivered."""

    def accept(self, connection: Connection) -> None:
        """Begin to serve; never waits."""
        ...


class Net:
    """The network of one world."""

    def __init__(self, history: History, nursery: trio.Nursery, rng: Random, swarm: Swarm) -> None:
        self.history = history
        self.swarm = swarm
        self.life: Life | None = None
        self.apps: Applications
        self.as_posted: Callable[[Submission], Submission] = lambda what: what
        """Under which URL somebody posts, where that changes."""
        self.on_answer: Callable[[Post], None] = lambda post: None
        self._nursery = nursery
        self._rng = rng

    def heal(self) -> None:
        """No more faults."""
        self.swarm = QUIET

    def strikes(self, kinds: tuple[str, ...], rate: float) -> str | None:
        """Draw a fault of those that are on."""
        on = [kind for kind in kinds if self.swarm.has(kind)]
        if not on or self._rng.random() >= rate:
            return None
        kind = self._rng.choice(on)
        self.history.note(f"fault:{kind}")
        return kind

    # -- engine to application -----------------------------------------------------------------

    async def call(self, invocation: Invocation) -> Outcome:
        """Carry one request of the engine's, by its own HTTP, and the answer back."""
        fault = self.strikes(CALL_FAULTS, self.swarm.call_rate)

        def meet() -> None:
            if fault == "refused":
                raise wire.Refuses

        async def serve(received: Invocation) -> bytes:
            if received != replace(invocation, flow=received.flow):
                self.history.fail("R7", f"sent as {received}, and meant was {invocation}")
            outcome = await self._exchange(fault, received)
            return wire.answer_bytes(outcome, self._rng, cut=fault == "answer-cut")

        return await wire.call(invocation, meet, serve, self._rng)

    async def _exchange(self, fault: str | None, invocation: Invocation) -> Outcome:
        rng = self._rng
        await trio.sleep(rng.random() * (10 if fault == "slow" else 0.02))
        if fault in STRAIGHT:
            return self._straight(fault)
        if fault == "hang" and rng.random() < 0.5:
            await trio.sleep_forever()
        if fault == "duplicate":
            self._nursery.start_soon(self._deliver_late, invocation)
        if not self.swarm.has("proxy-cut"):
            return await self._deliver(fault, invocation)
        with trio.move_on_after(PROXY_CUT_S):
            return await self._deliver(fault, invocation)
        self.history.note("fault:proxy-cut")
        if rng.random() < 0.5:
            return Answered(504)
        return Unanswered(CallError.CONNECTION_LOST, "cut by a proxy (simulated)")

    def _straight(self, fault: str) -> Outcome:
        rng = self._rng
        match fault:
            case "error-before":
                return Answered(500)
            case "throttled":
                return Answered(429, retry_after_ms=rng.choice((0, 3_000, 45_000, 300_000)))
            case "not-found":
                return Answered(404)
            case "gateway":
                return Answered(rng.choice((502, 503, 504)))
            case _:
                return Unanswered(CallError.CONNECTION_LOST, "lost (simulated)")

    async def _deliver(self, fault: str | None, invocation: Invocation) -> Outcome:
        connection = Connection(invocation)
        self.apps.accept(connection)
        outcome = await connection.wait()
        if fault in ("late", "hang"):
            await trio.sleep_forever()
        if fault == "slow":
            await trio.sleep(self._rng.random() * 10)
        if fault == "lost-answer":
            return Unanswered(CallError.CONNECTION_LOST, "the answer was lost (simulated)")
        if fault == "error-after":
            return Answered(500)
        return outcome

    async def _deliver_late(self, invocation: Invocation) -> None:
        await trio.sleep(self._rng.random() * 5)
        self.apps.accept(Connection(invocation))

    # -- anybody to engine ---------------------------------------------------------------------

    async def post(self, what: Submission, hang_up_s: float | None = None) -> Post:
        """Post, and wait for the answer as long as the poster does. Returns what the poster saw."""
        what = self.as_posted(what)
        post = self._begin(what)
        fault = self.strikes(POST_FAULTS, self.swarm.post_rate)
        if fault == "post-duplicate":
            self._nursery.start_soon(self._post_again, what)
        if fault == "post-slow":
            await trio.sleep(self._rng.random() * 3)
        if fault == "post-hung-up":
            hang_up_s = self._rng.random() * 4
        await trio.sleep(0.0001 + self._rng.random() * 0.01)
        if fault == "post-lost":
            return post
        arrived = self._carry(what, post, cut=fault == "post-cut")
        if arrived is None:
            return post
        wait = float("inf") if hang_up_s is None else hang_up_s
        cut = self.swarm.has("proxy-cut") and wait > PROXY_CUT_S
        reply = await self._at_engine(
            post,
            min(wait, PROXY_CUT_S) if cut else wait,
            arrived,
        )
        if fault != "post-answer-lost":
            self._seen(post, reply)
        return post

    def _carry(self, what: Submission, post: Post, *, cut: bool) -> Asks | None:
        """What reaches the engine of a post; None: nothing that it takes up."""
        rng = self._rng
        headers, body = what.encode()
        body += b" " * rng.choice((0, 0, rng.randrange(PADDING_MAX)))
        data = wire.post_bytes(what.client, headers, body)
        if cut:
            post.cut = True
            data = data[: -rng.randint(1, len(body) if rng.random() < 0.8 else len(data) - 1)]
        taken = wire.read_post_bytes(wire.pieces(data, rng))
        if taken is None:
            return None
        head, whole = taken
        return lambda engine: answer_submission(
            front_of(engine), EVERYBODY, head.client, head.fields, Parcel(whole)
        )

    async def read(self, client: str, step_id: str, wait_s: int = 0) -> Post:
        """Look at a step's outcome by its id."""
        post = self._begin(Submission(client, "", "", "", b""))

        async def look(engine: Engine) -> Reply:
            try:
                result = await engine.outcome(step_id, Wait(prefer_ms=wait_s * 1000))
            except Refused as refused:
                return refusal(refused)
            return result_reply(result, Posted(None, None, wait_s == 0, wait_s or None))

        self._seen(post, await self._at_engine(post, float("inf"), look))
        return post

    async def _post_again(self, what: Submission) -> None:
        await trio.sleep(self._rng.random() * 2)
        post = self._begin(what)
        arrived = self._carry(what, post, cut=False)
        assert arrived is not None
        self._seen(post, await self._at_engine(post, 30.0, arrived))

    async def _at_engine(self, post: Post, hang_up_s: float, work: Asks) -> Reply | None:
        life = self.life
        if life is None or life.engine is None:
            self.history.note("situation:engine was down")
            return None
        post.life = life.number
        reply: Reply | None = None
        with trio.move_on_after(hang_up_s) as scope:
            life.requests[post.began] = scope
            try:
                reply = await work(life.engine)
                if reply.room is not None:
                    reply.room.give_back()  # it is sent at once
            except Died:
                pass
            except Exception:
                if not life.dead:
                    self.history.fail("engine", traceback.format_exc())
            finally:
                del life.requests[post.began]
        return None if life.dead else reply

    def _begin(self, what: Submission) -> Post:
        post = Post(
            began=self.history.place(),
            at=trio.current_time(),
            client=what.client,
            workflow=what.workflow,
            key=what.key,
            url=wire.plain(what.url),
            step_key=what.step_key or wire.plain(what.url),
            payload=what.payload,
            life=0,
            retry=what.retry,
            parent_token=None
            if what.parent_token is None
            else what.parent_token.rpartition(".")[0],
        )
        self.history.log("post", post.began, post.url, post.key, post.parent_token or "")
        self.history.posts.append(post)
        return post

    def _seen(self, post: Post, reply: Reply | None) -> None:
        if reply is None:
            self.history.log("unanswered", post.began)
            return
        body = msgspec.json.decode(reply.body)
        headers = dict(reply.headers)
        post.ended, post.ended_at = self.history.place(), trio.current_time()
        post.status, post.body = reply.status, reply.body
        post.step_id, post.run_id = body.get("id"), body.get("runId")
        post.generation, post.attempts = body.get("generation", 1), body.get("attempts", 0)
        post.problem = body.get("type", "").rpartition("/")[2] or None
        post.cause = (body.get("cause") or {}).get("stepId")
        post.differs = "atomic-payload-differs" in headers
        post.replayed = "idempotent-replayed" in headers
        self.history.note(f"answer:{post.problem or reply.status}")
        self.history.log("answered", post.began, reply.status, post.problem or "", post.step_id)
        self.on_answer(post)
        if self.life is not None and post.acknowledged and not post.is_outcome:
            self.life.promised()


class SimCaller:
    """The engine's `EndpointCaller` in one life."""

    def __init__(self, net: Net, life: Life) -> None:
        self._net, self._life = net, life

    async def call(self, invocation: Invocation) -> Outcome:
        """Send it over the simulated network."""
        life, history = self._life, self._net.history
        await life.wait_if_dead()
        send = Send(
            began=history.place(),
            at=trio.current_time(),
            life=life.number,
            run_id=invocation.run_id,
            step_id=invocation.step_id,
            own_key=invocation.step_own_key,
            workflow=invocation.workflow,
            key=invocation.idempotency_key,
            url=wire.plain(invocation.url),
            is_new=wire.plain(invocation.url) != invocation.url,
            payload=invocation.payload,
            attempt=invocation.attempt,
        )
        history.sends.append(send)
        history.log("send", send.began, send.url, send.step_id, send.attempt)
        if life.outage.is_known:
            history.fail("R26", f"an attempt of {send.step_id} left while the store was away")
        if send.step_id in life.open:
            history.fail("R13", f"two requests of step {send.step_id} open at once")
        life.open[send.step_id] = send.began
        try:
            outcome = await self._net.call(invocation)
            await life.wait_if_dead()
            _note_result(send, outcome)
            return outcome
        except trio.Cancelled:
            send.result = "crash" if life.dead else "cut"
            raise
        finally:
            life.open.pop(send.step_id, None)
            send.ended, send.ended_at = history.place(), trio.current_time()
            history.log("sent", send.began, send.result)


def _note_result(send: Send, outcome: Outcome) -> None:
    if isinstance(outcome, Answered):
        send.status = outcome.http_status
        send.result = f"status {outcome.http_status}"
        send.retry_after_ms = outcome.retry_after_ms or 0
        send.suspend, send.no_retry = outcome.suspend, outcome.no_retry
    else:
        send.result = str(outcome.error)
