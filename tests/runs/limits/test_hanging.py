"""What counts under the limits of requests in flight: all but an attempt whose post hangs, and of
those so many at most."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from engine.core.access.client import ClientLimits
from engine.core.events import LateEnd
from engine.core.machine import Change
from engine.core.model import StepState
from engine.core.outcome import Outcome
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from engine.ports.registry import ANY_CLIENT, Clients
from engine.runs.limits.bounds import EngineLimits
from engine.runs.limits.hanging import Hanging
from engine.runs.open.late import CLOSED, EVERY_S, GRACE_S
from engine.telemetry.run_log import NOBODY
from tests.runs.limits.endpoint import all_completed
from tests.runs.limits.functions import ASYNC, HOST, PATIENT, App, post_many
from tests.runs.limits.limited import Limited
from tests.world import recorded, world

SHOP_OF_3 = Limited(ClientLimits(in_flight_max=3))


@pytest.mark.parametrize(
    ("limits", "registry"),
    [
        (EngineLimits(), SHOP_OF_3),
        (EngineLimits(in_flight_max=3), ANY_CLIENT),
        (EngineLimits(in_flight_per_host_max=3), ANY_CLIENT),
    ],
    ids=["client", "engine", "host"],
)
async def test_a_function_counts_whose_steps_are_open_and_of_which_no_post_hangs(
    limits: EngineLimits, registry: Clients, autojump_clock, path: Path
) -> None:
    """Twenty workflows begin a step that backs off for a day, and work on: three at a time, as
    any calls."""
    app = App()
    async with world(path, app.calls, limits=limits, registry=registry) as it:
        app.it = it
        await post_many(it, 20, "begins")
        await trio.sleep(29)
        assert app.calls.open == app.calls.most == 3
        await all_completed(it, 20)
        assert app.calls.most == 3


@pytest.mark.parametrize("url", ["begins", "waits"])
async def test_a_function_counts_that_is_called_again_while_its_steps_are_open(
    url: str, autojump_clock, path: Path
) -> None:
    """After a crash six workflows are called again whose steps are open: three at a time."""
    app = App()
    async with world(path, app.calls) as it:
        app.it = it
        await post_many(it, 6, url)
        await trio.sleep(1)
    app = App()
    async with world(path, app.calls, limits=PATIENT, registry=SHOP_OF_3) as it:
        app.it = it
        counted = 0
        with trio.move_on_after(120):
            while True:
                calls = it.engine.places.limited.of("shop")
                counted = max(counted, 0 if calls is None else calls.in_flight)
                await trio.sleep(0.01)
        assert counted == 3
        assert it.store.writer.run_counts.get(StepState.COMPLETED, 0) == 6


async def test_who_hangs_no_more_counts_again_also_beyond_the_limit(
    autojump_clock, path: Path
) -> None:
    """Five functions wait for one step, and work on when it has ended: all count, none fails for
    it, and what is new begins when only two of them are left."""
    app = App()
    async with world(path, app.calls, limits=PATIENT, registry=SHOP_OF_3) as it:
        app.it = it
        await post_many(it, 1, "five")
        calls = it.engine.places.limited.of("shop")
        assert calls is not None
        await trio.sleep(4)
        assert (calls.in_flight, calls.hanging) == (1, 6)
        await trio.sleep(2)
        assert (calls.in_flight, calls.hanging) == (5, 1)
        (new,) = await post_many(it, 1, "new")
        await trio.sleep(28)
        assert (calls.in_flight, calls.hanging, it.engine.places.queued) == (3, 1, 1)
        await trio.sleep(2)
        assert recorded(await it.engine.outcome(new, ASYNC)).step.state is StepState.COMPLETED
        await all_completed(it, 2)
        assert (calls.in_flight, calls.hanging) == (0, 0)
        assert it.engine.places.at_hosts.in_flight == it.engine.places.hanging.count == 0
        assert len(it.caller.calls) == 1 + 5 + 1 + 1, "nobody was called twice"


async def test_two_functions_that_post_one_step_wait_for_it_without_a_place(
    autojump_clock, path: Path
) -> None:
    """With one call in flight, the second function gives its place up to a step that was recorded
    under the first: all is done in the time of that step, and nobody is sent home."""
    app = App()
    registry = Limited(ClientLimits(in_flight_max=1))
    async with world(path, app.calls, limits=PATIENT, registry=registry) as it:
        app.it = it
        began = trio.current_time()
        recorded(await it.post(HOST + "both"))
        assert trio.current_time() - began == pytest.approx(5, abs=0.1)
        assert it.engine.home.sent == 0
        assert len(it.caller.calls) == 4


async def test_at_most_so_many_hang_uncounted(autojump_clock, path: Path) -> None:
    """Where two may hang, a third keeps its place, until there is room or it is sent home, as two
    calls in flight are too few for all: never more than four are open, and all ends."""
    app = App()
    async with world(
        path, app.calls, limits=replace(PATIENT, in_flight_max=2, hanging_max=2)
    ) as it:
        app.it = it
        await post_many(it, 12, "nested")
        await all_completed(it, 12)
        assert app.calls.most == 4
        assert it.engine.home.sent > 0
        assert (it.engine.places.at_hosts.in_flight, it.engine.places.hanging.count) == (0, 0)
        assert not it.engine.places.hanging.kept


async def test_who_keeps_its_place_is_sent_home_quickly(autojump_clock, path: Path) -> None:
    """A function that hangs without room for that has the only place, and its step waits for one:
    it is sent home after a second, and not after twenty."""
    app = App()
    limits = replace(PATIENT, in_flight_max=1, hanging_max=1)
    async with world(path, app.calls, limits=limits) as it:
        app.it = it
        await post_many(it, 1, "nested")
        assert await all_completed(it, 1) == pytest.approx(6, abs=0.2)
        assert it.engine.home.sent == 1


async def test_who_kept_its_place_gives_it_up_when_there_is_room(
    autojump_clock, path: Path
) -> None:
    """Of three calls that may be open at once one may hang: the next workflow that waits keeps its
    place, and gives it up as soon as the first has its answer."""
    app = App()
    async with world(
        path, app.calls, limits=replace(PATIENT, in_flight_max=3, hanging_max=1)
    ) as it:
        app.it = it
        places = it.engine.places
        await post_many(it, 1, "waits")
        await trio.sleep(1)
        await post_many(it, 1, "left")
        await trio.sleep(3.5)
        assert (places.at_hosts.in_flight, places.hanging.count, len(places.hanging.kept)) == (
            3, 1, 1,
        )  # fmt: skip
        await trio.sleep(1)
        assert (places.at_hosts.in_flight, places.hanging.count, len(places.hanging.kept)) == (
            1, 1, 0,
        )  # fmt: skip
        await all_completed(it, 2)
        assert it.engine.home.sent == 0, "the steps of both were under way"


async def test_a_client_with_a_limit_leaves_others_room_to_hang(autojump_clock, path: Path) -> None:
    """Of eight that may hang, two may be of one client with a limit: forty of its workflows hang on
    steps that take a day, and another client's hang and go on as if alone."""
    app = App()

    async def days(call: Invocation) -> Outcome:
        if call.client == "shop" and call.url.endswith("slow"):
            await trio.sleep(86_000)
        return await app.calls(call)

    limits = replace(PATIENT, hanging_max=8)
    async with world(path, days, limits=limits, registry=SHOP_OF_3) as it:
        app.it = it
        await post_many(it, 40, "waits")
        await trio.sleep(60)
        calls = it.engine.places.limited.of("shop")
        assert calls is not None
        assert calls.hanging == 2
        assert calls.in_flight == 3
        began = trio.current_time()
        await post_many(it, 6, "waits", client="bank")
        await all_completed(it, 6)
        assert trio.current_time() - began == pytest.approx(5, abs=0.1)
        assert len([call for _, call in it.caller.calls if call.client == "bank"]) == 12


