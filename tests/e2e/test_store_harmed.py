"""The file of a running engine is harmed by hand: it says so, and stops rather than lose more."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.e2e import harness
from tests.e2e.harness import application, fine


@pytest.mark.slow
# httpx leaves the stream of a request's body where the engine that ends broke it off.
@pytest.mark.filterwarnings("ignore:Async generator .*ByteStream:ResourceWarning")
async def test_a_log_cut_by_hand_stops_the_engine(tmp_path: Path) -> None:
    """As `: > atomic.db-wal` does. Until it has stopped a post is answered, or told 503; never that
    the engine has a bug. What is left opens again."""
    log = tmp_path / "a.db-wal"
    with harness.running(tmp_path, drain_grace_ms=200) as engine:
        async with application(x=fine) as app, harness.client(engine.url) as shop:
            for n in range(40):
                assert (await shop.post(app.at("x"), key=f"k{n}")).status_code == 200
            log.write_bytes(b"")
            statuses = set()
            try:
                for n in range(200):
                    answer = await shop.post(app.at("x"), key=f"n{n}")
                    statuses.add(answer.status_code)
            except httpx.TransportError:
                pass  # it has stopped
            assert statuses <= {200, 503}, engine.text
            assert await engine.ended() == 1
        assert f"{log} was cut short or written over while the engine ran" in engine.text
    with harness.running(tmp_path):
        pass
