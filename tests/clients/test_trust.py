"""The helpers beyond a laptop: the token that the engine asks for, and calls that it has signed.

The examples are the same files; their environment alone says that there is a token and a secret.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.clients.applications import Application, served
from tests.clients.shop import PATIENCE_S, USER, shop
from tests.clients.signed import BODY, NEW, OLD, OTHER, STEP, TOKENS, calls
from tests.e2e.harness import is_problem
from tests.loopback import free_port

pytestmark = pytest.mark.slow


def test_what_is_not_signed_is_refused(language: str, built: Path, tmp_path: Path) -> None:
    """401, by each of the application's ways in for the engine, and nothing is done; people's API
    is theirs as before. The file is read at each call."""
    secrets = tmp_path / "signing"
    secrets.write_text(f"# the new one and the old\n\n{NEW}\n{OLD}\nwhsec_\n# {OTHER}\n")
    environ = {"ATOMIC_SIGNING_SECRET_FILE": str(secrets), "ATOMIC_URL": "http://127.0.0.1:9"}
    app = Application(language, built, tmp_path / "data", free_port(), environ)
    with served(app), httpx.Client(base_url=f"http://127.0.0.1:{app.port}") as http:
        app.start()

        def post(path: str, headers: dict[str, str]) -> int:
            named = {"Idempotency-Key": '"own"', "webhook-id": "own"}
            kind = {"Content-Type": "application/json"}
            return http.post(path, content=BODY, headers=kind | named | headers).status_code

        wanted = calls()
        refused = {name: it for name, it in wanted.items() if it[0] == 401}
        assert {
            name: post(STEP, headers) for name, (_, headers) in refused.items()
        } == dict.fromkeys(refused, 401)
        for workflow in ("userCreation", "order"):
            assert post(f"/workflows/{workflow}/index", {}) == 401
        assert http.get("/").json()["users"] == 0
        assert {name: post(STEP, headers) for name, (_, headers) in wanted.items()} == {
            name: status for name, (status, _) in wanted.items()
        }
        assert http.get("/").json()["users"] == 1
        assert post("/users", {}) != 401
        secrets.write_text(f"{OTHER}\n")
        assert post(STEP, wanted["the new secret"][1]) == 401
        assert post(STEP, wanted["another secret"][1]) == 200


async def test_by_environment_alone(language: str, built: Path, tmp_path: Path) -> None:
    """The application works with an engine that asks for tokens and signs its calls, as `billing`;
    a token that takes the place of another is sent with the next post."""
    token, secrets, admin = (tmp_path / name for name in ("token", "signing", "admin"))
    for file, lines in ((token, TOKENS[:2]), (secrets, [NEW, OLD]), (admin, TOKENS[2:])):
        file.write_text("\n".join([*lines, ""]))
        file.chmod(0o600)
    (tmp_path / "clients").mkdir()

    def define(url: str) -> None:
        (tmp_path / "clients" / "billing.toml").write_text(
            f'targets = ["{url}/"]\ntoken_file = "{token}"\nsigning_secret_file = "{secrets}"\n'
        )

    environ = {
        "ATOMIC_CLIENT": "billing",
        "ATOMIC_TOKEN_FILE": str(tmp_path / "app.token"),
        "ATOMIC_SIGNING_SECRET_FILE": str(secrets),
    }
    settings = {"clients_dir": str(tmp_path / "clients"), "admin_token_file": str(admin)}
    (tmp_path / "app.token").write_text(f"{TOKENS[0]}\n{TOKENS[1]}\n")
    async with shop(language, built, tmp_path, environ, define, **settings) as it:
        is_problem(await it.submit("createUser", "k", USER), 401, "unauthorized")
        it.client.http.headers["Authorization"] = f"Bearer {TOKENS[2]}"
        url = f"http://127.0.0.1:{it.application.port}/users"

        async def runs_to_its_end(key: str) -> None:
            posted = {"idempotencyKey": key, **USER}
            begun = (await it.client.http.post(url, json=posted, timeout=PATIENCE_S)).json()
            run = await it.client.wait_run(begun["run"], "completed")
            assert run["client"] == "billing"

        await runs_to_its_end("one")
        (tmp_path / "app.token").write_text(TOKENS[1])
        await runs_to_its_end("two")
        counts = await it.counts()
        assert (counts["users"], counts["mails"], counts["analytics"]) == (2, 2, 2)
        (tmp_path / "app.token").write_text("atomic_of_nobody")
        posted = {"idempotencyKey": "three", **USER}
        answer = await it.client.http.post(url, json=posted, timeout=PATIENCE_S)
        assert answer.status_code >= 500
        assert "atomic_of_nobody" not in answer.text
        assert (await it.counts())["users"] == 2
