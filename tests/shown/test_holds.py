"""A hold in one line: the same words in the command and on the dashboard."""

from __future__ import annotations

import shlex

import pytest

from engine.shown.holds import held_text, release_command, released_text


def test_a_hold_says_what_since_when_by_whom_and_why() -> None:
    """The reason is left out where none was given."""
    told = held_text("client shop", "12:00:00", "ada", "bad deploy")
    assert told == "held: client shop since 12:00:00 by ada: bad deploy"
    assert held_text("host app", "12:00:00", "ada", None) == "held: host app since 12:00:00 by ada"


@pytest.mark.parametrize(("rate", "more"), [(None, ""), (1_000, ", 1,000 a second")])
def test_a_release_says_how_quickly(rate: int | None, more: str) -> None:
    """Without a rate that is the hosts' affair."""
    assert released_text("client shop", "12:00:05", rate) == (
        f"released: client shop at 12:00:05{more}"
    )


@pytest.mark.parametrize("name", ["shop", "[::1]:9000", "it's; $(reboot)", "two words"])
def test_the_command_can_be_typed_as_it_stands(name: str) -> None:
    """A shell makes the name of it again, and nothing else."""
    words = shlex.split(release_command("workflow", name))
    assert words == ["atomic", "release", "workflow", name]
