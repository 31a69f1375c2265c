"""Clients and tokens of files, with a real engine and a real disk."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.e2e.harness import eventually, launch, running
from tests.registry.files import secret, write

TAKEN_S = 10.0
"""What the page promises."""


@pytest.mark.slow
async def test_files_are_taken_while_the_engine_runs(tmp_path: Path) -> None:
    """From the start, and within 10 s of a change; a bad one is told in the log, with its line, and
    no secret is in any line."""
    write(tmp_path / "atomic.toml", '[clients.shop]\ntargets = ["http://127.0.0.1:9/"]\n')
    write(tmp_path / "admin.token", secret(1))
    with running(tmp_path, admin_token_file="admin.token") as engine:
        write(tmp_path / "admin.token", f"{secret(1)}\n{secret(2)}")
        await eventually(lambda: engine.events("files-read"), TAKEN_S)
        (read,) = engine.events("files-read")
        assert (read["changed"], read["clients"], read["tokens"]) == (["admin.token"], 1, 2)
        write(tmp_path / "atomic.toml", "[clients.shop]\ntarget = []")
        await eventually(lambda: engine.events("bad-file"), TAKEN_S)
        (bad,) = engine.events("bad-file")
        assert bad["file"] == "atomic.toml [clients.shop]"
        assert bad["why"].startswith("atomic.toml: line 2: `clients.shop.target`: unknown member")
        assert "atomic_0" not in engine.text
        assert engine.stop() == 0


def test_a_client_of_a_file(tmp_path: Path) -> None:
    """What its file says holds from the first post on: its token, its targets, its rate."""
    write(tmp_path / "shop.token", f"{secret(1)}\n{secret(2)}")
    text = 'targets = ["http://127.0.0.1:9/hooks"]\ntoken_file = "../shop.token"\n'
    write(tmp_path / "clients/shop.toml", text + "limits.new_runs_per_s = 0.01")
    write(tmp_path / "atomic.toml", 'clients_dir = "clients"')
    with running(tmp_path) as engine, httpx.Client(base_url=engine.url) as http:

        def post(key: str, url: str, token: str, client: str = "shop") -> httpx.Response:
            body = {"workflowName": "w", "idempotencyKey": key, "stepInvokeUrl": url}
            headers = {"Authorization": f"Bearer {token}", "Prefer": "respond-async"}
            return http.post(f"/{client}", json=body | {"payload": 1}, headers=headers)

        inside, outside = "http://127.0.0.1:9/hooks/w", "http://127.0.0.1:9/hooksy"
        assert post("a", inside, secret(3)).status_code == 401
        assert post("a", inside, secret(1), "bank").status_code == 403
        refused = post("a", outside, secret(1))
        assert refused.json()["type"] == "/problems/target-not-allowed"
        assert "clients/shop.toml" in refused.json()["detail"], "where the line to add belongs"
        assert post("a", inside, secret(1)).status_code == 202
        limited = post("b", inside, secret(2))
        assert (limited.status_code, limited.json()["limit"]) == (429, "new_runs_per_s")
        assert limited.headers["RateLimit-Policy"] == '"new-runs";q=1;w=100'
        assert limited.headers["RateLimit"] == f'"new-runs";r=0;t={limited.headers["Retry-After"]}'
        assert post("a", inside, secret(2)).status_code == 202, "the run is open"
        (line,) = engine.events("overloaded")
        assert (line["limit"], line["client"]) == ("new_runs_per_s", "shop")
        assert "atomic_0" not in engine.text


def test_a_bad_file_stops_the_start(tmp_path: Path) -> None:
    """With its place, and before anything is opened or listened to."""
    write(tmp_path / "atomic.toml", '\n[clients.shop]\ntoken_file = "none"')
    engine = launch(tmp_path)
    assert engine.wait() == 2
    assert engine.text == (
        "atomic: cannot start: atomic.toml: line 3: `clients.shop.token_file`: none: cannot be"
        " read: No such file or directory\n"
    )
    assert not (tmp_path / "a.db").exists()
