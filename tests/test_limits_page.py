"""The table of limits is whole and true: each setting that bounds something, each refusal that
names a limit, each word for what waits."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.core.errors import Problem
from engine.runs.limits.gates import WaitsFor
from tests.contract import recording
from tests.limits_page import (
    FIXED,
    OF_CLIENT,
    OF_ENGINE,
    OF_HOST,
    bounding,
    limits_table,
    of_clients,
    of_hosts,
)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "limits.md"
ALL = (*OF_ENGINE, *OF_CLIENT, *OF_HOST, *FIXED)
REFUSED = {
    (it.problem, it.name.partition(" ")[0].strip("`")) for it in ALL if it.problem is not None
}


def test_the_page_has_the_table() -> None:
    """`just pages` writes it."""
    assert limits_table() in PAGE.read_text()


def test_every_limit_is_in_it() -> None:
    """A setting, a client's or a host's that is added has to say what one sees of it."""
    assert {it.name for it in OF_ENGINE} == bounding()
    assert {it.name for it in OF_CLIENT} == of_clients()
    assert {it.name for it in OF_HOST} == of_hosts()
    assert all(it.do and it.seen for it in ALL)


def test_every_word_for_what_waits_is_in_it() -> None:
    """By which `atomic status` and the metrics tell it."""
    table = limits_table()
    assert [word for word in WaitsFor if f"`{word}`" not in table] == []


def named_in_code() -> Iterator[tuple[Problem, str]]:
    """The refusals of the code that name a limit: `Refused(Problem.X, …, limit="y")`, and
    `overloaded("y")`."""
    for source in (ROOT / "engine").rglob("*.py"):
        for call in ast.walk(ast.parse(source.read_text())):
            if not isinstance(call, ast.Call):
                continue
            limits = [it.value for it in call.keywords if it.arg == "limit"]
            first = call.args[0] if call.args else None
            if isinstance(call.func, ast.Name) and call.func.id == "overloaded":
                problem: Any = Problem.OVERLOADED
                limits = limits or [it for it in (first,) if it is not None]
            elif isinstance(first, ast.Attribute) and ast.unparse(first).startswith("Problem."):
                problem = Problem[first.attr]
            else:
                continue
            for limit in limits:
                if isinstance(limit, ast.Constant):
                    yield problem, str(limit.value)


def test_every_refusal_that_names_a_limit_is_in_it() -> None:
    """By its problem type, as the code has it."""
    found = {*named_in_code()}
    assert (Problem.TOO_MANY_RUNS, "open_runs_max") in found
    assert (Problem.OVERLOADED, "runs_in_memory_max") in found
    assert found - REFUSED == set()


def test_every_limit_that_is_named_in_an_answer_is_in_it() -> None:
    """Those of the recording, whichever way they come about: the server's own, too."""
    text = json.dumps(recording.read()).replace('\\"', '"')
    told = re.findall(r'"/problems/([a-z-]+)"[^{}]*?"limit": ?"(\w+)"', text)
    assert len({*told}) > 5
    assert {(Problem(kind), limit) for kind, limit in told} - REFUSED == set()
