"""Each test of this folder is asked of each adapter that it fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio.testing

from tests.postgres import Postgres
from tests.store.contract.adapters import Adapter, InFile, InMemory, Shared
from tests.store.contract.on_server import OnServer


def _server(request: pytest.FixtureRequest) -> OnServer:
    server: Postgres = request.getfixturevalue("postgres")
    return OnServer(server)


@pytest.fixture(params=["sqlite", "model", "postgresql"])
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> Adapter:
    """A store with nothing in it yet."""
    if request.param == "postgresql":
        return _server(request)
    return InFile(tmp_path) if request.param == "sqlite" else InMemory()


@pytest.fixture(params=["model", "postgresql"])
def shared(request: pytest.FixtureRequest) -> Shared:
    """One on a server that many share."""
    return _server(request) if request.param == "postgresql" else InMemory(has_standby=True)


@pytest.fixture
def autojump_clock(request: pytest.FixtureRequest) -> trio.abc.Clock | None:
    """Time jumps when nothing happens any more. Not beside a server of its own process: nobody here
    knows when it has nothing more to say."""
    asked = getattr(request.node, "callspec", None)
    on_server = asked is not None and "postgresql" in asked.params.values()
    return None if on_server else trio.testing.MockClock(autojump_threshold=0)
