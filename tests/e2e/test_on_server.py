"""An engine whose store is a PostgreSQL database: what it recorded outlives it, and its password is
nobody's to see."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from click.testing import CliRunner

from engine.cli.main import main
from engine.parts import on_server
from engine.process.config import ConfigError, load
from engine.process.exits import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Call,
    application,
    client,
    eventually,
    fine,
    launch,
    restart,
    running,
)
from tests.postgres import Postgres

PASSWORD = "s3cret"


def with_password(url: str) -> str:
    """The server asks for none, and takes any."""
    return url.replace("atomic@", f"atomic:{PASSWORD}@")


async def test_what_was_recorded_outlives_a_kill(tmp_path: Path, postgres: Postgres) -> None:
    """An outcome is answered again, what was in flight is called again, numbers of events go on.
    Neither log nor answers show the password."""
    store, calls = with_password(postgres.database()), list[int]()
    never = trio.Event()

    async def hangs_once(call: Call) -> Answer:
        calls.append(call.attempt)
        if len(calls) == 1:
            await never.wait()
        return await fine(call)

    async with application(work=fine, hangs=hangs_once) as app:
        settings = {**SETTINGS, "store": store}
        with running(tmp_path, **settings) as engine:
            async with client(engine.url) as shop:
                first = await shop.post(app.at("work"), "done")
                assert first.status_code == 200
                await shop.post(app.at("hangs"), "open", prefer="respond-async")
                await eventually(lambda: calls)
                name, _, before = (await shop.read("/status"))["sequence"].partition("-")
            engine.kill()
            again = await restart(engine, tmp_path, **settings)
            try:
                async with client(again.url) as shop:
                    replayed = await shop.post(app.at("work"), "done")
                    assert (replayed.status_code, replayed.content) == (200, first.content)
                    assert len(app.called("work")) == 1
                    answer = await shop.post(app.at("hangs"), "open")
                    assert (answer.status_code, len(calls)) == (200, 2)
                    status = await shop.get("/api/v1/status")
                    its_name, _, number = status.json()["sequence"].partition("-")
                    assert (its_name, int(number) > int(before)) == (name, True)
                    assert status.json()["durability"]["postgresql"].startswith("18")
                assert again.stop() == EXIT_OK
                assert again.events("engine-started")[0]["db"].startswith("postgresql://atomic@/")
                said = [engine.text, again.text, status.text]
                assert not any(PASSWORD in text for text in said)
            finally:
                if again.exit_code is None:
                    again.kill()


async def test_who_opens_it_too_takes_it(tmp_path: Path, postgres: Postgres) -> None:
    """The first engine ends, with the reason, at what it would write next; callers of the second
    are answered."""
    settings = {**SETTINGS, "store": postgres.database()}
    async with application(work=fine) as app:
        with running(tmp_path, **settings) as first, running(tmp_path, **settings) as second:
            async with client(first.url) as shop:
                with suppress(httpx.TransportError):
                    await shop.post(app.at("work"), "one", prefer="respond-async")
            assert await first.ended() == EXIT_FAILED
            assert "taken by another engine" in first.events("engine-stopped")[0]["reason"]
            async with client(second.url) as shop:
                assert (await shop.post(app.at("work"), "two")).status_code == 200
            assert second.stop() == EXIT_OK


async def test_doctor_looks_at_the_server(tmp_path: Path, postgres: Postgres) -> None:
    """Not at a file that is not there. Nor does it miss copies that the engine cannot make."""
    with running(tmp_path, **SETTINGS, store=with_password(postgres.database())) as engine:

        def asked(*arguments: str) -> Any:
            options = ["--engine", engine.url]
            return CliRunner().invoke(main, [*arguments, *options], prog_name="atomic")

        result = await trio.to_thread.run_sync(asked, "doctor", "--json")
        found = {it["name"]: it for it in json.loads(result.stdout)["findings"]}
        assert (result.exit_code, found["durability"]["verdict"]) == (EXIT_OK, "ok")
        assert "No standby is waited for" in found["durability"]["what"]
        assert not {"disk", "file modes", "sqlite"} & set(found)
        assert found["backup"]["verdict"] == "ok"
        assert PASSWORD not in result.stdout
        result = await trio.to_thread.run_sync(asked, "backup", str(tmp_path / "copy.db"))
        assert "have its own tools copy it" in result.output


@pytest.mark.parametrize(
    ("store", "why"),
    [
        (f"mysql://ada:{PASSWORD}@db/x", "store: this is no address of a PostgreSQL database"),
        (f"postgresql://ada:{PASSWORD}@db:{PASSWORD}/x", "database cannot be read"),
        (f"postgresql://ada:{PASSWORD}@127.0.0.1:1/x", "postgresql://ada@127.0.0.1:1/x"),
    ],
)
def test_a_wrong_address_is_said_without_the_password(tmp_path: Path, store: str, why: str) -> None:
    """Exit code 2, in words."""
    engine = launch(tmp_path, **SETTINGS, store=store, store_wait_ms=1)
    assert engine.wait() == EXIT_USAGE
    assert "atomic: cannot start: " in engine.text
    assert why in engine.text
    assert "Traceback" not in engine.text
    assert PASSWORD not in engine.text


async def opened(**settings: Any) -> None:
    """A store of these settings."""
    config = load({"store": "postgresql:///x", **settings}, {})
    async with on_server(config, "it", 0, lambda: None, lambda event, **values: None):
        pass


async def test_copies_are_refused_at_the_start(tmp_path: Path) -> None:
    """And not found missing a day later."""
    with pytest.raises(ConfigError, match=r"backup_dir: .*pg_dump"):
        await opened(backup_dir=str(tmp_path))


async def test_without_the_extra_it_is_said_how_to_have_it(monkeypatch: Any) -> None:
    """Whoever asks for a store on PostgreSQL without the driver."""
    monkeypatch.setitem(sys.modules, "engine.store.postgres.store", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[postgres\]'"):
        await opened()
