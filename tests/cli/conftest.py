"""The command against an engine that answers what the test wrote down."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import httpx
import pytest
from click.testing import CliRunner, Result

from engine.cli.main import main
from engine.client import Client
from tests.client.fake_engine import Answer, Atomic, FakeEngine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine that the command talks to; put answers into it."""
    fake = FakeEngine()
    http = httpx.Client(transport=fake.transport)
    monkeypatch.setattr("engine.client.Client", functools.partial(Client, http=http))
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    monkeypatch.setattr("engine.cli.bulk.sleep", lambda seconds: None)
    for module in ("exchange", "events"):
        monkeypatch.setattr(f"engine.client.blocking.{module}.sleep", lambda seconds: None)
    for name in (
        "ATOMIC_URL",
        "ATOMIC_CLIENT",
        "ATOMIC_ACTOR",
        "ATOMIC_TOKEN_FILE",
        "NO_COLOR",
        "TERM",
    ):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.fixture
def atomic(engine: FakeEngine) -> Atomic:
    """Run the command: `atomic("runs", "--json", answers=[…])`."""

    def run(*arguments: str, answers: Sequence[Answer] = (), charset="utf-8", **options) -> Result:
        engine.answers += answers
        runner = CliRunner(charset=charset)
        result = runner.invoke(main, list(arguments), prog_name="atomic", **options)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return run
