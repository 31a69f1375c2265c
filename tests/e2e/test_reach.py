"""An engine that others than this machine reach: what it asks for, whom it answers and believes.

`127.1` is taken for an address like any other, and yet is this machine's own.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.e2e.harness import SETTINGS, is_problem, launch, running

TOKEN = "atomic_" + secrets.token_hex(32)
BEARING = {"Authorization": f"Bearer {TOKEN}"}
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def asking(url: str, address: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who asks from an address."""
    way = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(base_url=url, transport=way, timeout=20) as http:
        yield http


def with_token(directory: Path, **settings: Any) -> dict[str, Any]:
    """Settings with which the engine may be reached."""
    file = directory / "admin-token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    return {**SETTINGS, "host": "127.1", "admin_token_file": str(file), **settings}


async def test_beyond_loopback_with_a_token(tmp_path: Path) -> None:
    """Health is for anybody, under any name; all else for who has a token, under any name too."""
    with running(tmp_path, **with_token(tmp_path, plain_http=True)) as engine:
        (told,) = engine.events("listening")
        port = engine.url.rpartition(":")[2]
        assert (told["url"], told["address"]) == (f"http://127.1:{port}", f"127.0.0.1:{port}")
        async with asking(engine.url.replace("127.1", "127.0.0.1")) as http:
            elsewhere = {"Host": "engine.example"}
            for path in ("/healthz", "/readyz"):
                assert (await http.get(path, headers=elsewhere)).status_code == 200
            for headers in ({}, elsewhere, {"Authorization": f"Bearer {TOKEN}x"}):
                is_problem(await http.get("/api/v1/runs", headers=headers), 401, "unauthorized")
            answer = await http.get("/api/v1/runs", headers={**BEARING, **elsewhere})
            assert answer.status_code == 200
            foreign = {**BEARING, "Origin": "https://evil.example"}
            is_problem(await http.get("/api/v1/runs", headers=foreign), 403, "forbidden")
        assert engine.stop() == 0


def test_a_store_without_tokens_is_known_when_it_is_open(tmp_path: Path) -> None:
    """The refusal is the same, and no traceback, though the engine was half up by then."""
    with running(tmp_path) as engine:
        assert engine.stop() == 0
    engine = launch(tmp_path, host="127.1", plain_http=True)
    assert engine.wait() == 2
    last = engine.text.splitlines()[-1]
    assert last.startswith("atomic: cannot start: host: 127.1 is reached by others than this")
    assert "`admin_token_file = " in last
    assert "tls_cert" not in last
    assert "Traceback" not in engine.text


async def test_a_token_of_the_store_is_enough(tmp_path: Path) -> None:
    """One that was made before the first start, as the refusal proposes it."""
    words = ("token", "add", "me", "--role", "admin", "--db", str(tmp_path / "a.db"))
    made = await trio.run_process([sys.executable, "-m", "engine.cli", *words], capture_stdout=True)
    secret = made.stdout.decode().split()[-1]
    with running(tmp_path, **SETTINGS, host="127.1", plain_http=True) as engine:
        async with asking(engine.url.replace("127.1", "127.0.0.1")) as http:
            is_problem(await http.get("/api/v1/runs"), 401, "unauthorized")
            bearing = {"Authorization": f"Bearer {secret}"}
            assert (await http.get("/api/v1/runs", headers=bearing)).status_code == 200
        assert engine.stop() == 0


async def test_behind_a_proxy(tmp_path: Path) -> None:
    """From elsewhere there is health, and else a 403 that names the setting; the proxy alone is
    believed where a request comes from, and that is recorded with what was asked."""
    with running(tmp_path, **SETTINGS, behind_proxy=["127.0.0.2", "127.0.0.3"]) as engine:
        async with asking(engine.url) as stranger:
            assert (await stranger.get("/healthz")).status_code == 200
            assert (await stranger.get("/readyz")).status_code == 200
            for refused in (
                await stranger.get("/api/v1/runs"),
                await stranger.post("/shop", json={}),
                await stranger.get("/metrics", headers={"X-Forwarded-For": "127.0.0.2"}),
            ):
                told = is_problem(refused, 403, "forbidden")
                assert "127.0.0.1 is none of them" in told["detail"]
                assert "`behind_proxy`" in told["detail"]
        async with asking(engine.url, "127.0.0.2") as proxy:
            for headers, address in (
                ({}, "127.0.0.2"),
                ({"X-Forwarded-For": "6.6.6.6, 192.0.2.77, 127.0.0.3"}, "192.0.2.77"),
                ({"Forwarded": 'for="[2001:db8::7]:80";proto=https'}, "2001:db8::7"),
            ):
                assert await recorded_address(proxy, headers) == address
        assert engine.stop() == 0


async def test_without_proxies_nobody_is_believed(tmp_path: Path) -> None:
    """Whoever writes such a header comes from where they come from."""
    with running(tmp_path, **SETTINGS) as engine:
        async with asking(engine.url, "127.0.0.2") as http:
            lines = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6"}
            assert await recorded_address(http, lines) == "127.0.0.2"
        assert engine.stop() == 0


async def recorded_address(http: httpx.AsyncClient, headers: dict[str, str]) -> Any:
    """Where an action came from, as it is recorded."""
    asked = {"q": "client:nobody", "action": "pause", "reason": "who asks"}
    answer = await http.post("/api/v1/bulk", json=asked, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()["address"]


@pytest.mark.system
def test_on_all_addresses_of_a_machine_of_its_own() -> None:
    """In a network namespace, so that nobody else is listened to: over TLS, with a token."""
    in_it = 'ip link set lo up && ip address add 10.99.0.1/24 dev lo && exec "$@"'
    ran = subprocess.run(
        ("unshare", "-rn", "sh", "-c", in_it, "sh", sys.executable, "-m", "tests.e2e.elsewhere"),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-4_000:] + ran.stderr[-4_000:]
    assert ran.stdout == "reached\n"
