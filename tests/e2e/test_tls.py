"""An engine that speaks TLS: its own clients and command, a renewal under load, a bad start."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives import serialization as pem

from engine.client import AsyncClient, Outcome
from tests.e2e.harness import application, eventually, fine, launch, running
from tests.front.certificates import CA, Files, trusting


async def test_the_client_and_the_command_over_tls(tmp_path: Path) -> None:
    """The URL that the log tells works with both, given whose certificates to trust."""
    files, authority = Files(tmp_path), tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(authority))
    async with application(index=fine) as app:
        with running(tmp_path, tls_cert=str(files.certificate), tls_key=str(files.key)) as engine:
            assert engine.url.startswith("https://127.0.0.1:")
            async with AsyncClient(engine.url, verify=trusting()) as atomic:
                answer = await atomic.submit("w", client="shop", url=app.at("index"), key="k")
                assert answer.response == {"done": "index"}
            ran = await trio.run_process(
                [sys.executable, "-m", "engine.cli", "runs", "--engine", engine.url],
                env={**os.environ, "SSL_CERT_FILE": str(authority)},
                capture_stdout=True,
            )
            assert b"shop" in ran.stdout
            assert engine.stop() == 0


async def test_the_certificate_that_the_page_makes(tmp_path: Path) -> None:
    """Its lines, as they stand there: the command trusts its authority, nobody does without; and
    the health check asks by TLS because the settings say so."""
    page = (Path(__file__).parents[2] / "docs/how-to/reach-it-from-elsewhere.md").read_text()
    (lines,) = [it for it in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "openssl" in it]
    await trio.run_process(["sh", "-ec", lines], cwd=tmp_path, capture_stderr=True)
    pair: Any = {"tls_cert": str(tmp_path / "tls.crt"), "tls_key": str(tmp_path / "tls.key")}

    async def atomic(*words: str, **environment: str) -> int:
        done = await trio.run_process(
            [sys.executable, "-m", "engine.cli", *words],
            env={**os.environ, **environment},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        return done.returncode

    with running(tmp_path, **pair) as engine:
        trusting = {"SSL_CERT_FILE": str(tmp_path / "ca.crt")}
        assert await atomic("status", "--engine", engine.url, **trusting) == 0
        assert await atomic("health", "--engine", engine.url, **trusting) == 0
        assert await atomic("status", "--engine", engine.url) == 3
        assert await atomic("health", "--engine", engine.url) == 3
        settings = tmp_path / "health.toml"
        told = {**pair, "port": int(engine.url.rpartition(":")[2])}
        settings.write_text("".join(f"{name} = {it!r}\n" for name, it in told.items()))
        assert await atomic("health", "--config", str(settings)) == 0
        settings.write_text(f"port = {told['port']}\n")
        assert await atomic("health", "--config", str(settings)) == 1, "it speaks TLS alone"
        assert engine.stop() == 0


@pytest.mark.slow
async def test_a_certificate_is_changed_under_load(tmp_path: Path) -> None:
    """No post is lost, none is made twice, and those who connect anew see the new one."""
    files = Files(tmp_path, "old.test")
    answers: list[Outcome] = []

    async def post(number: int) -> None:
        async with AsyncClient(engine.url, verify=trusting()) as atomic:
            for turn in range(20):
                answers.append(
                    await atomic.submit(
                        "w", client="shop", url=app.at("index"), key=f"{number}-{turn}"
                    )
                )
                while turn == 10 and not engine.events("certificate-taken"):
                    await trio.sleep(0.05)

    async with application(index=fine) as app:
        with running(tmp_path, tls_cert=str(files.certificate), tls_key=str(files.key)) as engine:
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(post, number)
                await eventually(lambda: len(answers) >= 20)
                files.write("new.test")
            port = int(engine.url.rpartition(":")[2])
            stream = await trio.open_ssl_over_tcp_stream(
                "localhost", port, ssl_context=trusting(), https_compatible=True
            )
            await stream.do_handshake()
            assert ("DNS", "new.test") in stream.getpeercert()["subjectAltName"]
            await stream.aclose()
            assert engine.stop() == 0
    assert len({answer.id for answer in answers}) == len(app.calls) == 100


def test_a_pair_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """With the file and the reason, before anything is made."""
    files = Files(tmp_path)
    mine = files.key.read_bytes()
    files.write()
    locked = pem.load_pem_private_key(files.key.read_bytes(), None).private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"secret")
    )
    for key, why in (
        (b"", "holds no private key in PEM form"),
        (mine, f"is not the key of the certificate in {files.certificate}"),
        (locked, "is encrypted"),
        (None, "cannot be read: No such file or directory"),
    ):
        files.key.write_bytes(key) if key is not None else files.key.unlink()
        engine = launch(tmp_path, tls_cert=str(files.certificate), tls_key=str(files.key))
        assert engine.wait() == 2
        last = engine.text.splitlines()[-1]
        assert last.startswith(f"atomic: cannot start: tls_key: {files.key}: {why}"), last
        assert "Traceback" not in engine.text
    assert not (tmp_path / "a.db").exists()
