"""Local time is UTC for what is tested here: texts with times in them are the same everywhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import textual.app
import textual.pilot
from textual.css.stylesheet import Stylesheet

import tui.act.answered
import tui.act.change.doing
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
    monkeypatch.setattr(tui.act.change.doing, "EVENT_COMES_S", 0)


@pytest.fixture(autouse=True)
def _settles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was pressed, and a pause, take as long as what they begin."""
    monkeypatch.setattr(textual.app, "wait_for_idle", settled)
    monkeypatch.setattr(textual.pilot, "wait_for_idle", settled)


@pytest.fixture(autouse=True, scope="session")
def _parses_once() -> Iterator[None]:
    """What each application parses anew, its own stylesheet and those of Textual's widgets, is the
    same in every test of the same theme."""
    parse, parsed = Stylesheet._parse_rules, dict[Any, Any]()

    def parse_once(self: Stylesheet, *source: Any, **of: Any) -> Any:
        key = (*self._variables.items(), source, *of.items())
        if key not in parsed:
            parsed[key] = parse(self, *source, **of)
        return parsed[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_once)
        yield
