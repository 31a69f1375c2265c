"""Times, ids, hosts and numbers as they come off the wire."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.tui.on_screen import step_row
from tests.tui.support import NOW, event_read
from tui.data.model import (
    ENDED,
    State,
    happening_of,
    host_of,
    ms_of,
    short_id,
    step_of,
    tries_left,
)


@pytest.mark.parametrize(
    ("time", "ms"),
    [
        ("2026-09-21T14:13:20.000Z", NOW),
        ("2026-09-21T16:13:20.042+02:00", NOW + 42),
        ("1970-01-01T00:00:00Z", 0),
        ("2026-09-21T14:13:20", None),  # of which zone?
        ("2026-09-21", None),
        ("1969-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("soon", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_times(time: object, ms: int | None) -> None:
    """Every time that comes through can be told in every zone; what is none is none."""
    assert ms_of(time) == ms


def test_states_of_later_engines_are_unknown() -> None:
    """They are shown as such, and nothing stops."""
    assert State.of("backing-off") is State.BACKING_OFF
    words: list[object] = ["teleported", None, 5, [], ""]
    assert [State.of(word) for word in words] == [State.UNKNOWN] * 5
    assert State.UNKNOWN not in ENDED


def test_short_ids_tell_runs_apart() -> None:
    """The beginning of an id is the time: runs of one minute share it."""
    assert short_id("01kaq3x0c4gq2mfzx8v7h5e9r1") == "v7h5e9r1"
    assert short_id("01kaq3x0c4gq2mfzx8v7h5e9r1-78a39b35ae6fcb13c4d3") == "6fcb13c4d3"[2:]
    assert short_id("ab") == "ab"


def test_hosts() -> None:
    """With their port, without anybody's password."""
    assert host_of("https://api.acme.io:8443/x?y") == "api.acme.io:8443"
    assert host_of("http://ada:sesame@app/x") == "app"
    assert host_of("http://[::1/x") == "http://[::1/x"


@pytest.mark.parametrize(
    ("state", "failures", "left"),
    [
        (State.PENDING, 0, 11),
        (State.RUNNING, 0, 10),
        (State.BACKING_OFF, 3, 8),
        (State.RUNNING, 10, 0),
        (State.PAUSED, 11, 0),
        (State.PAUSED, 99, 0),
        (State.FAILED, 11, None),
    ],
)
def test_tries_left(state: State, failures: int, left: int | None) -> None:
    """One in flight is none of those that may start; of what has ended there are none to tell."""
    assert tries_left(state, 10, failures) == left


def test_an_event_needs_a_run_and_a_step() -> None:
    """All else of it may be missing."""
    assert happening_of(event_read("1", "step", {"runId": "r"})) is None
    assert happening_of(event_read("1", "step", {"runId": "r", "stepId": 5})) is None
    found = happening_of(event_read("1", "step", {"runId": "r", "stepId": "r", "at": "x"}))
    assert found is not None
    assert (found.fact.kind, found.at, found.rev, found.state) == ("", 0, 0, State.UNKNOWN)
    assert found.is_root


def test_a_step_is_told_from_others_of_its_name() -> None:
    """By its key, where one was given that is no URL; a key that has the name in it says all."""
    step = step_of(step_row("01KRUN", "ship", "running"))
    keys = {"http://x/ship": "ship", "ship": "ship", "ship box-2": "ship box-2", "2": "ship (2)"}
    assert {key: replace(step, step_key=key).label for key in keys} == keys
