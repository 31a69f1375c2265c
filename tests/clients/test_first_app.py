"""The README's application goes from laptop to team by its environment alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.clients.shop import PATIENCE_S, USER
from tests.clients.signed import BODY, NEW, OLD, OTHER, STEP, TOKENS, calls
from tests.e2e.harness import running
from tests.loopback import free_port
from tests.registry.files import write

FIRST_APP = Path(__file__).parents[2] / "docs" / "examples" / "first_app.py"
JSON = {"Content-Type": "application/json"}


@contextmanager
def first_app(environ: dict[str, str]) -> Iterator[str]:
    """The application with an environment; where it says that it listens."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ATOMIC_", "APP_"))}
    process = subprocess.Popen(
        [sys.executable, str(FIRST_APP)],
        env=clean | {"PYTHONUTF8": "1"} | environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        with process.stdout as output:
            yield output.readline().split(" at ")[1].strip()
            process.terminate()
            output.read()
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_by_environment_alone(tmp_path: Path):
    """As `billing`, with a token that is read at each post and calls that it verifies, under the
    URL that it is told; its run is whole, and each effect there once."""
    url = f"http://localhost:{(port := free_port())}"
    token, secrets = tmp_path / "billing.token", tmp_path / "billing.signing"
    for file, lines in ((token, TOKENS[:2]), (secrets, [NEW, OLD]), (tmp_path / "ada", TOKENS[2:])):
        write(file, "\n".join(lines) + "\n")
    write(
        tmp_path / "clients" / "billing.toml",
        f'targets = ["{url}/"]\ntoken_file = "{token}"\nsigning_secret_file = "{secrets}"\n',
    )
    given = write(tmp_path / "app.token", TOKENS[0])
    settings = {"clients_dir": str(tmp_path / "clients"), "admin_token_file": f"{tmp_path / 'ada'}"}
    with running(tmp_path, **settings) as engine:
        environ = {
            "ATOMIC_URL": engine.url,
            "ATOMIC_CLIENT": "billing",
            "ATOMIC_TOKEN_FILE": str(given),
            "ATOMIC_SIGNING_SECRET_FILE": str(secrets),
            "APP_HOST": "0.0.0.0",
            "APP_PORT": str(port),
            "APP_URL": url,
        }
        with first_app(environ) as listens:
            assert listens == f"http://0.0.0.0:{port}"
            for key, each in (("one", TOKENS[0]), ("two", TOKENS[1])):
                write(given, f"{each}\nnot this\n")
                posted = {"idempotencyKey": key, **USER}
                answer = httpx.post(f"{url}/users", json=posted, timeout=PATIENCE_S)
                assert answer.status_code == 200, answer.text
            assert httpx.get(url).json() == {"users": 2, "mails": 2, "analytics": 2}
        admin = {"Authorization": f"Bearer {TOKENS[2]}"}
        runs = httpx.get(f"{engine.url}/api/v1/runs", headers=admin).json()["runs"]
        assert [(run["client"], run["status"]) for run in runs] == [("billing", "completed")] * 2


@pytest.mark.slow
def test_what_is_not_signed_is_refused(tmp_path: Path):
    """401 by each way in for the engine, and nothing is done; people's endpoint is theirs as
    before; with no secret every call is taken. The file is read at each call."""
    secrets = write(tmp_path / "signing", f"# new, old\n\n{NEW}\n{OLD}\nwhsec_\n# {OTHER}\n")
    environ = {"APP_PORT": "0", "ATOMIC_URL": "http://127.0.0.1:9"}
    named = JSON | {"Idempotency-Key": '"own"', "webhook-id": "own"}

    def status(url: str, path: str, headers: dict[str, str]) -> int:
        return httpx.post(url + path, content=BODY, headers=named | headers).status_code

    wanted = calls()
    with first_app(environ | {"ATOMIC_SIGNING_SECRET_FILE": str(secrets)}) as url:
        refused = [headers for wants, headers in wanted.values() if wants == 401]
        assert {status(url, STEP, headers) for headers in refused} == {401}
        assert status(url, "/workflows/userCreation/index", {}) == 401
        assert httpx.get(url).json()["users"] == 0
        for name, (wants, headers) in wanted.items():
            assert status(url, STEP, headers) == wants, name
        assert httpx.get(url).json()["users"] == 1
        assert status(url, "/users", {}) == 503, "asks the engine, which is not there"
        write(secrets, f"{OTHER}\n")
        assert status(url, STEP, wanted["the new secret"][1]) == 401
        assert status(url, STEP, wanted["another secret"][1]) == 200
    with first_app(environ | {"ATOMIC_SIGNING_SECRET_FILE": "", "ATOMIC_TOKEN_FILE": ""}) as url:
        assert status(url, STEP, {}) == 200
