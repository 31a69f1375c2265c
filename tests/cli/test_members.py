"""A refusal that names a member of the API is told in the option that was typed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click
import httpx
import pytest

from engine.cli.main import command_of
from engine.cli.show.members import in_options
from engine.cli.submit import submit
from engine.wire import Problem
from tests.cli.asking import ASKS, answered, commands
from tests.cli.tree import TREE
from tests.client.fake_engine import Atomic, FakeEngine, answer, refusal

ACT = ("--reason", "so", "--if-rev", "3", "--dry-run", "--as", "ada")
BULK = ("--filter", "is:failed", "--client", "shop", "--rate", "5", "--reason", "so", "--yes", "8",
        "--as", "ada")  # fmt: skip
MOVE = ("--from", "http://a/", "--to", "http://b/")
WITH_ALL: dict[str, tuple[str, ...]] = {
    "submit": ("http://app/x", "--workflow", "w", "--client", "shop", "--key", "k", "--data", "1",
               "--timeout", "9s", "--retry-count", "3", "--back-off", "2m", "--attempt-timeout",
               "9s", "--step-name", "x"),
    "runs": ("--filter", "is:failed", "--since", "1h", "--client", "shop", "--workflow", "w",
             "--key", "k", "--status", "failed", "--oldest-first", "--limit", "9"),
    "events": ("--since", "1h"),
    "retry": ("01A", "--step", "index", *ACT), "pause": ("01A", "--step", "index", *ACT),
    "resume": ("01A", "--step", "index", *ACT), "cancel": ("01A", "--step", "index", *ACT),
    "rerun": ("01A", "--step", "index", "--payload", "1", *ACT),
    "set-result": ("01A", "--step", "index", "--result", "1", "--content-type", "text/plain",
                   "--http-status", "201", *ACT),
    "skip": ("01A", "--step", "index", *ACT),
    "dismiss": ("01A", *ACT), "undismiss": ("01A", *ACT), "retarget": ("01A", *MOVE, *ACT),
    "note": ("01A", "--text", "so"), "causes note": ("0a1b2c3d", "--text", "so", "--as", "ada"),
    "causes dismiss": ("0a1b2c3d", "--reason", "so", "--as", "ada"),
    "hold": ("client", "shop", "--reason", "so", "--as", "ada"),
    "release": ("client", "shop", "--rate", "3", "--as", "ada"),
    "bulk list": ("--limit", "9"), "bulk retry": ("--first", "2", *BULK),
    "bulk pause": BULK, "bulk resume": ("--first", "2", *BULK), "bulk cancel": BULK,
    "bulk dismiss": BULK, "bulk undismiss": BULK, "bulk restore": BULK,
    "bulk retarget": ("--first", "2", *MOVE, *BULK),
    "audit": ("--since", "1h", "--actor", "ada", "--act", "retry", "--what", "x", "--limit", "9"),
    "client add": ("shop", "--target", "http://app/", "--private-targets", "--steps-need-parent",
                   "--redact", "/x", "--pause-others", "--as", "ada"),
    "client targets": ("shop", "--add", "http://a/", "--remove", "http://b/", "--private-targets"),
    "client redact": ("shop", "--add", "/x", "--remove", "/y"),
    "client secret rm": ("shop", "--last"),
    "token add": ("ci", "--role", "read", "--client", "shop", "--expires", "9d", "--as", "ada"),
    "token rotate": ("ci", "--overlap", "1h", "--expires", "9d"),
    "limits set": ("client", "shop", "open_runs_max=1"),
    "prune": ("--dry-run", "--days", "9", "--keys-days", "99"),
    "backup": ("/there/a.db",),
    "body": ("01A", "--step", "index", "--generation", "1", "--whole"),
}  # fmt: skip
"""Each command that passes options on, with all that it passes on."""
PASS_NOTHING_ON = {
    "outcome", "whoami", "ui", "causes", "causes unnote", "causes undismiss", "status", "show",
    "holds", "doctor", "restore", "bulk show",
    "bulk abort", "bulk follow", "client disable", "client enable", "client rm", "client ls",
    "client secret add",
    "token rm", "token ls", "limits", "limits reset", "alerts", "alerts test",
}  # fmt: skip
"""They send an id or a name in the address alone, and `--wait` as a header."""
NOT_TYPED = {"action", "cursor"}
"""The command's own word, and where a list goes on."""


