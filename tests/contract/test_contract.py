"""Whatever is changed inside, what travels stays as it was recorded, but for ids and ports.

When one of these fails and the contract was to change: `python -m tests.contract --record`.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from engine.core.errors import Problem
from engine.wire.routes import ROUTES
from tests.contract import recording
from tests.contract.scenes import NOT_ASKED, SCENES

NOT_YET = {
    Problem.OUTCOME_EXPIRED,  # takes days: tests/e2e/test_retention.py
    Problem.RATE_LIMITED,
    Problem.TOO_MANY_RUNS,
}
"""Retention and limits of clients come later: nothing is answered so."""


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    """The recording."""
    return recording.read()


@pytest.mark.parametrize("name", [*SCENES, recording.COMMANDS])
def test_all_is_as_it_was_recorded(recorded: dict[str, Any], name: str) -> None:
    """Status, headers and body of each answer, byte for byte; the events; what endpoints get."""
    different = recording.difference(recorded.get(name), recording.play(name))
    assert not different, f"{name}; on purpose: python -m tests.contract --record\n{different}"


def test_nothing_else_is_recorded(recorded: dict[str, Any]) -> None:
    """A scene that is no longer played would go on looking like a promise."""
    assert list(recorded) == [*SCENES, recording.COMMANDS]


def test_every_problem_type_is_recorded(recorded: dict[str, Any]) -> None:
    """A new one needs a scene in which it is answered."""
    told = re.findall(r'type\\?": ?\\?"/problems/([a-z-]+)', recording.text_of(recorded))
    answered = {Problem(kind) for kind in told}
    assert answered == set(Problem) - NOT_YET


def test_every_route_is_recorded(recorded: dict[str, Any]) -> None:
    """With each of its methods, and with one that it does not have."""
    asked = [it["ask"].split(" ") for scene in recorded.values() for it in scene if "ask" in it]
    for route in ROUTES:
        like = re.compile(re.sub(r"\{\w+\}", "[^/?]+", route.path) + r"(\?.*)?")
        found = {method for method, target in asked if like.fullmatch(target)}
        of_machine = (route.method, route.path) in NOT_ASKED[1:]  # tests/e2e/test_doctor.py
        method = "HEAD" if of_machine else route.method
        assert {method, "HEAD", "PUT", "OPTIONS"} <= found, route.path
