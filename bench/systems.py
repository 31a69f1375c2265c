"""Starts the engine, the peers and their applications on loopback, and stops what it started."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
HOME = Path(os.environ.get("BENCH_HOME") or Path.home() / ".cache" / "atomic-bench").resolve()
"""setup.sh fills it; data, logs and results lie here too."""
ENGINE = os.environ.get(
    "ENGINE", f"{sys.executable} -m engine.cli serve --port {{port}} --db {{db}}"
)
"""The command that starts the engine."""
APP_BIN = HOME / "venv-dbos" / "bin"
CLIENT_BIN = HOME / "venv-client" / "bin"
"""Has the HTTP clients that are compared, and Hypercorn to serve on Trio."""
RESTATE_BIN = HOME / "venv-restate" / "bin"
UVICORN = ("--host", "127.0.0.1", "--loop", "uvloop", "--http", "httptools",
           "--no-access-log", "--log-level", "warning", "--backlog", "4096")  # fmt: skip
CREATE_USER = {"id": "%K", "email": "%K@example.com", "name": "Some One"}
STOP_S = 15
TOKEN = f"atomic_{secrets.token_hex(32)}"


def fresh(name: str) -> Path:
    """An empty directory for data."""
    path = HOME / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


class Processes:
    """What was started, to be stopped by process id whatever happens."""

    def __init__(self) -> None:
        self._all: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[Any], port: int, **env: str) -> int:
        """Start a server and wait until it listens; returns its process id."""
        if machine.is_taken(port):
            raise SystemExit(f"port {port} is in use: {name} cannot be started")
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        with (HOME / f"log.{name}").open("ab") as log:
            process = subprocess.Popen(
                list(map(str, command)), env={**os.environ, "PYTHONPATH": path, **env}, cwd=HERE,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._all[name] = process
        end = time.monotonic() + 120
        while not machine.is_taken(port):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{name} did not start; see {HOME.name}/log.{name}")
            time.sleep(0.01)
        return process.pid

    def stop(self, name: str) -> None:
        """SIGTERM to its group, SIGKILL if that does not do."""
        process = self._all.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def kill(self, name: str) -> None:
        """SIGKILL to its group, at once."""
        process = self._all.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop_all(self) -> None:
        """In the reverse order of their starts."""
        for name in reversed(list(self._all)):
            self.stop(name)


@contextmanager
def processes() -> Iterator[Processes]:
    """Processes that do not outlive this."""
    started = Processes()
    try:
        yield started
    finally:
        started.stop_all()


@dataclass
class System:
    """A system at work: where it takes posts, and whose CPU and memory count."""

    port: int
    path: str
    pids: dict[str, int]
    """`server`: what stands in the engine's place; the rest is the application."""
    body: str = field(default_factory=lambda: json.dumps(CREATE_USER, separators=(",", ":")))
    app_port: int = 0
    """Where the application listens, if it is ours."""
    tls: bool = False
    """It speaks TLS itself."""
    token: str = ""
    """What every post is sent with; empty: without."""
    start_path: str = ""
    """Where a peer takes posts that it acknowledges once they are recorded."""
    restart: Callable[[], None] | None = None
    """Kills the server with SIGKILL and starts it again on the same data."""


# -- ours ------------------------------------------------------------------------------------------


def submission(
    app_port: int, workflow: str = "createUser", payload: Any = None, **members: Any
) -> str:
    """What the load generator posts to the engine; %K is the key."""
    text = {"workflowName": workflow, "stepInvokeUrl": f"http://127.0.0.1:{app_port}/workflows/{workflow}",
            "idempotencyKey": "%K", "payload": payload or CREATE_USER, **members}  # fmt: skip
    return json.dumps(text, separators=(",", ":"))


def start_engine(
    p: Processes, port: int, db: Path, *, wrap: tuple[str, ...] = (), **env: str
) -> int:
    """The engine on this file; returns its process id."""
    command = [*wrap, *ENGINE.format(port=port, db=db, data=db.parent).split()]
    return p.start("engine", command, port, ATOMIC_LOG_FORMAT="json", **env)


