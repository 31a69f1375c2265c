"""No output of any command drives the terminal, whatever an engine answers: each command, each way.

What others wrote reaches an operator by the engine's answers, its refusals, and by whatever else
listens at its address. A new command without a row here fails.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from engine.wire import Problem
from tests.cli.asking import ASKS, answered, commands
from tests.client.fake_engine import Atomic, FakeEngine, answer, refusal
from tests.hostile_answers import WHOLE
from tests.tui.endpoint import Handler, serving

SILENT = {
    "health": "asks over a connection of its own: below", "verify": "asks nothing: it reads a file",
    "compact": "asks nothing: it changes a file",
    "serve": "starts an engine", "version": "asks nothing", "setup": "asks nothing",
    "demo": "has an engine of its own; what it prints of it: tests/demo/test_demo_log.py",
    "tui": "the dashboard: tests/tui/test_terminal.py, tests/tui/text/test_sanitize.py",
}  # fmt: skip


def answered_in_part(request: httpx.Request) -> httpx.Response:
    """The same without what may be null: a step that has not ended, a hold that is not released."""
    return answered(request, sparse=True)


def half_answered(request: httpx.Request) -> httpx.Response:
    """Texts that may be null, beside times that are."""
    found = answered(request)
    if not found.headers["content-type"].startswith("application/json"):
        return found
    return answer(without_times(found.json()))


def without_times(value: Any) -> Any:
    """The answer, with null for every time and number that may be."""
    if isinstance(value, dict):
        return {k: None if k.endswith("At") else without_times(v) for k, v in value.items()}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def refused(request: httpx.Request) -> httpx.Response:
    """A problem with hostile words, in members that are told and in some that are not."""
    said: httpx.Response = refusal(Problem.NOT_FOUND, WHOLE, member=WHOLE, runId=WHOLE, limit=WHOLE)
    return said


def failed(request: httpx.Request) -> httpx.Response:
    """A step's failure, with its cause, as only `submit` and `outcome` have one."""
    cause = {"stepId": WHOLE, "stepName": WHOLE}
    last = {"httpStatus": 500, "error": WHOLE}
    said: httpx.Response = refusal(
        Problem.STEP_FAILED, WHOLE, cause=cause, lastAttempt=last, runId=WHOLE
    )
    return said


def another_program(request: httpx.Request) -> httpx.Response:
    """What no engine says."""
    told = [(b"content-type", b"text/html\x9b"), (b"location", b"http://a/\x9b2J")]
    return httpx.Response(302, content=WHOLE.encode(), headers=told)


def no_json(request: httpx.Request) -> httpx.Response:
    """Hostile text in the place of an engine's JSON."""
    return httpx.Response(200, text=WHOLE, headers={"content-type": "application/json"})


def test_every_command_has_a_row() -> None:
    """Or a reason why what it prints is nobody else's."""
    assert sorted(commands()) == sorted([*ASKS, *SILENT])


def test_health_prints_one_line(atomic: Atomic) -> None:
    """Of whatever answers in the engine's place."""

    class Hostile(Handler):
        def do_GET(self) -> None:
            self.answer(200, WHOLE.replace("\r\n", "").encode(), "text/plain\x9b")

    with serving(Hostile) as port:
        found = atomic("health", "--engine", f"http://127.0.0.1:{port}")
    assert (found.exit_code, found.output.rstrip("\n").isprintable()) == (0, True)
    assert "evil" in found.output


@pytest.mark.parametrize(
    "says", [answered, answered_in_part, half_answered, refused, failed, another_program, no_json]
)
@pytest.mark.parametrize("command", ASKS)
def test_what_an_engine_says_only_prints(
    command: str, says: Any, atomic: Atomic, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As lines and as JSON, to a terminal and in its errors: nothing but printable text comes."""
    monkeypatch.setattr("engine.cli.body.to_terminal", lambda: True)
    for how in ((), ("--json",)):
        if "--json" in how and command in ("body", "limits set", "limits reset"):
            continue
        arguments = [*command.split(), *ASKS[command], *how]
        result = atomic(*arguments, answers=[says] * 9, color=False)
        engine.answers.clear()
        assert result.output.strip(), arguments
        bad = [line for line in result.output.split("\n") if not line.isprintable()]
        assert bad == [], arguments
    assert engine.requests
