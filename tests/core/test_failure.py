"""Failures as values, and the text that events, rows and the wire have of them."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from engine.core.failure import KINDS, Failure, FailureKind


@given(kind=st.sampled_from(KINDS), detail=st.text())
def test_a_failure_is_read_as_it_was_written(kind: FailureKind, detail: str) -> None:
    """Of every kind, whatever is told of it; only what no kind begins is of kind OTHER."""
    failure = Failure(kind, detail)
    if kind is FailureKind.OTHER:
        assume(Failure.parse(detail).kind is kind)
    assert Failure.parse(failure.text) == failure


@given(st.sampled_from(KINDS), st.sampled_from((": ", ":", "", " ", "s: ")), st.text())
def test_nothing_of_a_text_is_lost(kind: FailureKind, colon: str, detail: str) -> None:
    """Whoever wrote it: an older engine, a newer one with kinds of its own, a person."""
    text = f"{kind}{colon}{detail}"
    failure = Failure.parse(text)
    assert failure.text == text or f"{failure.text}: " == text  # a kind, and nothing of it
    assert failure.word == text.partition(":")[0]
    assert Failure.parse(f"interrupted: {text}").inner == failure
