"""Two hosts, as far as one machine has them: the engine in one network namespace, in another the
demonstration's application; with a certificate, a token and a signing secret, each of a file.

Nothing of it is on loopback, and the application is the one of `atomic demo`: its environment alone
says where the engine is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.registry.files import secret, write

pytestmark = [pytest.mark.slow, pytest.mark.system]

ROOT = Path(__file__).parents[2]
ENGINE, APPLICATION = "10.77.0.1", "10.77.0.2"
"""Of the two hosts; nobody else is on their network."""
URL, APP_URL = f"https://{ENGINE}:8420", f"http://{APPLICATION}:9000"
START_S_MAX = 60
SIGNING = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SIGNING = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SETTINGS = f"""
host = "{ENGINE}"
log_format = "json"
admin_token_file = "admin.token"
tls_cert = "engine.pem"
tls_key = "engine.key"

[clients.demo]
targets = ["{APP_URL}/"]
token_file = "demo.token"
signing_secret_file = "demo.whsec"
"""
USER = '{"userName": "ada", "email": "ada@example.com"}'
STEP = f"{APP_URL}/workflows/userCreation/steps/createUser"


def ip(*arguments: str) -> None:
    """Fails with words where namespaces cannot be made: it needs root, and is no test to skip."""
    assert shutil.which("ip"), "the program ip is missing: install iproute2"
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"`ip {' '.join(arguments)}`: {done.stderr.strip()}. This test makes two network"
        " namespaces, which takes root (or CAP_SYS_ADMIN and CAP_NET_ADMIN)"
    )


@contextmanager
def namespaces() -> Iterator[tuple[str, str]]:
    """The engine's and the application's, with a cable between them."""
    names = (f"atomic-e-{os.getpid()}", f"atomic-a-{os.getpid()}")
    with ExitStack() as stack:
        for name in names:
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
        ends = ("name", "cable", "netns", names[0], "type", "veth")
        ip("link", "add", *ends, "peer", "name", "cable", "netns", names[1])
        for name, address in zip(names, (ENGINE, APPLICATION), strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        yield names


@dataclass
class Host:
    """One of the two, with the files and the environment of who works there."""

    namespace: str
    directory: Path
    environ: Mapping[str, str]

    def command(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *words]

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """A program on this host. `environ`: other variables than the host's."""
        return subprocess.run(
            self.command(*words),
            cwd=self.directory,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=START_S_MAX,
            check=False,
        )

    def atomic(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "engine.cli", *words, **environ)

    def curl(self, *words: str) -> tuple[int, str]:
        """Status and body, as curl there has them."""
        done = self.run("curl", "-s", "-w", "\n%{http_code}", "--max-time", "20", *words)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    @contextmanager
    def serves(self, name: str, *words: str) -> Iterator[Path]:
        """A program that says when it listens; its log. Ended by its id, and waited for."""
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(sys.executable, "-m", *words),
                cwd=self.directory,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            deadline = time.monotonic() + START_S_MAX
            while "listening" not in log.read_text():
                late = process.poll() is not None or time.monotonic() > deadline
                assert not late, f"{name} does not listen:\n{log.read_text()}"
                time.sleep(0.02)
            yield log
        finally:
            process.terminate()
            process.wait(START_S_MAX)


@contextmanager
def two_hosts(directory: Path) -> Iterator[tuple[Host, Host]]:
    """With their files: the application's host has copies of its own of what it must know."""
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(directory)}
    here, there = directory / "engine", directory / "application"
    here.mkdir()
    there.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert(ENGINE)
    certificate.cert_chain_pems[0].write_to_path(here / "engine.pem")
    certificate.private_key_pem.write_to_path(here / "engine.key")
    (here / "engine.key").chmod(0o600)
    authority.cert_pem.write_to_path(there / "ca.pem")
    write(here / "atomic.toml", SETTINGS)
    write(here / "admin.token", secret(1))
    for host in (here, there):
        write(host / "demo.token", secret(2))
        write(host / "demo.whsec", SIGNING)
    moved = {
        "ATOMIC_URL": URL,
        "ATOMIC_CLIENT": "demo",
        "ATOMIC_TOKEN_FILE": str(there / "demo.token"),
        "ATOMIC_SIGNING_SECRET_FILE": str(there / "demo.whsec"),
        "SSL_CERT_FILE": str(there / "ca.pem"),
    }
    with namespaces() as (one, other):
        yield Host(one, here, bare), Host(other, there, bare | moved)


def test_the_demonstration_between_two_hosts(tmp_path: Path) -> None:
    """A workflow runs over TLS, with a token, by signed calls, each effect once; and nobody gets in
    who lacks the authority, the token or the secret."""
    with (
        two_hosts(tmp_path) as (engine, application),
        engine.serves("engine", "engine.cli", "serve") as log,
        application.serves(
            "demo", "demo_app", "--host", APPLICATION, "--port", "9000", "--data", "."
        ),
    ):

        def submit(
            key: str, within: str = "30s", **environ: str
        ) -> subprocess.CompletedProcess[str]:
            url = f"{APP_URL}/workflows/userCreation/index"
            named = ("--workflow", "createUser", "--key", key, "--data", USER, "--timeout", within)
            return application.atomic("submit", url, *named, **environ)

        done = submit("one")
        assert (done.returncode, done.stderr.count("completed")) == (0, 1), done
        assert json.loads(done.stdout)["userName"] == "ada"
        _, listing = application.curl(f"{APP_URL}/effects")
        effects = json.loads(listing)["effects"]
        assert {row["step"]: row["effects"] for row in effects if row["effects"]} == {
            "createUser": 1, "sendEmail": 1, "sendAnalytics": 1,
        }, effects  # fmt: skip

        # Whoever is on the network, and has nothing.
        assert submit("two", ATOMIC_TOKEN_FILE="").returncode == 4
        untrusting = submit("two", SSL_CERT_FILE="/etc/ssl/certs/ca-certificates.crt")
        assert untrusting.returncode == 3
        assert "SSL_CERT_FILE=" in untrusting.stderr
        assert application.curl("--cacert", "ca.pem", f"{URL}/api/v1/runs")[0] == 401
        assert application.curl("--cacert", "ca.pem", f"{URL}/healthz")[0] == 200
        call = ("-H", "Content-Type: application/json", "-H", 'Idempotency-Key: "own"')
        body = f'{{"idempotencyKey": "k", "payload": {USER}}}'
        assert application.curl(*call, "-d", body, STEP)[0] == 401
        assert engine.curl(*call, "-d", body, STEP)[0] == 401
        assert application.curl(f"{APP_URL}/effects")[1] == listing

        # Another secret than the engine's: refused at each attempt, until it is mended.
        write(application.directory / "demo.whsec", OTHER_SIGNING)
        waiting = submit("three", "2s")
        assert waiting.returncode == 5, waiting
        write(application.directory / "demo.whsec", f"{OTHER_SIGNING}\n{SIGNING}")
        assert submit("three").returncode == 0
        for said in (log.read_text(), (application.directory / "demo.log").read_text()):
            assert secret(2) not in said
            assert SIGNING not in said
