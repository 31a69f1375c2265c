"""A carrier with a port of its own: orders call it there, and it can be away."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from demo_app.carrier import AWAY_S_MAX, Carrier
from demo_app.faults import BadFault, parse_fault
from demo_app.scenario import place_order
from tests.demo.harness import Demo, run_demo
from tests.on_asyncio import on_asyncio


async def answers(carrier: Carrier) -> bool:
    """Whether somebody listens there."""
    host, _, port = carrier.url.removeprefix("http://").rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def until(carrier: Carrier, *, there: bool) -> None:
    """Until it is there, or away."""
    async with asyncio.timeout(20):
        while await answers(carrier) is not there:
            await asyncio.sleep(0)


@asynccontextmanager
async def demo_with_carrier(directory: Path) -> AsyncIterator[tuple[Demo, Carrier]]:
    """The demonstration of the harness, the carrier at a port of its own."""
    carrier = Carrier("127.0.0.1", 0)
    async with run_demo(directory, carrier=carrier) as demo:
        yield demo, carrier


@on_asyncio
async def test_an_order_calls_the_carrier_at_its_own_port(tmp_path: Path) -> None:
    """Booking alone is its work; the fault `drop` cuts connections there too."""
    async with demo_with_carrier(tmp_path) as (demo, carrier):
        order = place_order("k", "lamp", 1, {"bookCarrier/1": ["drop"]})
        (answer,) = await demo.submit(order)
        assert answer.json()["response"]["status"] == "confirmed"
        urls = {step.name: step.body["stepInvokeUrl"] for step in demo.engine.steps}
        assert urls["bookCarrier/1"].startswith(carrier.url + "/workflows/")
        assert urls["printLabel/1"].startswith(demo.app_url + "/workflows/")
        assert carrier.url != demo.app_url
        assert demo.engine.step("bookCarrier/1").statuses == [0, 200]


@on_asyncio
async def test_it_goes_away_and_comes_back(tmp_path: Path) -> None:
    """Connections are refused meanwhile, at the same port as before; the application goes on."""
    async with demo_with_carrier(tmp_path) as (demo, carrier):
        url = f"{demo.app_url}/carrier/away"
        for _ in range(2):
            answer = await demo.http.post(url, json={"seconds": AWAY_S_MAX})
            assert answer.json() == {"awaySeconds": AWAY_S_MAX, "carrier": carrier.url}
            await until(carrier, there=False)
            assert (await demo.http.get(f"{demo.app_url}/healthz")).status_code == 200
            await demo.http.post(url, json={"seconds": 0})
            await until(carrier, there=True)
        await demo.http.post(url, json={"seconds": 0.001})
        await until(carrier, there=True)


@pytest.mark.parametrize("seconds", [-1, AWAY_S_MAX + 1, "5", None])
@on_asyncio
async def test_a_time_that_is_none_is_refused(tmp_path: Path, seconds: object) -> None:
    """What was wrong is said, and the carrier stays."""
    async with demo_with_carrier(tmp_path) as (demo, carrier):
        answer = await demo.http.post(f"{demo.app_url}/carrier/away", json={"seconds": seconds})
        assert (answer.status_code, "0 to 600" in answer.text) == (400, True)
        assert await answers(carrier)


@on_asyncio
async def test_without_a_port_of_its_own_it_cannot_go(tmp_path: Path) -> None:
    """It is the application itself then."""
    async with run_demo(tmp_path) as demo:
        answer = await demo.http.post(f"{demo.app_url}/carrier/away", json={"seconds": 1})
        assert (answer.status_code, "--carrier-port" in answer.text) == (400, True)


def test_a_port_that_is_taken_is_told_at_the_start() -> None:
    """As for the application's own."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Carrier("127.0.0.1", taken.getsockname()[1])


@on_asyncio
async def test_a_refusal_has_a_reason_and_is_not_tried_again(tmp_path: Path) -> None:
    """The fault `refuse:REASON`: 422, the reason as the answer's error, no retry."""
    async with run_demo(tmp_path) as demo:
        refused = "account 4711 is blocked: ask"
        (answer,) = await demo.submit(
            place_order("k", "lamp", 1, {"chargeCard": [f"refuse:{refused}"]})
        )
        assert answer.status_code == 424
        step = demo.engine.step("chargeCard")
        assert (step.statuses, step.answers[0].json()) == ([422], {"error": refused})
    with pytest.raises(BadFault, match="refuse:REASON of up to 200 characters"):
        parse_fault("refuse:" + "x" * 201)
    assert parse_fault("refuse:" + "x" * 200) == ("refuse", 0)
