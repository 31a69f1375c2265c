"""Who may import whom. The table is the one of the architecture page, by today's modules.

Imports are read from the syntax tree, also those inside functions and under TYPE_CHECKING: a layer
that needs another only for a name still knows it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMPURE = frozenset({"time", "random", "os", "io", "threading", "uuid"})
STDLIB = frozenset(sys.stdlib_module_names)
ANYTHING = "anything at all"
BY_NAME = frozenset({"importlib.import_module", "import_module", "__import__"})


@dataclass(frozen=True)
class Room:
    """Modules (or packages) that belong together, and what they may import beside the stdlib.

    A name allows itself and what is below it: `engine.core` allows `engine.core.model`.
    """

    modules: tuple[str, ...]
    may: tuple[str, ...]
    not_of_stdlib: frozenset[str] = frozenset({"sqlite3", "random", "uuid"})


EVERY_STORE = (
    "engine.store.away", "engine.store.commit", "engine.store.folding", "engine.store.journal",
    "engine.store.marks", "engine.store.pending", "engine.store.replay", "engine.store.rows",
    "engine.store.writer",
)  # fmt: skip
"""What serves every store; all else below `engine.store` is SQLite's."""
CALLER = ("engine.transport", "engine.dial", "engine.resolve", "engine.caller")
SUPERVISOR = (
    "engine.admission", "engine.attempt", "engine.drive", "engine.flow", "engine.home",
    "engine.hosts", "engine.limits", "engine.memory", "engine.outcomes", "engine.parent_tokens",
    "engine.places", "engine.ramp", "engine.refusals", "engine.replies", "engine.request",
    "engine.run_log", "engine.seats", "engine.shared", "engine.standstill", "engine.stopped",
    "engine.store_away", "engine.supervisor", "engine.sweep", "engine.tasks", "engine.throttle",
    "engine.trace", "engine.waiting",
)  # fmt: skip
TUI_GROUND = ("tui.config", "tui.keys", "tui.options")
TUI_TEXT = ("tui.curl", "tui.fmt", "tui.redact", "tui.sanitize")
TUI_DATA = (
    "tui.clock", "tui.feed", "tui.fold", "tui.inputs", "tui.listing", "tui.model", "tui.query",
    "tui.record", "tui.store", "tui.tree", "tui.whereabouts",
)  # fmt: skip
"""What is known."""
TUI_BOARDS = (
    "tui.bars", "tui.boards", "tui.bodies", "tui.compare", "tui.detail", "tui.help", "tui.looking",
    "tui.looks", "tui.notices", "tui.rows", "tui.selection", "tui.sorting", "tui.steptree",
)  # fmt: skip
"""What stands where."""
TUI_ACT = (
    "tui.acting", "tui.answered", "tui.asking", "tui.clipboard", "tui.copying", "tui.doing",
    "tui.many", "tui.moving", "tui.ordering", "tui.outside", "tui.reading", "tui.retargeting",
    "tui.showing", "tui.stage", "tui.targets",
)  # fmt: skip
"""What a key does."""
TUI_SHOWN = (*TUI_GROUND, *TUI_TEXT, *TUI_DATA, *TUI_BOARDS)
TUI_UNSEEN = (*TUI_SHOWN, *TUI_ACT, "tui.guard", "tui.once")
"""It is tested, and prints `--once`, without a screen."""
SHOWS = ("engine.wire", "engine.client", "engine.signs", "anyio", "msgspec")
ROOMS = (
    Room(("engine",), ()),
    Room(("engine.core",), ("msgspec",), IMPURE | {"sqlite3"}),
    Room(("engine.wire", "engine.ports"), ("engine.core", "msgspec"), IMPURE | {"sqlite3"}),
    Room(("engine.clock",), ("engine.core", "trio"), frozenset({"sqlite3", "uuid"})),
    Room(("engine.deadlines",), ("trio",)),
    Room(("engine.budget",), ("engine.ports", "trio")),
    Room(("engine.machine",), ()),
    Room(("engine.platform",), ("trio",)),
    Room(("engine.log_output",), ()),
    Room(
        ("engine.telemetry",), ("engine.log_output", "structlog"),
    ),
    Room(("engine.metrics",), ("engine.core", "prometheus_client")),
    Room(("engine.descriptors",), ("engine.config", "engine.core", "msgspec")),
    Room(("engine.stopping",), ("engine.log_output", "trio")),
    Room(("engine.config",), ("engine.core", "msgspec")),
    Room(
        SUPERVISOR,
        (
            "engine.core", "engine.ports", "engine.budget", "engine.clock", "engine.deadlines",
            "trio", "msgspec",
        ),
        IMPURE | {"sqlite3"},
    ),
    Room(EVERY_STORE, ("engine.core", "engine.ports", "trio", "msgspec"), IMPURE | {"sqlite3"}),
    Room(
        ("engine.store",),
        ("engine.core", "engine.platform", "engine.ports", "sqlite_utils", "trio", "msgspec"),
        frozenset({"random", "uuid"}),
    ),
    Room(("engine.answers", "engine.tls"), ("httpx", "httptools", "msgspec"), IMPURE),
    Room(
        CALLER,
        (
            "engine.core", "engine.platform", "engine.ports", "engine.answers", "engine.tls",
            "httpx", "msgspec", "trio",
        ),
    ),
    Room(
        ("engine.jobs",),
        (
            "engine.core", "engine.ports", "engine.clock", "engine.tasks", "engine.telemetry",
            "msgspec", "trio",
        ),
    ),
    Room(
        ("engine.front",),
        (
            "engine.core", "engine.wire", "engine.ports", "engine.jobs", "engine.supervisor",
            "engine.parent_tokens", "engine.budget", "engine.platform",
            "engine.refusals", "engine.replies", "engine.waiting",
            "engine.clock", "engine.config", "engine.deadlines", "engine.hosts",
            "engine.metrics", "engine.standstill",
            "engine.telemetry", "quart", "quart_trio", "werkzeug", "hypercorn", "h11",
            "msgspec", "trio",
        ),
    ),
    Room(
        ("engine.client",),
        (
            "engine.answers", "engine.tls", "engine.platform.sockets", "engine.wire", "anyio",
            "httpx", "httpx_sse", "msgspec",
        ),
        frozenset({"sqlite3", "uuid"}),
    ),
    Room(("engine.main", "engine.figures"), ("engine", "trio")),
    Room(("engine.signs",), ()),
    Room(("engine.leash",), ()),
    Room(
        ("engine.cli.demo",),
        (
            "engine.cli", "engine.client", "engine.clock", "engine.core", "engine.wire",
            "tui.start", "demo_app", "click", "httpx", "msgspec", "trio",
        ),
    ),
    Room(("engine.cli.main",), ("engine", "engine.cli.exits", "click", ANYTHING)),  # its table
    Room(("engine.cli",), ("engine", "click", "msgspec")),
    Room(
        ("tui.command",),
        ("engine.cli", "engine.client", "engine.wire", "tui", "click"),
    ),
    Room(
        ("demo_app",),
        ("aiosmtpd", "httpx", "hypercorn", "quart", "werkzeug"), frozenset({"uuid"}),
    ),
    Room(TUI_TEXT, ("engine.wire", "msgspec"), frozenset({"sqlite3"})),
    Room(TUI_GROUND, (*TUI_TEXT, "engine.wire", "msgspec"), frozenset({"sqlite3"})),
    Room(TUI_DATA, (*TUI_TEXT, *SHOWS), frozenset({"sqlite3"})),
    Room(TUI_BOARDS, (*TUI_GROUND, *TUI_TEXT, *TUI_DATA, *SHOWS), frozenset({"sqlite3"})),
    Room(TUI_ACT, (*TUI_SHOWN, *SHOWS), frozenset({"sqlite3"})),
    Room(("tui.once",), (*TUI_SHOWN, *SHOWS), frozenset({"sqlite3"})),
    Room(("tui.guard",), ("msgspec",)),
    Room(("tui.serve",), ("tui.guard", "tui.options", "aiohttp", "textual_serve")),
    Room(
        ("tui",), (*SHOWS, "textual", "rich"),
        frozenset({"sqlite3", "uuid"}),
    ),
)  # fmt: skip


