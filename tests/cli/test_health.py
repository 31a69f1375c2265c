"""`atomic health`: what those who start others ask, by exit code."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.client.fake_engine import Atomic
from tests.loopback import free_port


@contextmanager
def answering(status: int, word: str) -> Iterator[tuple[int, list[str]]]:
    """A server that answers so: its port, and what it was asked for, with what token."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Authorization']}")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(f"{word}\n".encode())

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "word", "code"), [(200, "ready", 0), (503, "store-unavailable", 1)]
)
def test_it_asks_the_engine_of_the_settings(
    atomic: Atomic,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    word: str,
    code: int,
) -> None:
    """Those of the file and the environment, as `atomic serve` takes them; on this machine, where
    it listens at any address. A token that the command could send is not sent."""
    settings, token = tmp_path / "atomic.toml", tmp_path / "token"
    token.write_text("atomic_x")
    monkeypatch.setenv("ATOMIC_TOKEN_FILE", str(token))
    monkeypatch.setenv("ATOMIC_HOST", "0.0.0.0")
    with answering(status, word) as (port, asked):
        settings.write_text(f'port = {port}\nhosts = ["engine.example"]\n')
        done = atomic("health", "--config", str(settings))
    assert (done.exit_code, done.stdout) == (code, f"{word}\n")
    assert asked == ["/readyz None"]


def test_it_asks_another_engine(atomic: Atomic, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its URL, on the command line or of the variable that every command has."""
    with answering(200, "ready") as (port, _):
        assert atomic("health", "--engine", f"http://127.0.0.1:{port}/").exit_code == 0
        monkeypatch.setenv("ATOMIC_URL", f"http://127.0.0.1:{port}")
        assert atomic("health").exit_code == 0


def test_nobody_answers(atomic: Atomic) -> None:
    """One line: whom it asked, and why it failed."""
    url = f"http://127.0.0.1:{free_port()}"
    done = atomic("health", "--engine", url)
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == f"atomic: {url}: Connection refused\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--engine", "engine:8420"), 3, "is no http:// or https:// URL"),
        (("--config", "port0.toml"), 2, "give --engine"),
        (("--config", "gone.toml"), 2, "gone.toml"),
        (("--timeout", "0"), 2, "is not in the range 1<=x<=60"),
        (("--timeout", "61"), 2, "is not in the range 1<=x<=60"),
    ],
)
def test_what_it_cannot_ask_is_told(
    atomic: Atomic,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    """Never a traceback: a health check's output is all that there is to see."""
    monkeypatch.chdir(tmp_path)
    Path("port0.toml").write_text("port = 0\n")
    done = atomic("health", *arguments)
    assert (done.exit_code, words in done.stderr) == (code, True), done.stderr


def test_settings_that_are_named_are_asked_whatever_the_environment_says(
    atomic: Atomic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there is no reason to ask another engine."""
    monkeypatch.setenv("ATOMIC_URL", "http://127.0.0.1:1")
    done = atomic("health", "--config", str(tmp_path / "none.toml"))
    assert done.exit_code == 2
    assert "none.toml" in done.stderr
    assert atomic("health").exit_code == 3
