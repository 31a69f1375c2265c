"""Notes of runs: what people write of them."""

from __future__ import annotations

import pytest

from engine.core.errors import Problem, Refused
from engine.core.model import Note
from engine.core.rules.action import FITS, Action
from engine.core.rules.note import NOTE_BYTES_MAX, NOTES_MAX
from tests.core.support import BAD, Driven, started


def refused(driven: Driven, text: str | None, step: str | None = None) -> Refused:
    """Why there is no such note: the test fails if there is."""
    before = driven.run.notes
    with pytest.raises(Refused) as error:
        driven.act(Action.NOTE, step, text)
    assert driven.run.notes == before
    return error.value


def test_a_note_stays_with_its_run_and_changes_nothing_else() -> None:
    """Who, when, what, in their order; also of a run that has ended, and is retried since."""
    driven = started()
    driven.now = 3
    state, rev = driven.run.state, driven.run.rev
    driven.act(Action.NOTE, None, "vendor informed")
    assert (driven.run.state, driven.run.rev) == (state, rev)
    driven.end(outcome=BAD)
    driven.now = 7
    driven.act(Action.NOTE, None, "ticket 4711\nto be followed")
    driven.act(Action.CANCEL)
    driven.act(Action.RETRY)
    assert driven.run.notes == (
        Note(3, "ada", "vendor informed"), Note(7, "ada", "ticket 4711\nto be followed"),
    )  # fmt: skip


def test_how_long_it_may_be() -> None:
    """In bytes of UTF-8, not in characters; a text it must be."""
    driven = started()
    fits = "ü" * (NOTE_BYTES_MAX // 2)
    driven.act(Action.NOTE, None, fits)
    error = refused(driven, fits + "x")
    assert (error.problem, error.members["member"]) == (Problem.INVALID_REQUEST, "reason")
    assert "1,024 bytes of UTF-8; this one has 1,025" in error.detail
    for none in (None, "", " \n"):
        assert "needs `reason`" in refused(driven, none).detail
    assert "not of a step" in refused(driven, "so", "root").detail


def test_how_many_there_may_be() -> None:
    """The next one is refused, and those that are there stay."""
    driven = started()
    for n in range(NOTES_MAX):
        driven.act(Action.NOTE, None, f"{n}")
    error = refused(driven, "one more")
    assert error.problem is Problem.NOT_POSSIBLE
    assert f"{NOTES_MAX} notes" in error.detail
    assert [note.text for note in driven.run.notes] == [f"{n}" for n in range(NOTES_MAX)]


def test_no_job_writes_notes() -> None:
    """What is to be said of many runs is said of their cause."""
    assert Action.NOTE not in FITS
