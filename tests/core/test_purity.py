"""The records of the core are changed by the core: everybody else asks it to.

Told by the names of the fields, so that nothing is missed; the others' records that have fields
called alike are known by the names under which they go.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.model import Flight, Run, Step

ENGINE = Path(__file__).parents[2] / "engine"
FIELDS = {*Run.__struct_fields__, *Step.__struct_fields__, *Flight.__struct_fields__}
OTHERS = {
    "self",
    "a_pass",
    "attempt",
    "figures",
    "incident",
    "job",
    "pending",
    "record",
    "request",
    "sys",
    "took",
    "trouble",
}
READING = {"count", "fromkeys", "get", "index", "items", "keys", "values", *dir(frozenset)}
CHANGING = {name for kind in (dict, list, set) for name in dir(kind) if name[0] != "_"} - READING


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    """What a statement or a call changes."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            yield from targets
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            yield target
        case ast.For(target=target) | ast.AsyncFor(target=target):
            yield target
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in CHANGING:
            yield value
        case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[owner, *_]):
            yield ast.Attribute(owner, "rev")


def changes(source: str) -> list[str]:
    """The places where a source changes a field of the core's records, or what a field holds."""
    found = []
    for node in ast.walk(ast.parse(source)):
        targets = list(_targets(node))
        while targets:
            target = targets.pop()
            if isinstance(target, ast.Tuple | ast.List):
                targets += target.elts
            elif isinstance(target, ast.Subscript | ast.Starred):
                targets.append(target.value)
            elif isinstance(target, ast.Attribute) and target.attr in FIELDS:
                owner = target.value
                if not (isinstance(owner, ast.Name) and owner.id in OTHERS):
                    found.append(f"{ast.unparse(target)} in: {ast.unparse(node)}")
    return found


def test_only_the_core_changes_its_records() -> None:
    """No field of a run, a step or an attempt in flight is set, nor what it holds, elsewhere."""
    found = {
        str(path.relative_to(ENGINE)): places
        for path in ENGINE.rglob("*.py")
        if ENGINE / "core" not in path.parents and (places := changes(path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "planted",
    [
        "flight.left = True",
        "live.run.flights[id].refused_post |= True",
        "self.run.parked, self.stopped_by = True, why",
        "run.counts[state] += 1",
        "del run.steps[id].error",
        "flight.cut.add(id)",
        "live.run.steps.pop(id)",
        "setattr(step, name, value)",
    ],
)
def test_a_change_elsewhere_is_found(planted: str) -> None:
    """A check that finds nothing proves nothing unless it can."""
    assert len(changes(f"def noted():\n    {planted}\n")) == 1


@pytest.mark.parametrize("planted", ["self.left = True", "run.steps.get(id)", "left = run.due[0]"])
def test_what_is_no_change_is_left_alone(planted: str) -> None:
    """Others' own fields, and what is only read."""
    assert changes(planted) == []
