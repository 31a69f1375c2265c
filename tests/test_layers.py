"""Who may import whom: one row a folder, from the ground up. An arrow goes down, never up.

A row may name only rows above it in this table, so no circle of folders can be written down; that
there is none of files within a folder is a test. Imports are read from the syntax tree, also those
inside functions and under TYPE_CHECKING: a layer that needs another only for a name still knows it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
STDLIB = frozenset(sys.stdlib_module_names)
ROOMS_MAX = 14
"""Files of a folder."""
ANYTHING = "anything"
BY_NAME = frozenset({"importlib.import_module", "import_module", "__import__"})
CHANCE = frozenset({"sqlite3", "random", "uuid"})
IMPURE = CHANCE | {"time", "os", "io", "threading"}


class Row(NamedTuple):
    """A folder's own files (not those of folders in it) or one file, and what they may import
    beside each other and the standard library."""

    name: str
    may: frozenset[str]
    not_of_stdlib: frozenset[str] = CHANCE


def row(name: str, may: str = "", *, without: frozenset[str] = CHANCE) -> Row:
    """A row of the table. `folder/*` is a folder with those in it."""
    return Row(name, frozenset(may.split()), without)


ROWS = (
    # -- the ground
    row("engine"),
    row("engine.core.text", "msgspec", without=IMPURE),
    row("engine.core", "engine.core.text msgspec", without=IMPURE),
    row("engine.core.access", "engine.core msgspec", without=IMPURE),
    row("engine.core.rules", "engine.core engine.core.text msgspec", without=IMPURE),
    row("engine.shown", without=IMPURE),
    row("engine.wire", "engine.core.* msgspec", without=IMPURE),
    row("engine.ports", "engine.core.* msgspec", without=IMPURE),
    row("engine.http", "httptools httpx msgspec", without=IMPURE),
    row("engine.telemetry", "engine.core.* msgspec prometheus_client structlog trio"),
    row("engine.process.platform", "trio"),
    row(
        "engine.process",
        "engine.core engine.core.access engine.core.rules engine.core.text engine.ports "
        "engine.telemetry msgspec trio",
        without=CHANCE - {"random"},
    ),
    # -- acting on what the core decides
    row(
        "engine.call",
        "engine.core.* engine.ports engine.http engine.process.platform httpx msgspec trio",
    ),
    row("engine.store", "engine.core.* engine.ports msgspec trio"),
    row("engine.store.tables", "engine.core.* engine.ports engine.store msgspec"),
    row(
        "engine.store.tables.views",
        "engine.core.* engine.ports engine.store engine.store.tables msgspec trio",
    ),
    row(
        "engine.store.sqlite.file",
        "engine.ports engine.process.platform msgspec trio",
        without=CHANCE - {"sqlite3"},
    ),
    row(
        "engine.store.sqlite",
        "engine.core.* engine.ports engine.process.platform engine.store engine.store.sqlite.file "
        "engine.store.tables sqlite_utils msgspec trio",
        without=CHANCE - {"sqlite3"},
    ),
    row(
        "engine.store.sqlite.backup",
        "engine.ports engine.process.platform engine.store engine.store.sqlite "
        "engine.store.sqlite.file engine.store.tables msgspec trio",
        without=CHANCE - {"sqlite3"},
    ),
    row(
        "engine.store.sqlite.verify",
        "engine.core.* engine.ports engine.store engine.store.sqlite engine.store.sqlite.file "
        "engine.store.tables msgspec",
        without=CHANCE - {"sqlite3"},
    ),
    row(
        "engine.store.model",
        "engine.core.* engine.ports engine.store engine.store.sqlite engine.store.tables "
        "sqlite_utils trio",
        without=CHANCE - {"sqlite3"},
    ),
    row(
        "engine.store.postgres",
        "engine.core.* engine.ports engine.store engine.store.tables msgspec psycopg trio",
    ),
    row("engine.registry", "engine.core.* engine.wire engine.ports engine.process msgspec trio"),
    row(
        "engine.runs.limits",
        "engine.core.* engine.ports msgspec trio",
        without=IMPURE,
    ),
    row(
        "engine.runs.open",
        "engine.core.* engine.ports engine.process engine.runs.limits msgspec trio",
        without=IMPURE,
    ),
    row(
        "engine.runs",
        "engine.core.* engine.ports engine.process engine.telemetry engine.runs.* msgspec trio",
        without=IMPURE,
    ),
    row(
        "engine.jobs",
        "engine.core.* engine.ports engine.process engine.telemetry msgspec trio",
    ),
    row(
        "engine.alerts",
        "engine.core.* engine.ports engine.process engine.registry engine.runs.* msgspec trio",
    ),
    # -- what comes in over HTTP
    row("engine.front", "engine.core engine.core.text engine.wire msgspec"),
    row(
        "engine.front.server",
        "engine.ports engine.process.* engine.wire h11 hypercorn msgspec trio",
    ),
    row(
        "engine.front.show",
        "engine.core.* engine.ports engine.wire engine.front engine.front.server msgspec",
    ),
    row("engine.front.openapi", "engine.core.* engine.wire engine.front msgspec"),
    row(
        "engine.front.access",
        "engine.core engine.core.access engine.core.text engine.ports engine.wire engine.registry "
        "engine.front.* msgspec",
    ),
    row(
        "engine.front.admin",
        "engine.core.* engine.ports engine.wire engine.process engine.registry engine.alerts "
        "engine.jobs engine.front engine.front.show msgspec trio",
    ),
    row(
        "engine.front.api",
        "engine.core.* engine.wire engine.ports engine.process engine.telemetry engine.registry "
        "engine.runs.* engine.jobs engine.alerts engine.shown engine.front.* msgspec quart "
        "quart_trio trio werkzeug",
    ),
    row(
        "engine.front.ui",
        "engine.core engine.core.access engine.core.text engine.wire engine.ports engine.process "
        "engine.registry engine.runs engine.shown engine.front.* jinja2 msgspec quart "
        "quart_trio trio",
    ),
    row(
        "engine.traces",
        "engine.core.* engine.http engine.process engine.registry google httpx msgspec "
        "opentelemetry trio",
    ),
    row(
        "engine.figures",
        "engine.ports engine.process engine.telemetry engine.registry engine.runs engine.jobs "
        "engine.front.server engine.traces engine.alerts",
    ),
    row("engine.parts", "engine.* msgspec trio"),
    row("engine.main", "engine.* msgspec quart_trio trio"),
    row("engine.testing", "engine.* trio"),
    row("engine.offline", "engine.* msgspec trio"),
    # -- those who talk to an engine
    row(
        "engine.client",
        "engine.http engine.process.platform engine.wire anyio httpx httpx_sse msgspec",
    ),
    row(
        "engine.client.aio",
        "engine.client engine.wire anyio httpx httpx_sse msgspec",
        without=CHANCE - {"random"},
    ),
    row(
        "engine.client.blocking",
        "engine.client engine.wire httpx httpx_sse msgspec",
        without=CHANCE - {"random"},
    ),
    row("engine.client.__init__", "engine.client.* engine.wire"),
    row("engine.cli.show", "engine.client.* engine.shown engine.wire click msgspec"),
    row(
        "engine.cli",
        "engine.cli.show engine.core engine.client.* engine.main engine.ports engine.process "
        "engine.shown engine.wire click msgspec",
    ),
    row(
        "engine.cli.access",
        "engine.cli engine.cli.show engine.client.* engine.core engine.core.access engine.offline "
        "engine.registry engine.wire click",
    ),
    row(
        "engine.cli.upkeep",
        "engine.cli engine.cli.show engine.client.* engine.core engine.ports engine.offline "
        "engine.process engine.wire click",
    ),
    row("engine.cli.main", f"engine.cli click {ANYTHING}"),
    row("engine.cli.__main__", "engine.cli.main"),
    row("engine.cli.__init__", "engine.cli.main"),
    # -- the demonstration
    row(
        "demo_app",
        "aiosmtpd httpx hypercorn quart werkzeug",
        without=frozenset({"uuid"}),
    ),
    # -- the dashboard
    row("tui"),
    row("tui.keys"),
    row("tui.text", "engine.shown engine.wire msgspec"),
    row("tui.settings", "engine.wire tui.keys tui.text msgspec"),
    row("tui.data", "engine.client.* engine.wire tui.text anyio msgspec"),
    row("tui.past", "engine.client.* engine.wire tui.data tui.text anyio msgspec"),
    row(
        "tui.boards",
        "engine.client.* engine.wire engine.shown tui.data tui.past tui.keys tui.text msgspec",
    ),
    row(
        "tui.boards.run",
        "engine.client.* engine.shown engine.wire tui.boards tui.data tui.text msgspec",
    ),
    row(
        "tui.boards.around",
        "engine.client.* engine.wire engine.shown tui.boards tui.data tui.past tui.keys tui.text "
        "msgspec",
    ),
    row(
        "tui.act",
        "engine.client.* engine.shown engine.wire tui.boards.* tui.data tui.past tui.keys "
        "tui.settings tui.text anyio",
    ),
    row(
        "tui.act.change",
        "engine.client.* engine.shown engine.wire tui.act tui.boards.* tui.data tui.keys "
        "tui.settings tui.text anyio msgspec",
    ),
    row("tui.screen.widgets", "tui.boards tui.text textual rich"),
    row(
        "tui.screen.dialogs",
        "engine.client.* anyio tui.act.* tui.boards.* tui.data tui.keys tui.text "
        "tui.screen.widgets textual",
    ),
    row(
        "tui.screen",
        "engine.client.* tui.act.* tui.boards.* tui.data tui.past tui.keys tui.settings tui.text "
        "tui.screen.* anyio rich textual",
    ),
    row(
        "tui.start",
        "engine.client.* tui.data tui.past tui.screen tui.settings anyio msgspec",
        without=CHANCE - {"random"},
    ),
    row("tui.once", "engine.client.* engine.wire tui.boards.* tui.data tui.keys tui.text msgspec"),
    row("tui.browser.guard", "msgspec"),
    row("tui.browser", "tui.browser.guard tui.settings tui.start aiohttp textual textual_serve"),
    row("tui.command", "engine.cli engine.cli.show engine.client.* engine.core tui.* click"),
    row(
        "engine.cli.demo",
        "engine.core engine.client.* engine.cli.* engine.process engine.wire tui.start demo_app "
        "click httpx msgspec trio",
    ),
)


def module_of(path: Path) -> str:
    """The dotted name of a file of this project."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PACKAGES = ("engine", "demo_app", "tui")