def start_application(
    p: Processes, lib: str, port: int, engine_url: str, *, loop: str = "uvloop", **env: str
) -> int:
    """seed_app.py, which posts to this address with this library; returns its process id."""
    told = {"LIB": lib, "ME": f"http://127.0.0.1:{port}", "ENGINE_URL": engine_url, **env}
    bin_path = APP_BIN if lib in ("aiohttp", "httpx") and loop == "uvloop" else CLIENT_BIN
    command = [bin_path / "uvicorn", "seed_app:app", "--port", port, *UVICORN]
    if loop == "trio":
        told["TRIO"] = "1"
        command = [bin_path / "hypercorn", "-k", "trio", "-b", f"127.0.0.1:{port}", "--backlog", 4096,
                   "--error-logfile", "/dev/null", "seed_app:app"]  # fmt: skip
    return p.start("seed-app", command, port, **told)


def atomic(
    p: Processes, lib: str = "aiohttp", *, db: Path | None = None, wrap: tuple[str, ...] = (),
    app_env: dict[str, str] | None = None, loop: str = "uvloop", tls: bool = False,
    access: str = "", **env: str,
) -> System:  # fmt: skip
    """The engine, and seed_app.py as its application; `env` are settings of the engine.

    With `tls` the application posts to a proxy that ends TLS, in a process of its own. `access`:
    its client is defined, so that posts need a token ("token"), and calls are signed ("signed");
    and the engine speaks TLS itself ("sealed").
    """
    port, app_port = machine.free_port(), machine.free_port()
    db = db or fresh("data-atomic") / "atomic.db"
    engine_url, told = f"http://127.0.0.1:{port}/bench", dict(app_env or {})
    if tls:
        tls_port, trusted = machine.free_port(), fresh("tls") / "ca.pem"
        command = [APP_BIN / "python", HERE / "tls_proxy.py", tls_port, port, trusted.parent]
        make_certificate(trusted.parent)
        p.start("tls-proxy", command, tls_port)
        engine_url = f"https://127.0.0.1:{tls_port}/bench"
        told = {**told, "SSL_CERT_FILE": str(trusted)}
    if access:
        signed = access in ("signed", "sealed")
        env["ATOMIC_CLIENTS_DIR"] = str(define_client(app_port, signed=signed))
        told["TOKEN"] = TOKEN
    if access == "sealed":
        certified = fresh("tls")
        make_certificate(certified)
        env["ATOMIC_TLS_CERT"] = env["ATOMIC_TLS_KEY"] = str(certified / "server.pem")
        told["SSL_CERT_FILE"] = str(certified / "ca.pem")
        engine_url = engine_url.replace("http:", "https:")
    app_pid = start_application(p, lib, app_port, engine_url, loop=loop, **told)
    pid = start_engine(p, port, db, wrap=wrap, **env)
    system = System(port, "/bench", {"server": pid, "app": app_pid}, submission(app_port), app_port)
    system.token, system.tls = TOKEN if access else "", access == "sealed"

    def restart() -> None:
        p.kill("engine")
        system.pids["server"] = start_engine(p, port, db, wrap=wrap, **env)

    system.restart = restart
    return system


def define_client(app_port: int, *, signed: bool) -> Path:
    """A directory that defines client `bench`, with its token, and its secret if calls are signed."""
    folder = fresh("clients")
    members = [f'targets = ["http://127.0.0.1:{app_port}/"]', 'token_file = "token"']
    files = {"token": TOKEN}
    if signed:
        members.append('signing_secret_file = "secret"')
        files["secret"] = f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
    for name, text in {**files, "bench.toml": "\n".join(members)}.items():
        (folder / name).write_text(f"{text}\n")
        (folder / name).chmod(0o600)
    return folder


