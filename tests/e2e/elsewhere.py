"""An engine on all addresses of a machine, asked by another one than loopback. Run in a network
namespace that has 10.99.0.1 (`test_reach.py`)."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

import httpx
import trio

from tests.e2e.harness import application, fine, running
from tests.front.certificates import Files, trusting

TOKEN = "atomic_" + secrets.token_hex(32)
ADDRESS = "10.99.0.1"


async def main(directory: Path) -> None:
    """Raises if anything is not as it should be."""
    files, tokens = Files(directory, ADDRESS), directory / "tokens"
    tokens.write_text(TOKEN + "\n")
    tokens.chmod(0o600)
    client = directory / "clients" / "shop.toml"
    client.parent.mkdir()
    settings = {
        "host": "0.0.0.0", "hosts": [ADDRESS], "tls_cert": str(files.certificate),
        "tls_key": str(files.key), "admin_token_file": str(tokens),
        "clients_dir": str(client.parent),
    }  # fmt: skip
    async with application(index=fine) as app:
        client.write_text(f'targets = ["{app.url}/"]\n')
        with running(directory, **settings) as engine:
            assert engine.url.startswith(f"https://{ADDRESS}:"), engine.url
            async with httpx.AsyncClient(
                base_url=engine.url, verify=trusting(), trust_env=False
            ) as http:
                assert (await http.get("/readyz")).status_code == 200
                assert (await http.get("/api/v1/runs")).status_code == 401
                posted = await http.post(
                    "/shop",
                    json={
                        "workflowName": "w", "stepInvokeUrl": app.at("index"),
                        "idempotencyKey": "k",
                    },
                    headers={"Authorization": f"Bearer {TOKEN}"},
                )  # fmt: skip
                assert posted.status_code == 200, posted.text
                assert posted.json()["response"] == {"done": "index"}
            assert engine.stop() == 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        trio.run(main, Path(made))
    print("reached")