def test_what_one_client_may_have_hanging() -> None:
    """A quarter of what may hang in all, or of what may be in flight at one host."""
    assert Hanging(4_096, 512).of_client_max == 128
    assert Hanging(8, 512).of_client_max == 2
    assert Hanging(4_096, 2).of_client_max == 1


async def test_a_limit_that_comes_counts_those_that_hang(autojump_clock, path: Path) -> None:
    """Set while five workflows wait for their steps, it counts five that hang and five calls."""
    app = App()
    registry = Limited(ClientLimits(open_runs_max=100))
    async with world(path, app.calls, limits=PATIENT, registry=registry) as it:
        app.it = it
        await post_many(it, 5, "waits")
        await trio.sleep(1)
        assert it.engine.places.limited.of("shop") is None
        registry.limits = {"shop": ClientLimits(in_flight_max=3)}
        calls = it.engine.places.limited.of("shop")
        assert calls is not None
        assert (calls.in_flight, calls.hanging) == (5, 5)
        await all_completed(it, 5)
        assert (calls.in_flight, calls.hanging) == (0, 0)


@pytest.mark.parametrize("url", ["hangs", "posts-and-hangs"])
async def test_a_cancelled_call_counts_and_is_closed_when_others_wait(
    url: str, autojump_clock, path: Path
) -> None:
    """Three cancelled calls, which would hang for an hour, hold their client's places: ten seconds
    after the cancel those are closed for which somebody waits, and no other."""
    app = App()
    async with world(path, app.calls, limits=PATIENT, registry=SHOP_OF_3) as it:
        app.it = it
        runs = await post_many(it, 3, url)
        await trio.sleep(0.1)
        for run in runs:
            await it.act(run, Action.CANCEL)
        calls = it.engine.places.limited.of("shop")
        assert calls is not None
        assert (calls.in_flight, calls.hanging) == (3, 0)
        await trio.sleep(30.5)
        assert calls.in_flight == 3, "nobody waits for its place"
        (new,) = await post_many(it, 1, "new")
        await trio.sleep(EVERY_S + 0.1)
        assert recorded(await it.engine.outcome(new, ASYNC)).step.state is StepState.COMPLETED
        assert (calls.in_flight, it.engine.shared.late.closed) == (2, 1)
        late = [it.engine.memory.live.get(run) for run in runs]
        assert sum(each is not None and bool(each.requests) for each in late) == 2


