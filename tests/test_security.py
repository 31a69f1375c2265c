"""docs/reference/security.md: each control has what shows it, and what is named there exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "security.md"
CONTROLS = tuple(f"S{number:02}" for number in range(1, 31))
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


def rows(title: str) -> dict[str, list[str]]:
    """The rows of a section's table, by their number: the other cells."""
    section = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = [line.strip("| ").split(" | ") for line in section.splitlines()]
    return {cells[0]: cells[1:] for cells in found if re.fullmatch(r"S\d\d", cells[0])}


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of a file's tests."""
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        it.name for it in tree.body if isinstance(it, kinds) and it.name[:5] == "test_"
    )


def faults(shown: str) -> list[str]:
    """What of the tests that a cell names is not there."""
    found = []
    for file, name in NAMED.findall(shown):
        if not (ROOT / file).exists():
            found.append(file)
        elif name and name not in names_in(file):
            found.append(f"{file}::{name}")
    return found


def test_every_control_stands_once_in_both_tables() -> None:
    """In their order, each with what holds and how it is set."""
    assert tuple(rows("What holds")) == CONTROLS
    assert tuple(rows("Shown by")) == CONTROLS
    assert all(len(cells) == 3 and all(cells) for cells in rows("What holds").values())


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_has_tests_that_are_there(control: str) -> None:
    """Or the reason why it has none."""
    (shown,) = rows("Shown by")[control]
    assert NAMED.search(shown) or shown.startswith("no test: "), shown
    assert faults(shown) == []
    named = re.findall(r"`(tests/[^`]*)`", shown)
    assert all(NAMED.fullmatch(f"`{it}`") for it in named), named
    assert len(named) == len(set(named))


def test_a_test_that_is_not_there_is_found() -> None:
    """A name that was changed, a file that was moved."""
    mine = "`tests/test_security.py::test_every_control_stands_once_in_both_tables`"
    assert faults(mine) == []
    assert faults(mine.replace("_once", "_twice")) == [mine.replace("_once", "_twice").strip("`")]
    assert faults("`tests/none/test_x.py::test_y`") == ["tests/none/test_x.py"]