def members(value: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The paths of all members; `payload`, `result` and `set` are somebody's own."""
    for name, each in value.items():
        if isinstance(each, dict) and name not in ("payload", "result", "set"):
            yield from members(each, f"{above}{name}.")
        else:
            yield above + name


def sent(request: httpx.Request) -> set[str]:
    """What of a request may be refused by its name."""
    body = json.loads(request.content) if request.content else {}
    return {*request.url.params, *members(body)} - NOT_TYPED


def as_usual(request: httpx.Request) -> httpx.Response:
    """A run whose steps are told apart, and whatever else."""
    if request.url.path.startswith("/api/v1/runs/") and request.method == "GET":
        return answer(TREE)
    if request.url.path == "/api/v1/bulk" and request.method == "POST":
        dry = b'"dryRun":true' in request.content
        job = {"state": "done", "id": "J", "dryRun": dry, "action": "retry", "q": "is:failed"}
        return answer(job | {"matched": 8, "total": 8, "done": 8, "skipped": {}, "ratePerS": 5})
    return answered(request)


def found(command: str) -> click.Command:
    """The command of these words."""
    first, *rest = command.split()
    it = command_of(first)
    for word in rest:
        assert isinstance(it, click.Group)
        it = it.commands[word]
    return it


def test_every_command_has_a_row() -> None:
    """Or is among those that have nothing to pass on."""
    assert sorted(ASKS) == sorted({*WITH_ALL, *PASS_NOTHING_ON})
    assert set(ASKS) <= set(commands())


@pytest.mark.parametrize("command", WITH_ALL)
def test_whatever_is_refused_is_named_as_it_was_typed(
    command: str, atomic: Atomic, engine: FakeEngine
) -> None:
    """Every member that the command sends, in each way that an engine names one."""
    line = [*command.split(), *WITH_ALL[command]]
    atomic(*line, answers=[as_usual] * 9)
    asked = [(number, it) for number, each in enumerate(engine.requests) for it in sent(each)]
    assert asked
    typed = {name for it in found(command).params for name in (*it.opts, it.human_readable_name)}
    for number, member in asked:
        if command == "hold" and number > 0:
            continue  # what it asks beside it may be refused
        for said in (f"The member `{member}` is not so.", f"`{member}`: not so.",
                     f"The thing is not valid: Expected `str` - at `$.{member}`"):  # fmt: skip
            engine.answers.clear()
            no = refusal(Problem.INVALID_REQUEST, said)
            result = atomic(*line, answers=[*[as_usual] * number, no])
            assert result.exit_code == 4, (member, result.output)
            told = result.stderr.splitlines()[-1]
            assert "member" not in told, told
            assert "`" not in told.replace("`str`", ""), told
            assert any(f": {it}" in told for it in typed), told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The member `retry.backOff` is not valid: Expected `int` <= 86400000",
         "--back-off is not valid: at most 1d"),
        ("The member `attemptTimeout` is not valid: Expected `int` >= 1",
         "--attempt-timeout is not valid: at least 1ms"),
        ("The member `retry.count` is not valid: Expected `int` <= 1000",
         "--retry-count is not valid: at most 1,000"),
        ("The request is not valid: The thing is not valid: Expected `str` of length <= 128 - at"
         " `$.stepName` (400 invalid-request)",
         "The request is not valid: --step-name is not valid: at most 128 characters"
         " (400 invalid-request)"),
        ("The member `stepInvokeUrl` is missing.", "URL is missing."),
        ("The member `colour` is unknown.", "The member `colour` is unknown."),
        ("`retry` sends it: Expected `int` <= 3", "`retry` sends it: Expected `int` <= 3"),
    ],
)  # fmt: skip
def test_limits_are_told_in_the_units_that_are_typed(said: str, told: str) -> None:
    """What nobody typed stays as the engine said it."""
    assert in_options(said, submit) == told
