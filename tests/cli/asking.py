"""Every command with what makes it ask an engine; and an engine that answers all it is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click
import httpx
import msgspec

from engine import wire
from engine.cli.main import COMMANDS, command_of
from engine.wire import routes
from engine.wire.routes import PAGES, ROUTES, Route
from tests.client.fake_engine import OUTCOME, answer
from tests.hostile_answers import WHOLE, hostile

ASKS: dict[str, tuple[str, ...]] = {
    "whoami": (), "ui": ("--no-browser",),
    "status": (), "runs": (), "audit": (), "show": ("01A", "--attempts"), "events": (), "holds": (),
    "causes": (), "causes note": ("0a1b2c3d", "--text", "so"),
    "causes unnote": ("0a1b2c3d", "1"), "causes undismiss": ("0a1b2c3d",),
    "causes dismiss": ("0a1b2c3d", "--reason", "so"), "note": ("01A", "--text", "so"),
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
