"""Posts that are refused before anybody can tell whose they are."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trio

from tests.e2e import harness
from tests.e2e.harness import Answer, Call, application, fine

FAST = {"count": 5, "backOff": 10, "jitter": 0}


async def declined(call: Call) -> Answer:
    return Answer(402, b'"no"')


@pytest.mark.slow
async def test_a_compensation_turned_away_at_the_door(tmp_path: Path) -> None:
    """`connections_max`: its post, with the parent token, is 503. So the attempt was interrupted,
    though it answers 424: protocol.md §4, (a)."""
    told: list[int] = []
    with harness.running(tmp_path, connections_max=8) as engine, ExitStack() as held:
        port = int(engine.url.rpartition(":")[2])

        def fill() -> None:
            while True:
                busy = held.enter_context(socket.create_connection(("127.0.0.1", port)))
                busy.settimeout(0.2)
                with suppress(OSError):
                    busy.sendall(harness.SLOW_POST)
                try:
                    if busy.recv(12) == b"HTTP/1.1 503":
                        return
                except TimeoutError:
                    pass  # it has a place, and keeps it

        async def order(call: Call) -> Answer:
            # a client of its own, so a connection of its own, as functions in other processes have
            async with harness.client(engine.url) as own:
                own.name = shop.name
                await own.post(
                    app.at("charge"), call.key, parent_token=call.parent_token, retry={"count": 0}
                )
            if not told:
                await trio.to_thread.run_sync(fill)
            async with harness.client(engine.url) as own:
                own.name = shop.name
                answer = await own.post(app.at("release"), call.key, parent_token=call.parent_token)
            told.append(answer.status_code)
            held.close()
            return Answer(424 if answer.status_code != 200 else 200, b'"x"')

        async with (
            harness.client(engine.url) as shop,
            application(order=order, charge=declined, release=fine) as app,
        ):
            answer = await shop.post(app.at("order"), retry=FAST)
            assert told[0] == 503, "else the test shows nothing"
            assert len(app.called("release")) == 1
            assert answer.status_code == 200
