"""A step's request as a command, where the engine asks for a token."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec

from engine.wire import StepRow
from tests.client.fake_engine import STEP
from tui.text import curl

CURL = """#!/bin/sh
echo "arguments: $*" >> log
case "$*" in *Authorization*) echo "the token is an argument" >> log;; esac
case "$*" in *@-*) echo "input: $(cat)" >> log;; esac
printf '{"a":1}'
"""


def run(directory: Path, command: str) -> list[str]:
    """What curl was given, call by call, when a shell runs the command."""
    (directory / "curl").write_text(CURL)
    (directory / "curl").chmod(0o755)
    environ = {"PATH": f"{directory}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", command], cwd=directory, env=environ, check=True)
    return (directory / "log").read_text().splitlines()


def test_the_token_is_of_the_file_and_no_argument(tmp_path: Path) -> None:
    """It is read when the command is run, by the shell, and goes to the engine alone."""
    token = tmp_path / "my 'own' token"
    token.write_text("atomic_one\natomic_old\n")
    row = msgspec.convert(STEP, StepRow)
    command = curl.command(row, "http://engine.test", None, str(token))
    assert "atomic_one" not in command
    lines = run(tmp_path, command)
    assert "input: Authorization: Bearer atomic_one" in lines
    assert 'input: {"idempotencyKey":"k","payload":{"a":1}}' in lines
    (asked,) = [line for line in lines if "engine.test" in line]
    assert asked.endswith(f"http://engine.test/api/v1/steps/{row.id}/payload")
    assert "the token is an argument" not in lines


def test_what_asks_the_engine_for_nothing_needs_no_token(tmp_path: Path) -> None:
    """With its payload in it the command is as it was, and so it is without a token."""
    row = msgspec.convert(STEP, StepRow)
    with_payload = curl.command(row, "http://engine.test", b"{}", "/etc/token")
    assert with_payload == curl.command(row, "http://engine.test", b"{}")
    assert "token" not in with_payload + curl.command(row, "http://engine.test", None)