MODULES = {
    module_of(path): path
    for package in PACKAGES
    for path in sorted(ROOT.glob(f"{package}/**/*.py"))
}
KNOWN = frozenset(MODULES)
FOLDERS = {module for module, path in MODULES.items() if path.name == "__init__.py"}
NAMES = {it.name: number for number, it in enumerate(ROWS)}


def place_of(module: str) -> str:
    """The name of the row that a module belongs to: its own, or its folder's."""
    if f"{module}.__init__" in NAMES:
        return f"{module}.__init__"
    if module in FOLDERS or module in NAMES:
        return module
    return module.rpartition(".")[0]


def imports(source: str, package: str) -> Iterator[str]:
    """The modules that a source imports; of `from a import b` it is `a.b` where that is one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield from {f"{base}.{alias.name}" for alias in node.names} & KNOWN or {base}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME:
            (name,) = node.args
            yield str(name.value) if isinstance(name, ast.Constant) else ANYTHING


def imported_by(module: str) -> set[str]:
    """What a module of the product imports."""
    package = module if module in FOLDERS else module.rpartition(".")[0]
    return set(imports(MODULES[module].read_text(), package))


def allowed(here: Row, name: str) -> bool:
    """Whether a row may import a module."""
    top = name.partition(".")[0]
    if top in STDLIB:
        return top not in here.not_of_stdlib
    if name not in KNOWN:
        return top in here.may or name in here.may
    place = place_of(name)
    folders = [place.rsplit(".", n)[0] for n in range(place.count(".") + 1)]
    return (
        (name == "engine" and here.name != "demo_app")  # its version
        or place == here.name
        or place in here.may
        or any(f"{folder}.*" in here.may for folder in folders)
    )


def faults(module: str, imported: set[str]) -> list[str]:
    """What of the imports the module's row may not have, as lines for people."""
    here = ROWS[NAMES[place_of(module)]]
    return [f"{module} imports {name}" for name in sorted(imported) if not allowed(here, name)]


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Some circle of the graph, and none if it has none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_every_folder_has_a_row_and_every_row_something_in_it() -> None:
    """A new folder must be put into the table before anybody may import from it."""
    assert {place_of(module) for module in MODULES} == set(NAMES)


