"""Tests of first_app.py, on an engine within pytest's process: no file, no other process.

`python -m pytest docs/examples/test_first_app.py`
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import first_app
import pytest

from engine.client import Client, StepFailed
from engine.testing import running_engine

ADA = {"userName": "ada", "email": "ada@example.com"}


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """Where the engine is, one for all tests: each has keys of its own."""
    with running_engine() as running:
        yield running.url


@pytest.fixture
def workflow(engine: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the engine finds the workflow: in the application, which a thread serves."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), first_app.Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(first_app, "ENGINE", engine)
    monkeypatch.setattr(first_app, "own_url", url, raising=False)
    monkeypatch.setattr(first_app, "RETRY", {"count": 5, "backOff": 1})  # soon, and not often
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"{url}/workflows/userCreation/index"
    server.shutdown()
    server.server_close()


def test_a_user_is_created_once(engine: str, workflow: str) -> None:
    """Analytics is not there for three calls. Who posts again has no other user."""
    asked = {"url": workflow, "key": "a-user", "client": "shop", "payload": ADA}
    with Client(engine) as atomic:
        first = atomic.submit("createUser", **asked)
        again = atomic.submit("createUser", **asked)
        steps = atomic.operate.run(first.run_id).steps

    assert first.response == again.response == {"userId": 1}
    assert again.replayed
    assert {step.name: step.attempts for step in steps} == {
        "index": 1, "createUser": 1, "sendEmail": 1, "sendAnalytics": 4,
    }  # fmt: skip
    assert first_app.database.execute("SELECT count(*) FROM mails").fetchone() == (1,)


def test_without_an_address_there_is_no_user(engine: str, workflow: str) -> None:
    """The step is given up after its retries, and ends the workflow."""
    asked = {"url": workflow, "key": "no-address", "client": "shop", "payload": {"userName": "bob"}}
    with Client(engine) as atomic, pytest.raises(StepFailed) as failed:
        atomic.submit("createUser", **asked)

    assert failed.value.cause is not None
    assert failed.value.cause.step_name == "createUser"
    assert failed.value.last_attempt is not None
    assert first_app.database.execute("SELECT * FROM users WHERE name = 'bob'").fetchall() == []
