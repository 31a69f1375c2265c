"""The blocking client is the asynchronous one in other words."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path

import pytest

MAKE = run_path(str(Path(__file__).parents[2] / ".ci" / "make_blocking.py"))


@pytest.mark.parametrize("source", MAKE["sources"](), ids=lambda path: path.name)
def test_the_blocking_client_is_made_from_the_asynchronous_one(source: Path):
    """What one learns, the other learns: `just blocking` was called after the last change."""
    assert MAKE["target"](source).read_text() == MAKE["made"](source)


def test_nothing_of_the_blocking_client_is_written_by_hand():
    """Each of its files has one that it is made from."""
    twins = {MAKE["target"](source) for source in MAKE["sources"]()}
    (blocking,) = {twin.parent for twin in twins}
    assert {path for path in blocking.glob("*.py") if path.name != "__init__.py"} == twins
