"""What came of a bulk job's runs, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TRIED_AGAIN = ("retry", "resume")
"""What fails after one of these has failed again."""
_CAME_FIRST = {"completed": 0, "failed": 1, "cancelled": 2}
"""What came of runs is told in this order; then how others stand."""


def came_text(action: str, runs: Mapping[str, int], failures: Iterable[tuple[str, int]]) -> str:
    """`57 completed, 2 failed again (503), 1 running`. `runs`: how many came to what; `failures`:
    why the failed ones did, and how many for that. Texts are safe to show."""
    order = sorted(runs, key=lambda it: (_CAME_FIRST.get(it, len(_CAME_FIRST)), it))
    return ", ".join(f"{runs[it]:,} {_came_word(it, action, failures)}" for it in order)


def _came_word(state: str, action: str, failures: Iterable[tuple[str, int]]) -> str:
    if state == "expired":
        return "removed since, as their time had come"
    if state != "failed":
        return state
    whys = list(failures)
    told = ", ".join(why if len(whys) == 1 else f"{why}: {runs:,}" for why, runs in whys)
    again = "failed again" if action in TRIED_AGAIN else "failed"
    return f"{again} ({told})" if told else again
