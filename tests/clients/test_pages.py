"""The pages of docs/clients: followed to the letter, and the helpers are what the pages say."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.clients.applications import CLIENTS, Application, run, served
from tests.loopback import free_port
from tests.walkthrough import APP, ENGINE, SERVE, Shell, Shown, agree, blocks, shown

HELPER_LINES_MAX = {"atomic.go": 75, "atomic.php": 60, "atomic.py": 55, "atomic.ts": 65}
ENVIRONMENT = (
    *("ATOMIC_URL", "ATOMIC_CLIENT", "ATOMIC_TOKEN_FILE", "ATOMIC_SIGNING_SECRET_FILE"),
    "APP_URL",
)
SERVES = {
    "python": "gunicorn -w 4 -b 127.0.0.1:9000 app:app",
    "typescript": "node build/app.js",
    "go": "./app",
    "php": "PHP_CLI_SERVER_WORKERS=4 php -S 127.0.0.1:9000 app.php",
}
HELPERS = sorted(CLIENTS.glob("*/atomic.*"))


def name_of(path: Path) -> str:
    """A helper as a test's id."""
    return path.name


def follow(language: str, built: Path, directory: Path) -> Iterator[tuple[Shown, str]]:
    """Do what the language's page says; each command with the answer that it really gets."""
    with ExitStack() as stack:
        shell = Shell(stack, directory, at=built)
        port = free_port()
        environ = {"APP_PORT": str(port), "APP_URL": f"http://127.0.0.1:{port}"}
        shell.stands_for(APP, f"127.0.0.1:{port}", environ)
        for it in shown((CLIENTS / f"{language}.md").read_text()):
            if it.command == SERVE:
                shell.serve(it.command)
            elif it.command == SERVES[language]:
                command = ["sh", "-c", f"exec env {shell.real(it.command)}"]
                data = directory / "data"
                application = Application(language, built, data, port, shell.environ, [command])
                stack.enter_context(served(application))
                application.start()
            else:
                yield it, shell.run(it.command)


@pytest.mark.slow
@pytest.mark.system
def test_every_command_answers_as_shown(language: str, built: Path, tmp_path: Path) -> None:
    """Who follows the page, in the folder of the example, sees what it says."""
    followed = 0
    for it, answer in follow(language, built, tmp_path):
        followed += 1
        assert agree(it.answer, answer), f"{language}.md:{it.line}: {it.command}\n{answer}"
    assert followed >= 6


@pytest.mark.parametrize("helper", HELPERS, ids=name_of)
def test_a_helper_is_short_and_asks_the_environment(helper: Path) -> None:
    """One can read it before one copies it; and all ask for the same variables."""
    text = helper.read_text()
    assert len(text.splitlines()) <= HELPER_LINES_MAX[helper.name]
    for variable in ENVIRONMENT:
        assert variable in text
        assert f"| `{variable}` |" in (CLIENTS / "README.md").read_text()


def test_an_exception_of_python_says_what_it_is() -> None:
    """The text of a KeyError is the key alone: `'price'` tells nobody what was wrong."""
    helper = runpy.run_path(str(CLIENTS / "python" / "atomic.py"))
    call = b'{"idempotencyKey": "k", "payload": {}}'
    body, status, _ = helper["answer_call"]({}, call, lambda _, payload: payload["price"])
    assert (json.loads(body), status) == ({"error": "KeyError('price')"}, 500)

    def declined(_key: str, _payload: object) -> None:
        raise helper["StepFailed"]({"detail": "The card was declined."})

    body, status, _ = helper["answer_call"]({}, call, declined)
    assert (json.loads(body), status) == ({"error": "The card was declined."}, 424)


def test_there_is_a_helper_for_each_page() -> None:
    """And a page for each helper."""
    assert {helper.parent.name for helper in HELPERS} == {*SERVES}
    assert {page.stem for page in CLIENTS.glob("*.md")} == {*SERVES, "README"}


def test_the_lock_has_hashes_and_no_addresses() -> None:
    """Whoever builds it asks the registry that is configured there."""
    lock = json.loads((CLIENTS / "typescript" / "package-lock.json").read_text())
    packages = {name: it for name, it in lock["packages"].items() if name}
    assert packages
    for name, it in packages.items():
        assert it["integrity"].startswith("sha512-"), name
        assert "resolved" not in it, name
    assert "://" not in json.dumps(packages)


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("language", ["typescript"])
def test_typescript_is_strict(language: str, built: Path, tmp_path: Path) -> None:
    """With all that `--strict` looks at, and what goes beyond it; the page's own lines too."""
    page = (CLIENTS / f"{language}.md").read_text()
    own = [it.text for it in blocks(page) if it.language == "ts" and it.source is None]
    assert own
    shutil.copytree(built, tmp_path / "strict", symlinks=True)
    strict = tmp_path / "strict"
    names = (
        'import { answerCall } from "./atomic.js";\ndeclare const createUserWorkflow: () => {};\n'
    )
    (strict / "page.ts").write_text(names + "".join(own))
    flags = ("--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--noImplicitOverride")
    run(["npx", "tsc", "--noEmit", "--strict", *flags], strict)


@pytest.mark.slow
@pytest.mark.system
def test_go_is_formatted() -> None:
    """As `gofmt` has it."""
    assert run(["gofmt", "-l", "."], CLIENTS / "go") == ""


@pytest.mark.parametrize("language", SERVES)
def test_a_page_says_what_its_helper_does(language: str) -> None:
    """On 424, on 504 and with suspend; and names every function."""
    page = (CLIENTS / f"{language}.md").read_text()
    for word in ("424", "504", "Atomic-Suspend: true"):
        assert word in page
    (helper,) = CLIENTS.glob(f"{language}/atomic.*")
    public = r"^(?:export (?:async )?function|function|def|func(?: \(o Outcome\))?) (\w+)"
    for function in re.findall(public, helper.read_text(), re.MULTILINE):
        assert function in page or function in ("or", "read", "token")
    assert os.path.relpath(helper, CLIENTS) in page
    assert ENGINE not in page  # of the engine's address the environment speaks
