"""The command as such: start-up, serve, demo, documentation, and once as a real process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest

from engine import __version__
from engine.cli.demo import run as demo_run
from engine.cli.demo.stage import DemoOptions
from engine.cli.main import COMMANDS, command_of
from engine.process.config import Config
from engine.process.exits import EXIT_CODES
from tests.client.fake_engine import Atomic, answer

ROOT = Path(__file__).parents[2]
DOC = ROOT / "docs" / "reference" / "cli.md"


def commands() -> list[tuple[str, click.Command]]:
    """Every command, also those of a group, by what is typed."""
    top = [(name, command_of(name)) for name in COMMANDS]
    found = list(top)
    for name, group in top:
        if isinstance(group, click.Group):
            found += [(f"{name} {each}", below) for each, below in group.commands.items()]
    return sorted(found, key=lambda pair: pair[0])


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Config]:
    """What `engine.main.serve` was given; it returns 7."""
    monkeypatch.chdir(tmp_path)
    given: list[Config] = []

    def serve(config: Config, settings: Path | None) -> int:
        given.append(config)
        return 7

    monkeypatch.setattr("engine.main.serve", serve)
    return given


def test_serve_hands_its_configuration_over(atomic: Atomic, served: list[Config], tmp_path: Path):
    """Flags, environment and file reach the engine; its return value is the exit code."""
    file = tmp_path / "my.toml"
    file.write_text("depth_max = 3\n")
    arguments = ("--port", "0", "--allow-host", "a.example", "--config", str(file))
    result = atomic("serve", *arguments, env={"ATOMIC_DB": "x.db"})
    assert result.exit_code == 7
    assert served == [Config(port=0, hosts=("a.example",), db="x.db", depth_max=3)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "70000"), "atomic: --port: 70000: Expected `int` <= 65535"),
        (("--config", "none.toml"), "atomic: none.toml: cannot be read"),
    ],
)
def test_a_wrong_setting_stops_the_start(atomic: Atomic, served: list[Config], arguments, said):
    """Exit code 2, one line, nothing started."""
    result = atomic("serve", *arguments)
    assert (result.exit_code, served) == (2, [])
    assert said in result.stderr


def test_an_environment_older_than_the_program_is_told_what_to_do(
    atomic: Atomic, monkeypatch: pytest.MonkeyPatch
):
    """A checkout that was brought up to date, and its environment not: a line, no traceback."""
    monkeypatch.setitem(sys.modules, "trio", None)
    monkeypatch.delitem(sys.modules, "engine.main", raising=False)
    monkeypatch.delitem(sys.modules, "engine.cli.demo.run", raising=False)
    result = atomic("demo")
    assert result.exit_code == 2
    assert result.stderr == (
        f"atomic: the package trio is not installed for {sys.executable}. This environment was made"
        " for another version: run `pip install .` in the checkout again (developers: `pip install"
        " -e '.[dev]'`), or install the wheel again.\n"
    )


def test_the_demo_is_told_what_was_asked_for(atomic: Atomic, monkeypatch: pytest.MonkeyPatch):
    """Durations as seconds, everything else as given; its exit code is the command's."""
    given: list[DemoOptions] = []

    def demo(options: DemoOptions) -> int:
        given.append(options)
        return 1

    monkeypatch.setattr(demo_run, "run", demo)
    arguments = ("--seed", "7", "--rate", "2.5", "--duration", "1m", "--kill-engine", "2500ms")
    assert atomic("demo", *arguments, "--data", "here").exit_code == 1
    assert atomic("demo", "--once").exit_code == 1
    assert given == [
        DemoOptions(False, 7, 2.5, 60.0, 2.5, Path("here")),
        DemoOptions(once=True),
    ]


def test_a_demo_that_never_lets_the_engine_work_is_refused(atomic: Atomic):
    """Killed more often than it starts, it would show nothing."""
    result = atomic("demo", "--kill-engine", "1s")
    assert result.exit_code == 2
    assert "at least 2s" in result.stderr


def test_the_version_is_told(atomic: Atomic):
    """As a command and as a flag."""
    assert atomic("version").stdout == f"{__version__}\n"
    assert __version__ in atomic("--version").stdout


def test_a_script_that_was_installed_before_goes_on():
    """An environment is older than its checkout: its `atomic` asks for `engine.cli:main`."""
    code = "import sys; from engine.cli import main; sys.argv[1:] = ['version']; sys.exit(main())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{__version__}\n", "")


def test_help_needs_none_of_the_heavy_imports():
    """`atomic --help` comes at once: no HTTP library, no engine, no event loop."""
    code = (
        "import sys, engine.cli.main\n"
        "heavy = {'httpx', 'msgspec', 'trio', 'anyio', 'quart', 'sqlite3', 'structlog'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == "[]\n"


def test_every_command_option_and_exit_code_is_documented():
    """The reference page cannot fall behind the command."""
    text = DOC.read_text()
    for name, command in commands():
        assert f"## atomic {name}" in text or f"`atomic {name}" in text, f"{DOC}: {name}"
        for option in command.params:
            if isinstance(option, click.Option):
                assert f"`{option.opts[0]}" in text, f"{DOC}: {name} {option.opts[0]}"
    for code, meaning in EXIT_CODES.items():
        assert f"| {code} | {meaning} |" in text


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_explains_itself(atomic: Atomic, name: str, command: click.Command):
    """Each has a help text, and each option too."""
    assert atomic(*name.split(), "--help").exit_code == 0
    assert command.help
    options = [it for it in command.params if isinstance(it, click.Option)]
    assert all(option.help for option in options)


@pytest.mark.slow
def test_the_command_as_a_process():
    """A real process submits to a real socket; then nothing listens there any more."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = answer().content
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    command = [sys.executable, "-m", "engine.cli", "submit", "http://app/", "--workflow", "w"]
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        environ = dict(os.environ, ATOMIC_URL=f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        done = subprocess.run(command, capture_output=True, cwd=ROOT, env=environ, timeout=30)
        thread.join()
    assert (done.returncode, done.stdout) == (0, b'{\n  "id": 42\n}\n')
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env=environ, timeout=30)
    assert done.returncode == 3
    assert b"atomic serve" in done.stderr
    assert b"Traceback" not in done.stderr