def make_certificate(folder: Path) -> None:
    """An authority (ca.pem) and a certificate of 127.0.0.1 (server.pem, with its key)."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))


# -- peers -----------------------------------------------------------------------------------------


def _steps(p: Processes, env: dict[str, str] | None = None) -> int:
    command = [APP_BIN / "uvicorn", "appsteps:app", "--port", 9100, *UVICORN]
    return p.start("steps", command, 9100, **(env or {}))


def floor(p: Processes, client: str = "httpx") -> System:
    """No durability: the application calls its steps itself."""
    steps = _steps(p)
    command = [APP_BIN / "uvicorn", "floor_httpx:app", "--port", 9200, *UVICORN]
    pid = p.start("floor", command, 9200, CLIENT=client)
    return System(9200, "/createUser", {"server": pid, "app": steps})


def dbos_sqlite(
    p: Processes, *, wrap: tuple[str, ...] = (), app_env: dict[str, str] | None = None
) -> System:
    """DBOS in the application's process, its state in SQLite, steps in a process of their own."""
    data = fresh("data-dbos")
    steps = _steps(p, app_env)
    command = [*wrap, APP_BIN / "uvicorn", "dbos_app:app", "--port", 9200, *UVICORN]
    url = f"sqlite:///{data}/sys.sqlite"
    pid = p.start("dbos", command, 9200, DBURL=url)
    system = System(9200, "/createUser", {"server": pid, "app": steps}, start_path="/startUser")

    def restart() -> None:
        p.kill("dbos")
        system.pids["server"] = p.start("dbos", command, 9200, DBURL=url)

    system.restart = restart
    return system


def restate(
    p: Processes, handler: str = "calls", config: str = "restate.toml", *, uvloop: bool = False,
    wrap: tuple[str, ...] = (), app_env: dict[str, str] | None = None,
) -> System:  # fmt: skip
    """Restate's server, and its services on hypercorn, on asyncio's loop or uvloop's."""
    data = fresh("data-restate")
    loop = ["-k", "uvloop"] if uvloop else []
    app = [
        RESTATE_BIN / "hypercorn",
        "-c",
        HERE / "hypercorn-config.toml",
        *loop,
        "restate_app:app",
    ]
    app_pid = p.start("restate-app", app, 9080, **(app_env or {}))
    binary = HOME / "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"
    command = [*wrap, binary, "-c", HERE / config, "--base-dir", data]
    pid = p.start("restate", command, 8080)
    _until(lambda: call("GET", "http://127.0.0.1:9070/health"))
    deployment = {"uri": "http://127.0.0.1:9080", "force": True}
    _until(lambda: call("POST", "http://127.0.0.1:9070/deployments", deployment))
    path = f"/createUser/{handler}"
    system = System(8080, path, {"server": pid, "app": app_pid}, start_path=f"{path}/send")

    def restart() -> None:
        p.kill("restate")
        system.pids["server"] = p.start("restate", command, 8080)

    system.restart = restart
    return system


def call(method: str, url: str, body: Any = None, timeout_s: float = 30) -> bytes:
    """One request; raises for everything but 2xx."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        return answer.read()


def _until(attempt: Callable[[], Any], limit_s: float = 30) -> None:
    end = time.monotonic() + limit_s
    while True:
        try:
            attempt()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


SYSTEMS: dict[str, Callable[..., System]] = {
    "atomic": atomic,
    "atomic-httpx": lambda p, **options: atomic(p, "httpx", **options),
    "restate-calls": restate,
    "restate-calls-uvloop": lambda p, **options: restate(p, uvloop=True, **options),
    "restate-calls-2p": lambda p, **options: restate(p, config="restate-2p.toml", **options),
    "restate-run": lambda p, **options: restate(p, "runs", **options),
    "dbos-sqlite": dbos_sqlite,
    "floor": floor,
    "floor-aiohttp": lambda p: floor(p, "aiohttp"),
}
"""Each step is an HTTP endpoint of its own (Restate: a durable call to a handler of its own), but in
`restate-run`, where it is code inside the handler."""
