"""One engine for each file of tests; each test is a client of its own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from tests.e2e import harness
from tests.e2e.harness import SETTINGS, Client, EngineProcess

_number = count(1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine that the tests of a file share. It must survive them all and then stop well."""
    with harness.running(tmp_path_factory.mktemp("engine"), **SETTINGS) as engine:
        yield engine
        assert engine.exit_code is None, engine.text
        assert engine.stop() == 0
        assert not engine.events("run-stopped")
        assert not engine.events("request-failed")


@pytest.fixture
async def shop(engine: EngineProcess, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A client of the file's engine with a name that no other test has."""
    name = f"{re.sub(r'[^A-Za-z0-9]+', '-', request.node.name)[:58]}-{next(_number)}"
    async with harness.client(engine.url, name) as client:
        yield client
