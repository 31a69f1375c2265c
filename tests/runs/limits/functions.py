"""Functions at one host that post steps and wait for them, for the tests of limits."""

from __future__ import annotations

from contextlib import suppress

import trio

from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.ports.caller import Invocation
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Recorded, Result, Wait
from tests.runs.limits.endpoint import Endpoint
from tests.world import NO_LIMIT, World, ok, still_open

ASYNC = Wait(prefer_ms=0)
A_DAY = RetryPolicy(count=9, back_off_ms=86_400_000, jitter=0)
HOST = "http://app:9000/"
PATIENT = EngineLimits(standstill_s=3_600)
"""A host that takes its time is not taken for one that stands still."""


class SentHome(Exception):
    """A post was answered without the outcome of its step."""


class App:
    """Functions at one host: what each does its URL says. It is told of the engine that it posts
    to, when there is one."""

    def __init__(self) -> None:
        self.it: World | None = None
        self.calls = Endpoint(self._call)

    async def post(self, call: Invocation, name: str) -> None:
        """Post a step of the call's, and wait for it."""
        if not isinstance(await self._post(call, name, NO_LIMIT), Recorded):
            raise SentHome

    async def _post(self, call: Invocation, name: str, wait: Wait) -> Result:
        assert self.it is not None
        key, token = call.idempotency_key, call.parent_token
        return await self.it.post(
            HOST + name, key, client=call.client, parent_token=token, retry=A_DAY, wait=wait
        )

    async def _call(self, call: Invocation) -> Outcome:
        outcome: Outcome = Answered(503)
        try:
            outcome = await self._does(call, call.url.removeprefix(HOST))
        except* SentHome:
            pass  # it fails, as a function does that lets the refusal out
        return outcome

    async def _does(self, call: Invocation, name: str) -> Outcome:
        match name:
            case "fails":
                return Answered(500)
            case "begins":
                await self._post(call, "fails", ASYNC)
                await trio.sleep(30)
            case "waits" | "left" | "right":
                await self.post(call, "slow")
            case "five":
                async with trio.open_nursery() as nursery:
                    for number in range(1, 6):
                        nursery.start_soon(self.post, call, f"works?s={number}0")
            case "nested":
                await self.post(call, "waits")
            case "both":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.post, call, "left")
                    nursery.start_soon(self.post, call, "right")
            case "slow":
                await trio.sleep(5)
            case "hangs":
                await trio.sleep_forever()
            case "posts-and-hangs":
                with suppress(SentHome):
                    await self.post(call, "fails")
                await trio.sleep_forever()
            case _ if name.startswith("works"):
                await self.post(call, "slow")
                await trio.sleep(int(name.removeprefix("works?s=")))
        return ok()


async def post_many(it: World, count: int, url: str, client: str = "shop") -> list[str]:
    """So many workflows of which nobody waits for the outcome; their runs."""
    made = [await it.post(HOST + url, f"{url}{n}", client=client, wait=ASYNC) for n in range(count)]
    return [still_open(each).run_id for each in made]
