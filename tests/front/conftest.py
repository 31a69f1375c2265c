"""What the tests of the front share."""

from __future__ import annotations

import pytest

from tests.front import raw_http


@pytest.fixture(params=["quart", "door"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server without and with a door: what holds of one way in holds of the other."""
    way: str = request.param
    monkeypatch.setattr(raw_http, "WITH_DOOR", way == "door")
    return way
