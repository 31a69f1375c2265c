"""An engine in this process, without a file: for tests of your workflows.

    from engine.client import Client
    from engine.testing import running_engine

    def test_a_user_is_created(app):
        with running_engine() as engine, Client(engine.url) as atomic:
            outcome = atomic.submit("createUser", url=app, key="k1", payload={"name": "Ada"})

It is the engine that `atomic serve` runs, with all its routes; only its store is in memory, and
gone with it. `docs/how-to/test-your-workflows.md`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

from engine.main import Around, around, serve_from
from engine.parts import Opened
from engine.process.config import Config, ConfigError, load
from engine.process.descriptors import make_room
from engine.registry.files import sources_of
from engine.registry.watch import Files
from engine.store.model.store import NoCopies, new_database, open_model
from engine.store.tables.views.jobs import TableJobs
from engine.store.tables.views.views import TableViews
from engine.telemetry.log import logger

__all__ = ["RunningEngine", "running_engine"]

SMALL: dict[str, Any] = {
    "host": "127.0.0.1", "port": 0, "ui": False, "drain_grace_ms": 0,
    "connections_max": 1_000, "in_flight_max": 1_000,
}  # fmt: skip
"""What a test does not wait for, and has no use for, unless it says so. The limits are such that
3,128 files may have to be open, which most systems allow."""
OF_A_FILE = ("db", "backup_dir")
NOWHERE = Path(os.devnull)
"""Neither `atomic.toml` nor variables are read: a test finds the same wherever it runs."""
STOP_S_MAX = 30.0
"""An engine that does not end by then has a bug, and the test that waits for it is told."""


class RunningEngine:
    """An engine that runs in a thread of this process."""

    url: str
    """Where it is reached, on a port of its own: `http://127.0.0.1:41873`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._asked = trio.Event()
        self._loop: trio.lowlevel.TrioToken | None = None
        self._listens = threading.Event()
        """Or it has failed."""
        self._failed: BaseException | None = None
        # Not one of Trio's: who tests may have another loop, or none.
        self._thread = threading.Thread(  # noqa: TID251
            target=self._run, name="atomic engine", daemon=True
        )

    def start(self) -> None:
        """Return when it answers. Raises why it cannot: `ConfigError`, `CannotListen`."""
        self._thread.start()
        self._listens.wait()
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """Return when it has ended. Raises what has ended it before."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.run_sync_soon(self._asked.set)
        self._thread.join(STOP_S_MAX)
        if self._thread.is_alive():
            raise RuntimeError(f"the engine at {self.url} did not end within {STOP_S_MAX:.0f} s")
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            trio.run(self._serve, strict_exception_groups=True)
        except BaseException as error:  # noqa: BLE001 - it is raised where the engine is used
            while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                error = error.exceptions[0]
            self._failed = error
        finally:
            self._listens.set()

    async def _serve(self) -> None:
        files = Files(sources_of(self._config, None))
        it = around(make_room(self._config), files, self._log, self._attach)
        await _serve_from_memory(it)

    def _attach(self) -> trio.Event:
        self._loop = trio.lowlevel.current_trio_token()
        return self._asked

    def _log(self, event: str, **values: Any) -> None:
        logger().debug(event, **values)
        if event == "listening":
            self.url = values["url"]
            self._listens.set()


async def _serve_from_memory(it: Around) -> None:
    opening = partial(open_model, new_database(), it.instance)
    async with opening(started_at=it.clock.steady_ms(), log=logger().warning) as store:
        jobs = TableJobs(store, logger().error)
        await serve_from(Opened(store, TableViews(store), jobs, NoCopies(), None), it)


@contextmanager
def running_engine(**settings: Any) -> Iterator[RunningEngine]:
    """An engine that answers at `url` until this is left.

    `settings` are those of `docs/reference/configuration.md`, by their names
    (`in_flight_max=5`); neither a file nor the environment is read. Without any it listens on
    loopback, on a free port, asks for no tokens, and ends without waiting for what is under way.
    Everything is in memory: it begins with nothing, and what it recorded is gone with it.

    Any number of them may run at once. Raises `ConfigError` for a setting that is wrong, and at the
    end what has ended the engine, if anything did.
    """
    for name in OF_A_FILE:
        if name in settings:
            raise ConfigError(f"running_engine({name}=…): it keeps everything in memory, no file")
    spelled = "running_engine({}=…)".format
    engine = RunningEngine(load(SMALL | settings, {}, NOWHERE, spelled))
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
