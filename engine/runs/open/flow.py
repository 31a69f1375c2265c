"""The bytes of steps and attempts while they are in memory, and how they wait for room.

Payloads lie in the store. One is kept beside it only between its post and its sending, if there is
room; else the attempt reads it when it leaves, as every later attempt does. What has been sent is
let go at once: a payload in the socket of an endpoint that hangs costs the engine nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import trio

from engine.core.errors import EngineError, Refused, RefusedForDamage
from engine.core.model import Flight, Step
from engine.core.rules.flight import note_left
from engine.ports.receipt import Receipt
from engine.ports.store import Body, Larger, Store
from engine.process.budget import Budget, Charge, Parcel, Pool

SMALL_PAYLOAD_BYTES_MAX = 4_096
"""Payloads up to here are kept whether there is room or not, also while their step queues: how many
may is bounded. With payloads of a MiB each the bound would be no bound."""

READ_AGAIN_S = 1.0
"""After the store has refused to read a payload, for another reason than damage."""

Pause = Callable[[], AbstractContextManager[None]]


class Payload:
    """One in memory, and the room that it takes."""

    __slots__ = ("_charge", "_pool", "data")

    def __init__(self, data: bytes, pool: Pool, charge: Charge | None) -> None:
        self.data = data
        self._pool, self._charge = pool, charge
        if charge is None:
            pool.small += len(data)

    @property
    def is_large(self) -> bool:
        """It has room of its own, and is not kept while its step queues."""
        return self._charge is not None

    def let_go(self) -> None:
        """Nobody needs it. A second time changes nothing."""
        data, self.data = self.data, b""
        if self._charge is None:
            self._pool.small -= len(data)
        else:
            self._charge.give_back()


class Payloads:
    """Those of one run's steps that are called before long."""

    __slots__ = ("_by_step", "_client", "_kept_bytes_max", "_pool")

    def __init__(self, budget: Budget, client: str) -> None:
        self._client = client
        self._pool = budget.payloads
        self._kept_bytes_max = min(SMALL_PAYLOAD_BYTES_MAX, budget.small_bytes_max)
        self._by_step: dict[str, Payload] = {}

    def __contains__(self, step_id: str) -> bool:
        return step_id in self._by_step

    def __len__(self) -> int:
        return len(self._by_step)

    def keep_small(self, step_id: str, data: bytes) -> None:
        """Keep the payload of a step that will be called, if it is small. A larger one would hold
        room while the step waits for a place, and who has the place may be waiting for room."""
        self._drop_payload(step_id)
        if len(data) <= self._kept_bytes_max:
            self._by_step[step_id] = Payload(data, self._pool, None)

    def keep(self, step_id: str, host: str, data: bytes) -> None:
        """Keep the payload of a step that was just posted, if there is room. If it turns out not to
        leave at once, `step_queues` must follow."""
        self._drop_payload(step_id)
        if len(data) <= self._kept_bytes_max:
            self._by_step[step_id] = Payload(data, self._pool, None)
        elif (charge := self._room(host, len(data))) is not None:
            self._by_step[step_id] = Payload(data, self._pool, charge)

    def _room(self, host: str, size: int) -> Charge | None:
        return self._pool.take(host, size, client=self._client)

    def take(self, step_id: str) -> Payload | None:
        """The payload of a step that leaves, if it was kept: it is the attempt's from now on."""
        return self._by_step.pop(step_id, None)

    def step_queues(self, step_id: str) -> None:
        """A step that was posted does not leave at once: it keeps no large payload."""
        if (kept := self._by_step.get(step_id)) is not None and kept.is_large:
            self._drop_payload(step_id)

    def let_go(self) -> None:
        """The run leaves memory."""
        for step_id in list(self._by_step):
            self._drop_payload(step_id)

    def _drop_payload(self, step_id: str) -> None:
        if step_id in self._by_step:
            self._by_step.pop(step_id).let_go()


async def let_go_when_durable(payload: Parcel, receipt: Receipt | None) -> None:
    """Return the room of a payload that was posted, when it is durable."""
    if receipt is not None:
        await receipt.wait()
    payload.let_go()


class Unreadable(EngineError):
    """What an attempt is to send cannot be read: the run stops, and no other."""


class AttemptFlow:
    """The bytes of one attempt: its payload until that is sent, then its answer.

    `pause` makes a context in which the attempt's clock stands still.
    """

    __slots__ = (
        "_budget", "_client", "_host", "_pause", "answer", "dialling_since", "flight", "payload",
    )  # fmt: skip

    def __init__(
        self, budget: Budget, host: str, pause: Pause = nullcontext, client: str = ""
    ) -> None:
        self._budget, self._host, self._pause, self._client = budget, host, pause, client
        self.payload: Payload | None = None
        self.flight: Flight | None = None
        self.dialling_since: float | None = None
        """When its connection began to be made (`trio.current_time()`)."""
        self.answer: Charge | None = None
        """Room for the answer."""

    async def load(self, store: Store, step: Step) -> None:
        """Read the payload from the store, when there is room for it and it can be read.

        Raises Unreadable where waiting mends nothing.
        """
        while True:
            try:
                return await self._load_when_room(store, step)
            except RefusedForDamage as refused:  # nobody asked for it who could be told
                raise Unreadable(refused.detail) from refused
            except Refused:  # busy, or an error of the disk that may pass: the log has it
                self.sent()  # what has room meanwhile would keep it from others, and from itself
                await trio.sleep(READ_AGAIN_S)

    async def _load_when_room(self, store: Store, step: Step) -> None:
        read = partial(store.body, step.id, step.payload_generation, answer=False)
        pool, room = self._budget.payloads, None
        body = await read(bytes_max=self._budget.small_bytes_max)
        if isinstance(body, Larger):
            room = await pool.wait(self._host, body.size, client=self._client)
            self.payload = Payload(b"", pool, room)  # whatever comes, it gives the room back
            body = await read()
        assert isinstance(body, Body), f"the payload of {step.id} is missing"
        self.payload = Payload(body.data, pool, room)

    def connecting(self, *, under_way: bool) -> None:
        """A connection is being made for the request, or has been."""
        if self.flight is not None:
            note_left(self.flight, left=not under_way)
        self.dialling_since = trio.current_time() if under_way else None

    def sent(self) -> None:
        """The request has left whole, or never will."""
        payload, self.payload = self.payload, None
        if payload is not None:
            payload.let_go()

    async def wait_room(self, size: int) -> None:
        """Wait for room for an answer of up to `size` bytes; the attempt's clock stands still."""
        assert self.answer is None
        answers, client = self._budget.answers, self._client
        self.answer = answers.take(self._host, size, client=client)
        if self.answer is None:
            with self._pause():
                self.answer = await answers.wait(self._host, size, client=client)

    def close(self) -> None:
        """Give back what it has."""
        if self.payload is not None:
            self.sent()
        if self.answer is not None:
            self.answer.give_back()
