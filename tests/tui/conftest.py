"""Local time is UTC for what is tested here: texts with times in them are the same everywhere."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import textual.app
import textual.pilot

import tui.act.answered
import tui.act.doing
from tests.tui.settling import settled


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    """Set the zone for one test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(autouse=True)
def _answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inspector does not wait until the cursor rests, nor a refusal for who was quicker."""
    monkeypatch.setattr(tui.act.answered, "RESTS_S", 0)
    monkeypatch.setattr(tui.act.doing, "EVENT_COMES_S", 0)


@pytest.fixture(autouse=True)
def _settles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was pressed, and a pause, take as long as what they begin."""
    monkeypatch.setattr(textual.app, "wait_for_idle", settled)
    monkeypatch.setattr(textual.pilot, "wait_for_idle", settled)
