"""`atomic body`: bytes for a pipe, safe text for a terminal, and what is not kept."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.cli.tree import ATTEMPT, TREE
from tests.client.fake_engine import STEP, Atomic, FakeEngine, answer, refusal

ENDED = ATTEMPT | {"endedAt": "2026-11-23T12:00:00.100Z"}
OPEN = ATTEMPT | {"number": 2, "httpStatus": None, "status": "running"}
ROOT = STEP | {"attempts": 2, "attemptRows": [ENDED, OPEN]}
MAIL = STEP | {"id": "01B", "name": "sendMail", "parentId": "01A"}
NASTY = b"a\tb\r\n\x1b[2J\x9b \xff \xe2\x80\xae\x00\n"


def tree(*steps: dict[str, Any]) -> httpx.Response:
    """A run of these steps."""
    return answer(TREE | {"steps": [*steps]})


def body(data: bytes, full: int | None = None, kind: str = "text/plain") -> httpx.Response:
    """What the engine answers a look at a body."""
    size = str(len(data) if full is None else full)
    told = {"atomic-full-size": size, "atomic-content-type": kind}
    return httpx.Response(200, content=data, headers=told)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody reads it."""
    monkeypatch.setattr("engine.cli.body.to_terminal", lambda: True)


def test_a_pipe_gets_the_bytes(atomic: Atomic, engine: FakeEngine):
    """All of them and no other; what it is stands beside them. The last try that has ended."""
    result = atomic("body", "01A", answers=[tree(ROOT), body(NASTY)])
    assert result.stdout_bytes == NASTY
    assert result.stderr == f"the answer to try 1 of index: text/plain, {len(NASTY)} bytes\n"
    assert engine.requests[1].url.path == "/api/v1/steps/01A/attempts/1/response"


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_safe_text(atomic: Atomic):
    """Line ends and tabs as they are; controls, C1, bidi and what is no UTF-8 as escapes."""
    result = atomic("body", "01A", answers=[tree(ROOT), body(NASTY)])
    assert result.stdout == "a\tb\n\\u001b[2J\\x9b \\xff \\u202e\\u0000\n"
    ascii_alone = atomic("body", "01A", answers=[tree(ROOT), body("é".encode())], charset="ascii")
    assert ascii_alone.stdout == "\\u00e9\n"


def test_a_payload(atomic: Atomic, engine: FakeEngine):
    """Of the step that was named, by name as by id."""
    for step in ("sendMail", "01B"):
        answers = [tree(ROOT, MAIL), body(b"{}", kind="application/json")]
        result = atomic("body", "01A", "--step", step, "--payload", answers=answers)
        assert (result.stdout, result.exit_code) == ("{}", 0)
        assert result.stderr == "the payload of sendMail: application/json, 2 bytes\n"
        assert engine.requests[-1].url.path == "/api/v1/steps/01B/payload"


def test_what_is_kept_in_part_says_so(atomic: Atomic):
    """One byte less than all, and all."""
    for full, told in ((4, "the first 3 of 4 bytes: more is not kept"), (3, "text/plain, 3 bytes")):
        result = atomic("body", "01A", answers=[tree(ROOT), body(b"abc", full)])
        assert (result.stdout, result.exit_code) == ("abc", 0)
        assert told in result.stderr


@pytest.mark.parametrize(
    ("step", "arguments", "told"),
    [
        (STEP | {"attempts": 0, "attemptRows": []}, (), "No try of index has ended yet"),
        (ROOT | {"attemptRows": [OPEN]}, (), "No try of index has ended yet"),
        (ROOT, ("--attempt", "2"), "Try 2 of index is under way: there is no answer yet."),
        (ROOT, ("--attempt", "3"), "index has no try 3: there were 2."),
    ],
)
def test_there_is_no_answer(atomic: Atomic, step: Any, arguments: Any, told: str):
    """Refused in words."""
    result = atomic("body", "01A", *arguments, answers=[tree(step)])
    assert (result.exit_code, result.stdout) == (4, "")
    assert told in result.stderr


def test_an_answer_that_is_not_kept_says_why(atomic: Atomic):
    """A try that came to nothing was answered nothing."""
    none = refusal("not-found", "No body was recorded.")
    lost = ENDED | {"httpStatus": None, "error": "connection-refused: app:9000"}
    result = atomic("body", "01A", answers=[tree(ROOT | {"attemptRows": [lost]}), none])
    assert result.exit_code == 4
    assert result.stderr == (
        "atomic: No answer to try 1 of index is kept: connection-refused: app:9000\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("body",),
        ("body", "01A", "--attempt", "0"),
        ("body", "01A", "--payload", "--attempt", "1"),
    ],
)
def test_what_makes_no_sense(atomic: Atomic, engine: FakeEngine, arguments: Any):
    """Is refused before the engine is asked."""
    assert (atomic(*arguments).exit_code, engine.requests) == (2, [])
    result = atomic("body", "01A", "--step", "none", answers=[tree(ROOT)])
    assert result.exit_code == 2
