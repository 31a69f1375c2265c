"""No output of any command drives the terminal, whatever an engine answers: each command, each way.

What others wrote reaches an operator by the engine's answers, its refusals, and by whatever else
listens at its address. A new command without a row here fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click
import httpx
import msgspec
import pytest

from engine import wire
from engine.cli.main import COMMANDS, command_of
from engine.wire import Problem, routes
from engine.wire.routes import PAGES, ROUTES, Route
from tests.client.fake_engine import OUTCOME, Atomic, FakeEngine, answer, refusal
from tests.hostile_answers import WHOLE, hostile
from tests.tui.endpoint import Handler, serving

ASKS: dict[str, tuple[str, ...]] = {
    "whoami": (), "ui": ("--no-browser",),
    "status": (), "runs": (), "audit": (), "show": ("01A", "--attempts"), "events": (), "holds": (),
    "causes": (),
    "submit": ("http://app/x", "--workflow", "w", "--client", "shop"), "outcome": ("01A",),
    "body": ("01A", "--payload"), "retry": ("01A",), "pause": ("01A",), "resume": ("01A",),
    "cancel": ("01A", "--dry-run"), "rerun": ("01A", "--step", "none"), "dismiss": ("01A",),
    "set-result": ("01A", "--step", "none", "--result", "1", "--reason", "so"),
    "skip": ("01A", "--step", "none", "--reason", "so"),
    "undismiss": ("01A",), "doctor": (), "restore": ("01A",), "backup": ("/there/a.db",),
    "retarget": ("01A", "--from", "http://a/", "--to", "http://b/"),
    "hold": ("client", "shop"), "release": ("client", "shop"),
    "bulk list": (), "bulk abort": ("J",), "bulk follow": ("J",),
    "bulk show": ("J",),
    "bulk retry": ("--filter", "is:failed", "--dry-run"),
    "bulk pause": ("--filter", "is:live", "--yes", "1"),
    "bulk resume": ("--filter", "is:live", "--yes", "9"),
    "bulk cancel": ("--filter", "is:live", "--yes", "1"),
    "bulk dismiss": ("--filter", "is:failed", "--dry-run"),
    "bulk undismiss": ("--filter", "is:failed", "--dry-run"),
    "bulk restore": ("--filter", "is:failed", "--dry-run"),
    "bulk retarget": ("--filter", "is:live", "--from", "http://a/", "--to", "http://b/",
                      "--dry-run"),
    "client add": ("shop", "--target", "http://app/"), "client targets": ("shop", "--add", "x"),
    "client redact": ("shop", "--add", "/x"),
    "client disable": ("shop",), "client enable": ("shop",), "client rm": ("shop",),
    "client ls": (), "client secret add": ("shop",),
    "client secret rm": ("shop",), "token add": ("ci", "--role", "read"), "token rotate": ("ci",),
    "token rm": ("ci",), "token ls": (), "limits": (), "limits reset": ("client", "shop"),
    "limits set": ("client", "shop", "open_runs_max=1"), "prune": (),
    "alerts": (), "alerts test": (),
}  # fmt: skip
"""What makes each command ask the engine."""
SILENT = {
    "health": "asks over a connection of its own: below", "verify": "asks nothing: it reads a file",
    "compact": "asks nothing: it changes a file",
    "serve": "starts an engine", "version": "asks nothing", "setup": "asks nothing",
    "demo": "has an engine of its own; what it prints of it: tests/demo/test_demo_log.py",
    "tui": "the dashboard: tests/tui/test_terminal.py, tests/tui/text/test_sanitize.py",
}  # fmt: skip


def commands() -> Iterator[str]:
    """Every command, those of groups by all their words; a group that does something itself too."""
    for name in COMMANDS:
        yield from below(name, command_of(name))


def below(name: str, found: click.Command) -> Iterator[str]:
    """The command of this name, and what there is below it."""
    if not isinstance(found, click.Group) or found.invoke_without_command:
        yield name
    if isinstance(found, click.Group):
        for word, each in found.commands.items():
            yield from below(f"{name} {word}", each)


def route_of(request: httpx.Request) -> Route[Any]:
    """Which route a request is for."""
    for route in (*ROUTES, *PAGES):
        pattern = re.sub(r"\{\w+\}", "[^/]+", route.path)
        if route.method == request.method and re.fullmatch(pattern, request.url.path):
            return route
    raise AssertionError(request.url)


def answered(request: httpx.Request, *, sparse: bool = False) -> httpx.Response:
    """All that the route answers, each text of it hostile; `sparse`: what may be null is so."""
    route = route_of(request)
    if route in (routes.SUBMIT, routes.OUTCOME):
        return answer(OUTCOME | {"response": {WHOLE: WHOLE}, "status": WHOLE, "runId": WHOLE})
    if route is routes.EVENTS:
        data = {"kind": "acted", "action": WHOLE, "reason": WHOLE, "actor": WHOLE, "address": WHOLE,
                "runId": WHOLE, "stepId": WHOLE, "status": WHOLE, "at": WHOLE}  # fmt: skip
        frame = f"event: step\nid: f-1\ndata: {json.dumps(data)}\n\n"
        if "last-event-id" in request.headers:
            raise KeyboardInterrupt
        return httpx.Response(200, text=frame, headers={"content-type": "text/event-stream"})
    if route.answer is bytes:
        told = [(b"atomic-full-size", b"9"), (b"atomic-content-type", b"x\x9b31m")]
        return httpx.Response(200, content=WHOLE.encode(), headers=told)
    kind = wire.Status if route.answer is dict else route.answer
    page = msgspec.to_builtins(hostile(kind, WHOLE, sparse=sparse))
    if "next" in page:
        page["next"] = None
    if kind is wire.Status and "backup" in page:
        page["backup"]["underWay"] = None  # it has ended
    if kind is wire.BulkAnswer:
        page |= {} if b'"dryRun":true' in request.content else {"state": "done", "id": "J"}
    return answer(page)


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
