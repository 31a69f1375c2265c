"""No text of the dashboard is read as markup, as `[@click=app.quit]` in somebody's name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "tui").rglob("*.py"))
TAKES_NONE = frozenset({"Input", "ContentSwitcher"})
"""Widgets of Textual's that read no markup."""


def reading_markup(source: str) -> list[str]:
    """Calls that would have Textual read markup: of its widgets without `markup=False`, of
    `notify`, and of what makes markup into text."""
    tree, found = ast.parse(source), []
    widgets = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("textual.widgets")
        for alias in node.names
    } - TAKES_NONE
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        said = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if last in ("notify", "from_markup", "to_markup") or (
            name in widgets and last != "Option" and said.get("markup") != "False"
        ):
            found.append(f"line {node.lineno}: {name}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_widget_reads_markup(path: Path) -> None:
    """What is shown is text, or content whose styles are ours."""
    assert reading_markup(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "from textual.widgets import Static\nStatic(name)",
        "from textual.widgets import Label as L\nL(name, markup=True)",
        "app.notify(name)",
        "Content.from_markup(name)",
    ],
)
def test_what_reads_markup_is_found(source: str) -> None:
    """A check that finds nothing proves nothing unless it can."""
    assert len(reading_markup(source)) == 1
