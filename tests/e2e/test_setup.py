"""An engine on the files that `atomic setup` wrote, unchanged."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from engine.cli.main import main
from tests.e2e.harness import Client, application, fine, running


def bearer(file: Path) -> dict[str, str]:
    """The header with the token that stands in a file."""
    return {"Authorization": f"Bearer {file.read_text().strip()}"}


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [False, True], ids=["keys in it", "keys elsewhere"])
async def test_an_engine_starts_with_what_setup_wrote(tmp_path: Path, elsewhere: bool) -> None:
    """It asks for tokens, takes both that were made, and calls where the client's target is and
    nowhere else; and no secret is in its log."""
    etc = tmp_path / "etc"
    keys = tmp_path / "keys" if elsewhere else etc / "keys"
    async with application(fine=fine) as app:
        words = ["setup", str(etc), "--client", "shop", "--target", app.url]
        done = CliRunner().invoke(main, [*words, "--keys", str(keys)] if elsewhere else words)
        assert done.exit_code == 0, done.output
        tokens = keys / "shop.token", etc / "admin.token"
        with running(etc) as engine:
            assert httpx.get(f"{engine.url}/api/v1/runs").status_code == 401
            client, admin = map(bearer, tokens)
            async with httpx.AsyncClient(base_url=engine.url, headers=client) as http:
                shop = Client(http, "shop")
                assert (await shop.post(app.at("fine"))).status_code == 200
                beyond = await shop.post("http://127.0.0.1:9/x", "k2")
                assert beyond.json()["type"] == "/problems/target-not-allowed"
                assert (await Client(http, "other").post(app.at("fine"))).status_code == 403
            runs = httpx.get(f"{engine.url}/api/v1/runs", headers=admin).json()["runs"]
            assert [run["client"] for run in runs] == ["shop"]
            assert not any(file.read_text().strip() in engine.text for file in tokens)
            assert engine.stop() == 0
