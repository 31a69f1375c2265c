"""Bugs that lose a part of what was said: answers and posts cut short, bodies kept in part."""

from __future__ import annotations

from engine.front.server.strict import RequestReader
from engine.http import answers
from engine.runs import attempt
from tests.mutants.catalog import KILLS, Planting, plant


@plant("an answer that was cut short is taken for whole", rules=("R4",))
def cut_answer_taken(bug: Planting) -> None:
    bug.rewrite(answers._SizedBody.feed, "raise self._cut_short()", "self.done = True")


@plant("an answer that was cut short within its chunks is taken for whole", rules=("R4",))
def cut_chunks_taken(bug: Planting) -> None:
    bug.rewrite(answers._ChunkedBody.feed, "raise self._cut_short()", "self.done = True")


@plant("a post whose body was cut short is taken up", rules=("R9", "R6"))
def cut_post_taken(bug: Planting) -> None:
    bug.rewrite(RequestReader._take_body, "ended = not self._remaining", "ended = True")


@plant("the last bytes of a post's body are not waited for", by=(KILLS,))
def half_a_post_taken(bug: Planting) -> None:
    bug.rewrite(
        RequestReader._take_body, "ended = not self._remaining", "ended = self._remaining < 100"
    )


@plant("of a long answer that completes a step only the beginning is kept", rules=("R4",))
def long_answer_cut(bug: Planting) -> None:
    bug.rewrite(attempt.answer_body, "state is not StepState.COMPLETED", "state is not None")
