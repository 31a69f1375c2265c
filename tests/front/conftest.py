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


@pytest.fixture(params=["quart", "door", "tls"])
def all_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """And with a door over TLS."""
    way: str = request.param
    monkeypatch.setattr(raw_http, "WITH_DOOR", way != "quart")
    monkeypatch.setattr(raw_http, "WITH_TLS", way == "tls")
    return way
