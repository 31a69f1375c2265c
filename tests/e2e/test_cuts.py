"""Proxies cut long requests, places are few, applications die: no workflow is lost by it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e import harness
from tests.e2e.harness import (
    EXIT_TIMEOUT_S,
    ROOT_DIRECTORY,
    Answer,
    Call,
    Client,
    EngineProcess,
    application,
    cutting_proxy,
    eventually,
    fine,
)
from tests.loopback import free_port

PROXY_PATIENCE_S = 0.15
STEP_RETRY = {"count": 1, "backOff": 60_000, "jitter": 0}
NO_RETRY = {"count": 0, "backOff": 10, "jitter": 0}


@pytest.mark.slow
@pytest.mark.parametrize("invoked_through_proxy", [True, False])
@pytest.mark.parametrize("posted_through_proxy", [True, False])
async def test_proxies_cut_what_waits(
    engine: EngineProcess, shop: Client, *, invoked_through_proxy: bool, posted_through_proxy: bool
) -> None:
    """Every request over 0.15 s is cut while a step backs off: no retry is used up.

    Not after it, nor before: there a request is over 0.15 s only where the machine is busy. So the
    step backs off until enough was cut, and is retried by hand.
    """
    port = int(engine.url.rpartition(":")[2])
    through_proxy: list[Client] = []
    cutting = False

    async def workflow(call: Call) -> Answer:
        poster = through_proxy[0] if posted_through_proxy else shop
        answer = await poster.post(app.at("slow", step_port), "k", retry=STEP_RETRY)
        return Answer(answer.status_code, answer.content)

    async def slow(call: Call) -> Answer:
        return Answer(404 if call.attempt == 1 else 200)

    async def cut_and_retry() -> None:
        nonlocal cutting
        await eventually(lambda: app.called("slow"))
        call = app.called("slow")[0]
        await shop.wait_step(call.headers["atomic-step-id"], "backing-off")
        cutting = True
        await eventually(lambda: before_app.cuts >= 2 * invoked_through_proxy)
        await eventually(lambda: before_engine.cuts >= 2 * posted_through_proxy)
        if posted_through_proxy or invoked_through_proxy:
            await shop.wait_step(call.run_id, "waiting")  # the engine has seen what was cut
        cutting = False
        retried = await shop.act(call.run_id, "retry", step=call.headers["atomic-step-id"])
        assert retried.status_code == 202, retried.text

    async with (
        application(index=workflow, slow=slow) as app,
        cutting_proxy(app.port, PROXY_PATIENCE_S, lambda: cutting) as before_app,
        cutting_proxy(port, PROXY_PATIENCE_S, lambda: cutting) as before_engine,
        harness.client(f"http://127.0.0.1:{before_engine.port}", shop.name) as cut_client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(cut_and_retry)
        through_proxy.append(cut_client)
        step_port = before_app.port if invoked_through_proxy else None
        answer = await shop.post(app.at("index", step_port), "k", retry=NO_RETRY)

        assert answer.status_code == 200, answer.text
        assert answer.json()["response"]["status"] == "completed"
        assert (before_app.cuts > 0) == invoked_through_proxy
        assert (before_engine.cuts > 0) == posted_through_proxy
        assert len(app.called("slow")) == 2
        root = (await shop.steps(answer.json()["runId"]))["index"]
        assert (root["status"], root["failures"]) == ("completed", 0)
        counted = [row["status"] for row in root["attemptRows"]]
        cut = invoked_through_proxy or posted_through_proxy
        assert counted[-1] == "success"
        assert set(counted[:-1]) == ({"interruption"} if cut else set())
        # two in a row with nothing new recorded, then only the child's end brings it back
        assert len(counted) <= 4


@pytest.mark.slow
async def test_few_places_lock_nobody_out(tmp_path: Path) -> None:
    """4 requests in flight at most, 50 workflows of 3 steps: all complete, never more than 4."""
    open_now = open_most = 0

    async def workflow(call: Call) -> Answer:
        for number in range(3):
            answer = await shop.post(app.at("leaf"), call.key, stepKey=f"{number}")
            assert answer.status_code == 200, answer.text
        return Answer()

    async def leaf(call: Call) -> Answer:
        nonlocal open_now, open_most
        open_now += 1
        open_most = max(open_most, open_now)
        await trio.sleep(0.002)  # so that they would overlap, if they were let
        open_now -= 1
        return Answer()

    async def submit(number: int) -> None:
        answer = await shop.post(app.at("index"), f"k{number}")
        assert answer.status_code == 200, answer.text

    limits = {"in_flight_max": 4, "in_flight_per_host_max": 4}
    with harness.running(tmp_path, **limits) as engine:
        async with (
            harness.client(engine.url) as shop,
            application(index=workflow, leaf=leaf) as app,
        ):
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(submit, number)

            assert len(app.called("leaf")) == 150
            assert len(app.called("index")) == 50
            assert 1 < open_most <= 4


# -- the application dies ------------------------------------------------------------------------


class Shop:
    """The application of `tests.e2e.shop_app` as a process that can be killed."""

    def __init__(self, engine_url: str, client_name: str, directory: Path) -> None:
        self._engine = (engine_url, client_name)
        self._directory = directory
        self.port = free_port()
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = [str(self.port), *self._engine, str(self._directory)]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.shop_app", *arguments],
            cwd=ROOT_DIRECTORY,
            stdin=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(EXIT_TIMEOUT_S)

    def start_again(self) -> None:
        self.process = self._start()

    def lines(self, name: str) -> list[str]:
        """What the application has noted down."""
        path = self._directory / name
        return path.read_text().split() if path.exists() else []


@contextmanager
def shop_process(engine_url: str, client_name: str, directory: Path) -> Iterator[Shop]:
    shop = Shop(engine_url, client_name, directory)
    try:
        yield shop
    finally:
        shop.kill()


@pytest.mark.slow
async def test_application_killed_while_it_compensates(
    engine: EngineProcess, shop: Client, tmp_path: Path
) -> None:
    """A step fails for good and is caught; kill -9 amid the refund: the refund happens once."""
    with shop_process(engine.url, shop.name, tmp_path) as app:
        url = f"http://127.0.0.1:{app.port}/workflows/order/index"
        answers = []

        async def submit() -> None:
            retry = {"count": 60, "backOff": 50, "factor": 1, "jitter": 0}
            answers.append(await shop.post(url, "order-1", retry=retry))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            await eventually(lambda: app.lines("refunded"))
            app.kill()
            app.start_again()

        (answer,) = answers
        assert answer.status_code == 200, answer.text
        assert answer.json()["response"] == {"refunded": True}
        assert len(app.lines("charged")) == 1
        assert len(app.lines("refunded")) == 1
        assert len(app.lines("refund-calls")) == 2
        assert len(set(app.lines("refund-calls"))) == 1
        steps = await shop.steps(answer.json()["runId"])
        statuses = {name: step["status"] for name, step in steps.items()}
        assert statuses == {
            "index": "completed",
            "charge": "completed",
            "ship": "failed",
            "refund": "completed",
        }
        assert steps["ship"]["attempts"] == 1


async def test_a_caught_failure_without_incident(shop: Client) -> None:
    """Who catches the 424 and answers 2xx completes; who passes it on fails at once."""

    async def catches(call: Call) -> Answer:
        answer = await shop.post(app.at("broken"), call.key, retry=NO_RETRY)
        harness.is_problem(answer, 424, "step-failed")
        return Answer(200, b'"compensated"')

    async def gives_up(call: Call) -> Answer:
        answer = await shop.post(app.at("broken"), call.key, retry=NO_RETRY)
        return Answer(424, answer.content)

    async def broken(call: Call) -> Answer:
        return Answer(500)

    handlers = {"catches": catches, "gives_up": gives_up, "broken": broken, "fine": fine}
    async with application(**handlers) as app:
        caught = await shop.post(app.at("catches"), "caught")
        assert (caught.status_code, caught.json()["response"]) == (200, "compensated")

        failed = await shop.post(app.at("gives_up"), "failed")
        document = harness.is_problem(failed, 424, "step-failed")
        assert document["cause"]["stepName"] == "broken"
        assert document["attempts"] == 1
        assert document["errorSource"] == "workflow"
        assert document["lastAttempt"]["httpStatus"] == 424
        again = await shop.post(app.at("gives_up"), "failed")
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == failed.content
