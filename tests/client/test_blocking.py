"""The blocking client is the asynchronous one in other words."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import make_blocking


@pytest.mark.parametrize("source", make_blocking.sources(), ids=lambda path: path.name)
def test_the_blocking_client_is_made_from_the_asynchronous_one(source: Path):
    """What one learns, the other learns: `just blocking` was called after the last change."""
    assert make_blocking.target(source).read_text() == make_blocking.made(source)


def test_nothing_of_the_blocking_client_is_written_by_hand():
    """Each of its files has one that it is made from."""
    sources = make_blocking.sources()
    blocking = make_blocking.target(sources[0]).parent
    twins = {make_blocking.target(source) for source in sources}
    assert {path for path in blocking.glob("*.py") if path.name != "__init__.py"} == twins