def test_a_row_names_only_rows_above_it() -> None:
    """So the order of the table is the order of the layers, and no circle of folders is in it."""
    for number, here in enumerate(ROWS):
        above = {name for name in NAMES if NAMES[name] < number}
        ours = {it.removesuffix(".*") for it in here.may if it.partition(".")[0] in PACKAGES}
        assert ours <= above | {here.name}, here.name


@pytest.mark.parametrize("module", MODULES)
def test_imports_stay_within_the_table(module: str) -> None:
    """No module imports what its row may not know."""
    assert faults(module, imported_by(module)) == []


def test_there_is_no_circle() -> None:
    """Of files neither, whatever the import is for."""
    assert circle({module: imported_by(module) & KNOWN - {module} for module in MODULES}) == []


def test_a_planted_circle_is_found() -> None:
    """Also one that only type checkers see, through three files."""
    graph = {module: imported_by(module) & KNOWN - {module} for module in MODULES}
    source = "if TYPE_CHECKING:\n    from engine.runs.engine import Engine"
    graph["engine.runs.shared"] |= set(imports(source, "engine.runs"))
    assert {"engine.runs.shared", "engine.runs.engine"} <= set(circle(graph))


def test_folders_stay_small() -> None:
    """About a dozen rooms each; more is found by nobody."""
    sizes = Counter(module.rpartition(".")[0] for module in MODULES if module not in FOLDERS)
    del sizes["demo_app"]  # it is one application, as its users write them
    assert {folder: size for folder, size in sizes.items() if size > ROOMS_MAX} == {}


