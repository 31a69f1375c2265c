"""The house rules that a program can check: sizes, docstrings, what must not be in the files."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
PACKAGES = ("engine", "demo_app", "tests", "tui")
SOURCES = sorted(path for package in PACKAGES for path in ROOT.glob(f"{package}/**/*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef

# Written so that this file does not hold what it looks for.
UNWANTED = {
    "a path of somebody's machine": re.compile(
        r"(?<![\w.~])/(?:ro" + r"ot|ho" + r"me|wo" + r"rk|Us" + r"ers)/[\w.]"
    ),
    "the address of a package registry": re.compile(
        r"(?:py" + r"pi|pythonho" + r"sted|npm" + r"js|crates)\.(?:org|io|com)"
        r"|ind" + r"ex-url\s*=?\s*ht" + r"tp|extra-ind" + r"ex-url\s*=?\s*ht" + r"tp",
        re.IGNORECASE,
    ),
    "an import from a file of tests: what two need is in a file of support": re.compile(
        r"^\s*from tests\.(?:\w+\.)*(?:te" + r"st_\w+|conf" + r"test) import "
    ),
    "a marker of unfinished work": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b"),
}


def tracked() -> list[Path]:
    """The files of a checkout; of an unpacked archive all that are no build product."""
    listed = subprocess.run(
        ("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        found = [*SOURCES, *ROOT.glob("*.*"), *ROOT.glob("docs/**/*.md")]
    return sorted(path for path in found if path.is_file())


def functions(path: Path) -> Iterator[Function]:
    """Every function of a file, also nested ones and methods."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines(function: Function) -> int:
    """Length without decorators: a command's options are a table, not code to follow."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_sizes(path: Path) -> None:
    """A file over 500 lines has two jobs; so has a function over 70."""
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX
    long = {f.name: lines(f) for f in functions(path) if lines(f) > FUNCTION_LINES_MAX}
    assert long == {}


def set_elsewhere(source: str) -> list[str]:
    """Attributes that a file sets, and that none of its own classes has."""
    own, found = set(), {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
            own |= {ast.unparse(field) for field in fields}
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found[ast.unparse(node)] = node.attr
            own |= {node.attr} if ast.unparse(node.value) == "self" else set()
    return [written for written, name in found.items() if name not in own]


UNSEEN = [p for room in ("act", "boards", "data", "text") for p in ROOT.glob(f"tui/{room}/**/*.py")]


@pytest.mark.parametrize("path", UNSEEN, ids=relative)
def test_no_part_of_the_dashboard_sets_anothers_attribute(path: Path) -> None:
    """What is looked at, marked and known is changed by its own methods alone. (On the screen
    Textual is told by attributes what to show.)"""
    assert set_elsewhere(path.read_text()) == []
    planted = "def stay(stage): stage.looking.following = False"
    assert set_elsewhere(planted) == ["stage.looking.following"]


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name.startswith("test_")], ids=relative)
def test_every_test_says_what_it_proves(path: Path) -> None:
    """A test without a docstring cannot be judged when it fails."""
    tests = [f for f in functions(path) if f.name.startswith("test_")]
    assert [f.name for f in tests if not ast.get_docstring(f)] == []


def test_nothing_unwanted_in_the_files() -> None:
    """No machine's paths, no registry's address, no unfinished work in what is handed on."""
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found += [
                f"{relative(path)}:{number}: {what}"
                for what, pattern in UNWANTED.items()
                if pattern.search(line)
            ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "open('/ro" + "ot/venv')",
        "cd /ho" + "me/ada",
        "https://py" + "pi.org/simple",
        "# TO" + "DO: later",
        "from tests.cli.te" + "st_show import DONE",
        "from tests.e2e.conf" + "test import SETTINGS",
    ],
)
def test_the_patterns_find_what_they_are_for(text: str) -> None:
    """A check that finds nothing proves nothing unless it can."""
    assert any(pattern.search(text) for pattern in UNWANTED.values())
