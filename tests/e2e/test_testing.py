"""`engine.testing`: an engine in the process of a user's tests."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from engine.client import Client
from engine.main import CannotListen
from engine.ports.store import StoreError
from engine.process.config import ConfigError
from engine.store.model.store import NoCopies
from engine.testing import running_engine


class Endpoint(BaseHTTPRequestHandler):
    """Answers each call with its number."""

    calls = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).calls += 1
        body = str(self.calls).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_engines_run_beside_each_other_and_each_begins_with_nothing() -> None:
    """The same key is another run at each; what is recorded is found again, as long as it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/w"
    with running_engine() as one, running_engine() as other:
        answers = []
        for engine in (one, other, one):
            with Client(engine.url) as atomic:
                answers.append(atomic.submit("w", url=url, key="k").response)
                assert [row.idempotency_key for row in atomic.operate.runs()] == ["k"]
    server.shutdown()
    server.server_close()
    assert answers == [1, 2, 1]
    with pytest.raises(httpx.ConnectError):
        httpx.get(one.url)


def test_it_says_that_nothing_of_it_lasts() -> None:
    """`atomic doctor` warns."""
    with running_engine() as engine, Client(engine.url) as atomic:
        found = {it.name: it for it in atomic.admin.doctor()}
        assert found["durability"].verdict == "warn"
        assert found["durability"].what.startswith("everything is in memory")
        assert "file modes" not in found


async def test_of_memory_there_are_no_copies(tmp_path: Path) -> None:
    """Who asks for one is told why there is none."""
    with pytest.raises(StoreError, match="there is no file to copy"):
        await NoCopies().back_up(tmp_path / "copy.db", lambda done, of: None)


def test_neither_the_environment_nor_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test finds the same wherever it runs, and leaves nothing behind."""
    (tmp_path / "atomic.toml").write_text("nonsense = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATOMIC_PORT", "nonsense")
    with running_engine(steps_need_parent=True) as engine:
        assert httpx.get(f"{engine.url}/readyz").status_code == 200
    assert [it.name for it in tmp_path.iterdir()] == ["atomic.toml"]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"in_flight_mx": 1}, r"running_engine\(in_flight_mx=…\): unknown setting; did you mean"),
        ({"in_flight_per_host_max": 0}, r"running_engine\(in_flight_per_host_max=…\): 0: Expected"),
        ({"db": "a.db"}, r"running_engine\(db=…\): it keeps everything in memory, no file"),
        ({"backup_dir": "."}, r"running_engine\(backup_dir=…\): it keeps everything in memory"),
    ],
)
def test_a_setting_that_is_wrong_is_named(settings: dict[str, object], why: str) -> None:
    """As it was given, before anything starts."""
    with pytest.raises(ConfigError, match=why), running_engine(**settings):
        pass


def test_why_it_cannot_start_is_raised() -> None:
    """Where it is used, and not in the thread."""
    with running_engine() as engine:
        port = int(engine.url.rpartition(":")[2])
        with pytest.raises(CannotListen, match="another program listens there"):
            with running_engine(port=port):
                pass
