"""`atomic events`: a line for each event, with the names of the steps."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from engine.cli import events as cli_events
from engine.cli.show.lists import event_text
from engine.client import Event
from engine.core.errors import Problem
from engine.wire.events import Acted, Started
from tests.client.fake_engine import STEP, Answer, Atomic, FakeEngine, answer, refusal

AT = {"at": "2026-11-23T12:00:00.000Z", "runId": "01A", "stepId": "01A-b"}
ENDED = AT | {"kind": "attempt-ended", "status": "backing-off", "number": 2, "error": "x\x1b"}
SPEC = {"name": "ship", "stepKey": "parcel 1"}
ACCEPTED = AT | {"kind": "accepted", "status": "pending", "spec": SPEC}
ROW = STEP | {"id": "01A-b", "name": "sendMail"}


def stream(*events: tuple[str, dict[str, Any]]) -> Answer:
    """An event stream of these, then Ctrl-C."""
    parts = [
        f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"
        for number, (kind, data) in enumerate(events, 1)
    ]
    content = "".join(parts).encode()
    return httpx.Response(200, content=content, headers={"content-type": "text/event-stream"})


def interrupt(request: httpx.Request) -> httpx.Response:
    """Ctrl-C."""
    raise KeyboardInterrupt


def test_events_are_printed_until_ctrl_c(atomic: Atomic, engine: FakeEngine):
    """One line an event, with the name of its step; heartbeats only in JSON."""
    told = (
        ("attempt", ENDED),
        ("heartbeat", {"serverTime": "t"}),
        ("counts", {"counts": {"failed": 2, "running": 0}}),
    )
    result = atomic("events", "--since", "a1-0", answers=[stream(*told), answer(ROW), interrupt])
    assert result.exit_code == 130
    line, counts = result.stdout.splitlines()
    assert line == (
        "2026-11-23 12:00:00Z  attempt    ↻ backing-off  01A-b  sendMail  attempt-ended  try 2"
        "  x\\u001b"
    )
    assert counts.endswith("counts     failed 2")
    first, asked, again = engine.requests
    assert (first.headers["last-event-id"], again.headers["last-event-id"]) == ("a1-0", "3")
    assert asked.url.path == "/api/v1/steps/01A-b"
    result = atomic("events", "--json", answers=[stream(*told), interrupt])
    begun, *rest = map(json.loads, result.stdout.splitlines())
    assert (begun["id"], begun["event"], begun["data"]) == ("1", "attempt", ENDED)
    assert len(rest) == 2


def test_a_step_that_was_just_accepted_is_not_asked_for(atomic: Atomic, engine: FakeEngine):
    """Its name came with its event, and holds for those that follow."""
    told = (("step", ACCEPTED), ("attempt", AT | {"kind": "started"}))
    result = atomic("events", answers=[stream(*told), interrupt])
    assert result.stdout.count("ship (parcel 1)") == 2
    assert len(engine.requests) == 2


def test_a_name_is_asked_for_once_and_need_not_be_found(atomic: Atomic, engine: FakeEngine):
    """An event is told by its id where the engine does not say the name."""
    told = (("attempt", ENDED), ("attempt", ENDED))
    gone = refusal("not-found", "There is no step.")
    result = atomic("events", answers=[stream(*told), gone, interrupt])
    assert result.stdout.count("01A-b  attempt-ended") == 2
    assert len(engine.requests) == 3


def test_names_are_kept_for_a_bounded_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were told of last."""
    monkeypatch.setattr(cli_events, "NAMES_KEPT_MAX", 2)
    asked: list[str] = []

    class Asked:
        def step(self, step_id: str) -> Any:
            asked.append(step_id)
            return type("Row", (), {"name": step_id.upper(), "step_key": ""})

    names = cli_events.StepNames(Asked())  # type: ignore[arg-type]
    seen = [
        names.of(Event("1", "attempt", Started(step_id=each)))
        for each in ["a", "b", "a", "c", "a", "b"]
    ]
    assert seen == ["A", "B", "A", "C", "A", "B"]
    assert asked == ["a", "b", "c", "b"]


@pytest.mark.parametrize(
    ("actor", "address", "told"),
    [
        ("ada@laptop", "127.0.0.1", "retry  by ada@laptop (127.0.0.1)  mended"),
        ("http:127.0.0.1", "127.0.0.1", "retry  by http:127.0.0.1  mended"),
        ("http:127.0.0.1", None, "retry  by http:127.0.0.1  mended"),
        ("x\x1b", "::1", "retry  by x\\u001b (::1)  mended"),
    ],
)
def test_who_acted_is_told(actor: str, address: str | None, told: str) -> None:
    """By name and address; of before there were names by the address alone."""
    data = Acted(step_id="01A", action="retry", actor=actor, address=address, reason="mended")
    assert event_text(Event("1", "step", data), "index").endswith(f"01A  index  acted  {told}")


@pytest.mark.parametrize("since", ["1h", "1h30m", "2026-11-23", "2026-11-23T12:00:00+01:00"])
def test_from_a_time_on(atomic: Atomic, engine: FakeEngine, since: str):
    """It is asked for until there is an event to go on behind, which then says all."""
    told = (("counts", {"counts": {"failed": 2}}),)
    answers = [refusal(Problem.STORE_UNAVAILABLE, "it is away"), stream(*told), interrupt]
    atomic("events", "--since", since, answers=answers)
    first, second, again = engine.requests
    for asked in (first, second):
        assert asked.url.params["since"] == since
        assert "last-event-id" not in asked.headers
    assert (dict(again.url.params), again.headers["last-event-id"]) == ({}, "1")


def test_who_listens_is_said(atomic: Atomic, engine: FakeEngine):
    """By --as, as for an action; else by who runs the command."""
    for name in (("--as", "ana"), ()):
        atomic("events", *name, answers=[interrupt])
    first, second = engine.requests
    assert first.headers["atomic-actor"] == "ana"
    assert "@" in second.headers["atomic-actor"]


def test_what_is_neither_a_time_nor_an_id(atomic: Atomic, engine: FakeEngine):
    """Told before anything is asked, with what can be written."""
    result = atomic("events", "--since", "yesterday", answers=[])
    assert result.exit_code == 2
    assert "no time (1h, 90d, 2026-11-23T12:00:00Z)" in " ".join(result.stderr.split())
    assert engine.requests == []