async def test_a_cancelled_step_counts_while_its_post_hangs(autojump_clock, path: Path) -> None:
    """A function waits for a step of another's, which goes on when its own is cancelled: it counts,
    as nobody needs what it waits for."""
    app = App()
    async with world(path, app.calls, limits=PATIENT, registry=SHOP_OF_3) as it:
        app.it = it
        (run_id,) = await post_many(it, 1, "both")
        await trio.sleep(1)
        calls = it.engine.places.limited.of("shop")
        assert calls is not None
        assert (calls.in_flight, calls.hanging) == (1, 3)
        run = it.engine.memory.live[run_id].run
        (slow,) = (step for step in run.steps.values() if step.spec.name == "slow")
        others = {step.id for step in run.steps.values() if step.spec.name in ("left", "right")}
        (other,) = others - {slow.parent_id}
        await it.act(run_id, Action.CANCEL, step_id=other)
        assert not slow.ended
        assert (calls.in_flight, calls.hanging) == (2, 2)
        await trio.sleep(10)
        assert (calls.in_flight, calls.hanging) == (0, 0)


async def test_a_cancelled_call_has_its_grace_and_what_came_of_it_is_told(
    autojump_clock, path: Path
) -> None:
    """Somebody waits at once: the call is closed when its grace is over, no sooner. Its host has
    failed nobody, and its record says why it has no answer."""
    app, ends = App(), list[LateEnd]()

    def note(change: Change) -> None:
        ends.extend(event for event in change.events if isinstance(event, LateEnd))

    watch, limits = replace(NOBODY, count=note), EngineLimits(in_flight_max=1)
    async with world(path, app.calls, limits=limits, watch=watch) as it:
        app.it = it
        (run,) = await post_many(it, 1, "hangs")
        await trio.sleep(0)
        await it.act(run, Action.CANCEL)
        await post_many(it, 1, "new")
        await trio.sleep(GRACE_S - 0.1)
        assert app.calls.open == 1
        await trio.sleep(0.2)
        assert app.calls.open == 0
        await all_completed(it, 1)
        assert not it.engine.places.at_hosts.gates
        (figures,) = it.engine.hosts.figures(it.engine.clock.steady_ms())
        assert (figures.ended, figures.succeeded) == (1, 1)
        (end,) = ends
        assert end.error == f"connection-lost: {CLOSED}"