def module_of(path: Path) -> str:
    """The dotted name of a file of this project."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    """Every module of the product."""
    found = [
        path
        for package in ("engine", "demo_app", "tui")
        for path in ROOT.glob(f"{package}/**/*.py")
    ]
    return {module_of(path): path for path in sorted(found)}


def covers(name: str, module: str) -> bool:
    """Whether a module is `name` or below it."""
    return module == name or module.startswith(f"{name}.")


def room_of(module: str) -> Room | None:
    """The room a module belongs to: `engine` itself is only the package's own file."""
    for room in ROOMS:
        names = room.modules
        if module in names or any(covers(n, module) for n in names if n != "engine"):
            return room
    return None


def imports(source: str, known: frozenset[str], package: str) -> set[str]:
    """The modules that a source imports; of `from a import b` it is `a.b` where that is one."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            below = {f"{base}.{alias.name}" for alias in node.names} & known
            found |= below or {base}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME:
            (name,) = node.args
            found.add(str(name.value) if isinstance(name, ast.Constant) else ANYTHING)
    return found


def faults(module: str, room: Room, imported: set[str]) -> list[str]:
    """What of the imports the room may not have, as lines for people."""
    wrong = []
    for name in sorted(imported):
        top = name.partition(".")[0]
        if top in STDLIB:
            allowed = top not in room.not_of_stdlib
        else:
            own = any(covers(n, name) for n in room.modules if n != "engine")
            own = own or (name == "engine" and covers("engine", module))  # for its version
            allowed = own or any(covers(n, name) for n in room.may)
        if name == "engine.main" and module != "engine.cli.serve":
            allowed = False
        if not allowed:
            wrong.append(f"{module} imports {name}")
    return wrong


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules each of which imports the next, and the last the first; empty: there are none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


ALL = modules()
KNOWN = frozenset(ALL)


def imported(module: str) -> set[str]:
    """What a module of the product imports."""
    path = ALL[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return imports(path.read_text(), KNOWN, package)


def test_every_module_has_a_room() -> None:
    """A new file must be put into a room before anybody may import from it."""
    assert [module for module in ALL if room_of(module) is None] == []


@pytest.mark.parametrize("module", ALL)
def test_imports_stay_within_the_table(module: str) -> None:
    """No module imports what its room may not know."""
    room = room_of(module)
    assert room is not None
    assert faults(module, room, imported(module)) == []


@pytest.mark.parametrize(
    "planted", [None, ("engine.shared", "engine.supervisor"), ("tui.fmt", "tui.app")]
)
def test_modules_import_each_other_in_no_circle(planted: tuple[str, str] | None) -> None:
    """Who knows whom can be drawn from top to bottom; one arrow more, and the test says so."""
    below = {module: imported(module) & KNOWN for module in KNOWN}
    if planted is not None:
        below[planted[0]].add(planted[1])
    assert set(planted or ()) <= set(circle(below))
    assert planted or not circle(below)


def test_36_the_dashboard_below_its_screen_needs_none() -> None:
    """All of it can be imported where neither Textual nor Rich can be, by whatever way.

    (httpx loads Rich for its own command line if it is there, and does without it.)
    """
    assert {module for module in TUI_UNSEEN if module not in KNOWN} == set()
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('textual', 'rich', 'trio', 'quart')));"
        f"import {', '.join(TUI_UNSEEN)}; print(*sys.modules)"
    )
    ran = subprocess.run(
        (sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    assert set(TUI_UNSEEN) <= set(ran.stdout.split())
    assert "sqlite3" not in ran.stdout.split()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("engine.core.x", "import time"),
        ("engine.core.x", "def f():\n    from os import path"),
        ("engine.core.x", "from engine import wire"),
        ("engine.core.x", "importlib.import_module('sqlite3')"),
        ("engine.core.x", "import trio"),
        ("engine.supervisor", "from engine.store.sqlite import open_store"),
        ("engine.drive", "from engine import main"),
        ("engine.store.x", "from ..supervisor import Engine"),
        ("engine.store.writer", "from engine.store.tables import RUN"),
        ("engine.store.replay", "import sqlite3"),
        ("engine.front.x", "import sqlite3"),
        ("engine.caller", "import requests"),
        ("engine.client", "from engine.core.model import Run"),
        ("demo_app.x", "from engine.wire import Submission"),
        ("demo_app.x", "import engine"),
        ("tui.store", "from tui.app import Dashboard"),
        ("tui.boards", "from rich.text import Text"),
        ("tui.model", "from tui.boards import Cell"),
        ("tui.looking", "from tui.stage import Stage"),
        ("tui.moving", "from textual.app import App"),
        ("tui.stage", "if TYPE_CHECKING:\n    from tui.app import Dashboard"),
        ("tui.app", "from aiohttp import web"),
        ("tui.guard", "from aiohttp import web"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    """The walk sees imports in functions, relative ones, and submodules behind `from`."""
    room = room_of(module)
    assert room is not None
    assert faults(module, room, imports(source, KNOWN, module.rpartition(".")[0]))
