"""Each test of this folder is asked of each adapter that it fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.contract.adapters import Adapter, InFile, InMemory


@pytest.fixture(params=["sqlite", "model"])
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> Adapter:
    """A store with nothing in it yet."""
    return InFile(tmp_path) if request.param == "sqlite" else InMemory()
