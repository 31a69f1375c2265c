"""The command lines, as processes: what the demonstration starts."""

import json
import mailbox
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path

import httpx
import pytest

from demo_app.__main__ import file_named, parse_arguments

CREATE = "/workflows/userCreation/steps/createUser"
BODY = {"idempotencyKey": "run-1", "payload": {"userName": "ada", "email": "ada@example.com"}}
HEADERS = {"Idempotency-Key": '"own-1"'}
EXIT_TIMEOUT_S = 20


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and where it listens, as its one line says; ended at the block's end."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert " listening on " in line, line
        yield process, line.split()[-1]
    finally:
        process.terminate()
        process.wait(EXIT_TIMEOUT_S)
        process.stdout.close()


@pytest.mark.slow
def test_crash_after_the_effect(tmp_path: Path) -> None:
    """The process dies with its effect done; started again, it answers from the record."""
    arguments = ("demo_app", "--port", "0", "--data", str(tmp_path))
    with started(*arguments) as (process, url), httpx.Client(base_url=url) as http:
        plan = {"key": "run-1", "step": "createUser", "faults": ["crash"]}
        assert http.post("/faults", json=plan).status_code == 200
        with pytest.raises(httpx.TransportError):
            http.post(CREATE, json=BODY, headers=HEADERS)
        assert process.wait(EXIT_TIMEOUT_S) == 1
    with started(*arguments) as (process, url), httpx.Client(base_url=url) as http:
        answer = http.post(CREATE, json=BODY, headers=HEADERS)
        assert answer.json()["userName"] == "ada"
        (row,) = http.get("/effects").json()["effects"]
        assert (row["calls"], row["effects"]) == (2, 1)


@pytest.mark.slow
def test_stops_although_a_call_hangs(tmp_path: Path) -> None:
    """SIGTERM ends the process with exit code 0; a hanging caller sees its connection lost."""
    with started("demo_app", "--port", "0", "--data", str(tmp_path)) as (process, url):
        host, _, port = url.removeprefix("http://").rpartition(":")
        hanging = HTTPConnection(host, int(port), timeout=EXIT_TIMEOUT_S)
        with httpx.Client(base_url=url) as http, closing(hanging):
            plan = {"key": "run-1", "step": "createUser", "faults": ["hang"]}
            http.post("/faults", json=plan)
            hanging.request("POST", CREATE, json.dumps(BODY), HEADERS)
            while not http.get("/effects").json()["effects"]:
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            with pytest.raises(RemoteDisconnected):
                hanging.getresponse()
            assert process.wait(EXIT_TIMEOUT_S) == 0


@pytest.mark.slow
def test_smtp_server_keeps_messages(tmp_path: Path) -> None:
    """The SMTP server by itself puts what it gets into the Maildir, and stops on SIGTERM."""
    maildir = tmp_path / "mail"
    with started("demo_app.smtp", "--port", "0", "--maildir", str(maildir)) as (process, where):
        host, _, port = where.rpartition(":")
        with smtplib.SMTP(host, int(port)) as client:
            client.sendmail("a@example.com", ["b@example.com"], b"Subject: hello\r\n\r\nHi\r\n")
        (message,) = mailbox.Maildir(maildir, create=False)
        assert message["Subject"] == "hello"
        process.send_signal(signal.SIGTERM)
        assert process.wait(EXIT_TIMEOUT_S) == 0


def test_the_environment_says_where_the_engine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whose runs these are, and where the secrets stand; an option goes before, an empty
    variable is none."""
    for name, value in (
        ("ATOMIC_URL", "https://atomic:8420"),
        ("ATOMIC_CLIENT", "shop"),
        ("ATOMIC_TOKEN_FILE", "/run/secrets/token"),
        ("ATOMIC_SIGNING_SECRET_FILE", ""),
    ):
        monkeypatch.setenv(name, value)
    given = parse_arguments(["--data", "d"])
    assert (given.engine, given.client) == ("https://atomic:8420", "shop")
    assert parse_arguments(["--data", "d", "--client", "other"]).client == "other"
    assert file_named("ATOMIC_TOKEN_FILE") == Path("/run/secrets/token")
    assert file_named("ATOMIC_SIGNING_SECRET_FILE") is None
    for name in ("ATOMIC_URL", "ATOMIC_CLIENT"):
        monkeypatch.setenv(name, "")
    given = parse_arguments(["--data", "d"])
    assert (given.engine, given.client) == ("http://127.0.0.1:8420", "demo")
