"""The example applications of docs/clients, built and served as their pages say.

Each is served by real processes on 127.0.0.1, which a test may kill, stop and continue.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from string import Template

CLIENTS = Path(__file__).parents[2] / "docs" / "clients"
START_TIMEOUT_S = 60
BUILD_TIMEOUT_S = 300
FPM_WORKERS = 2

POOL_MORE = """
catch_workers_output = yes
env[APP_DATA] = $APP_DATA
env[ATOMIC_CLIENT] = $ATOMIC_CLIENT
env[ATOMIC_TOKEN_FILE] = $ATOMIC_TOKEN_FILE
env[ATOMIC_SIGNING_SECRET_FILE] = $ATOMIC_SIGNING_SECRET_FILE
"""

NGINX = """
$user
daemon off;
master_process off;
pid $data/nginx.pid;
error_log $data/nginx.log;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $data/body;
    fastcgi_temp_path $data/fastcgi;
    proxy_temp_path $data/proxy;
    scgi_temp_path $data/scgi;
    uwsgi_temp_path $data/uwsgi;
    include $data/site.conf;
}
"""


def run(command: list[str], directory: Path) -> str:
    """What a command of the page prints; fails the test with it if the command fails."""
    done = subprocess.run(
        command,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}"
    return done.stdout


@dataclass
class Application:
    """An application that was built, and its processes while it is served."""

    language: str
    built: Path
    data: Path
    port: int
    environ: dict[str, str]
    commands: list[list[str]] | None = None
    """Other commands than the language's."""
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Serve, and wait until it answers. Blocks."""
        self.data.mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, "APP_PORT": str(self.port), "APP_DATA": str(self.data)}
        for name in ("ATOMIC_CLIENT", "ATOMIC_TOKEN_FILE", "ATOMIC_SIGNING_SECRET_FILE"):
            environ.pop(name, None)
        log = self.data / "application.log"
        for command in self.commands or COMMANDS[self.language](self):
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    cwd=self.built,
                    env=environ | self.environ,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            self._processes.append(process)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            ended = any(it.poll() is not None for it in self._processes)
            if ended or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.language} does not answer:\n{log.read_text()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=START_TIMEOUT_S)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def signal(self, number: signal.Signals) -> None:
        """To all of its processes, workers too."""
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, number)

    def kill(self) -> None:
        """kill -9 of all its processes. Blocks until they have ended."""
        self.signal(signal.SIGKILL)
        for process in self._processes:
            process.wait(START_TIMEOUT_S)
        self._processes.clear()


def gunicorn(app: Application) -> list[list[str]]:
    """Four sync workers."""
    address = f"127.0.0.1:{app.port}"
    workers = ["--workers", "4", "--timeout", "120"]  # as on the page on deployment
    return [[sys.executable, "-m", "gunicorn", *workers, "--bind", address, "app:app"]]


def node(app: Application) -> list[list[str]]:
    """One process."""
    return [["node", "build/app.js"]]


def go(app: Application) -> list[list[str]]:
    """One process."""
    return [["./app"]]


def php_fpm(app: Application) -> list[list[str]]:
    """A pool of two workers behind nginx: the files of the page on deployment, for other places."""
    root = os.getuid() == 0
    pool, site = ((CLIENTS / "php" / name).read_text() for name in ("pool.conf", "nginx.conf"))
    for documented, real in (
        ("/run/php/shop.sock", f"{app.data}/fpm.sock"),
        ("/srv/shop", str(app.built)),
        ("pm.max_children = 8", f"pm.max_children = {FPM_WORKERS}"),
        ("= http://127.0.0.1:8420", "= $ATOMIC_URL"),
        ("= http://127.0.0.1:9000", "= $APP_URL"),
        ("127.0.0.1:9000", f"127.0.0.1:{app.port}"),
        ("user = www-data\n", "user = root\n" if root else ""),
        ("group = www-data\n", "group = root\n" if root else ""),
    ):
        pool, site = pool.replace(documented, real), site.replace(documented, real)
    pool = "\n".join(line for line in pool.splitlines() if not line.startswith("listen."))
    server = Template(NGINX).substitute(data=app.data, user="user root;" if root else "")
    (app.data / "site.conf").write_text(site)
    (app.data / "nginx.conf").write_text(server)
    log = f"[global]\nerror_log = {app.data}/fpm.log\ndaemonize = no\n"
    (app.data / "fpm.conf").write_text(log + pool + POOL_MORE)
    (app.data / "fpm.sock").unlink(missing_ok=True)
    program = next(filter(shutil.which, ("php-fpm", "php-fpm8.2", "php-fpm8.3", "php-fpm8.4")))
    return [
        [program, "-y", f"{app.data}/fpm.conf", *(["-R"] if root else [])],
        ["nginx", "-p", str(app.data), "-c", "nginx.conf", "-e", f"{app.data}/nginx.log"],
    ]


COMMANDS: dict[str, Callable[[Application], list[list[str]]]] = {
    "python": gunicorn,
    "typescript": node,
    "go": go,
    "php": php_fpm,
}

BUILDS = {
    "python": [],
    "typescript": [["npm", "ci", "--no-audit", "--no-fund"], ["npx", "tsc"]],
    "go": [["go", "vet", "."], ["go", "build", "-o", "app", "."]],
    "php": [["php", "-l", "app.php"], ["php", "-l", "atomic.php"]],
}


def build(language: str, directory: Path) -> Path:
    """A copy of the example, compiled where its language is. Returns its folder."""
    built = directory / language
    shutil.copytree(CLIENTS / language, built)
    for command in BUILDS[language]:
        run(command, built)
    return built


@contextmanager
def served(application: Application) -> Iterator[Application]:
    """The application for the length of a block; killed at its end, whatever has become of it."""
    try:
        yield application
    finally:
        application.kill()