def test_the_dashboards_data_needs_no_screen() -> None:
    """All of it can be imported where neither Textual nor Rich can be, by whatever way.

    (httpx loads Rich for its own command line if it is there, and does without it.)
    """
    rooms = ("tui.act", "tui.boards", "tui.data", "tui.text", "tui.once")
    without = [module for module in MODULES if module.startswith(rooms)]
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('textual', 'rich', 'trio', 'quart')));"
        f"import {', '.join(without)}; print(*sys.modules)"
    )
    ran = subprocess.run(
        (sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    assert set(without) <= set(ran.stdout.split())
    assert "sqlite3" not in ran.stdout.split()


def test_the_dashboards_first_picture_needs_no_http_library() -> None:
    """Who speaks HTTP is made when the picture has been drawn: to import it takes as long again."""
    code = "import tui.start, sys; print(*{'httpx', 'httpx_sse', 'click'} & set(sys.modules))"
    ran = subprocess.run(
        (sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "\n"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("engine.core.x", "import time"),
        ("engine.core.x", "def f():\n    from os import path"),
        ("engine.core.x", "from engine import wire"),
        ("engine.core.x", "importlib.import_module('sqlite3')"),
        ("engine.core.x", "import trio"),
        ("engine.runs.engine", "from engine.store.sqlite.store import open_store"),
        ("engine.runs.live", "from engine import main"),
        ("engine.store.x", "from ..runs.engine import Engine"),
        ("engine.store.writer", "from engine.store.tables.writing import RUN"),
        ("engine.store.replay", "import sqlite3"),
        ("engine.front.api.x", "import sqlite3"),
        ("engine.front.server.x", "from engine.runs.engine import Engine"),
        ("engine.call.caller", "import requests"),
        ("engine.client.x", "from engine.core.model import Run"),
        ("engine.cli.x", "from tui.command import tui"),
        ("engine.cli.main", "from engine.main import serve"),
        ("demo_app.x", "from engine.wire import Submission"),
        ("demo_app.x", "import engine"),
        ("tui.data.store", "from tui.screen.app import Dashboard"),
        ("tui.boards.cells", "from rich.text import Text"),
        ("tui.act.x", "from textual.app import App"),
        ("tui.screen.app", "from aiohttp import web"),
        ("tui.browser.guard", "from aiohttp import web"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    """The walk sees imports in functions, relative ones, and submodules behind `from`."""
    assert faults(module, set(imports(source, module.rpartition(".")[0])))
