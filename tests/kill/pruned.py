"""`python -m tests.kill.pruned MODULE ARGUMENTS`: a module as a program in which what has completed
is kept for seconds, and the journal likewise. What failed stays. Needs `retention_days`.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping

from engine.core.model import StepState
from engine.core.rules import retention as rules
from engine.core.rules.retention import Retention
from engine.jobs import retention as jobs
from engine.store.tables import cut

KEPT_MS = 1_500
EVERY_S = 0.2
ENTRIES_AT_ONCE = 8
"""Of the journal: kills are to strike between its pieces."""


def _ended_before(self: Retention, now: int) -> Mapping[str, int]:
    return {StepState.COMPLETED: now - KEPT_MS}


def _journal_before(self: Retention, now: int) -> int | None:
    return now - KEPT_MS


def main() -> None:
    """Keep less, then be the other program."""
    _, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    Retention.ended_before = _ended_before  # type: ignore[method-assign]
    Retention.journal_before = _journal_before  # type: ignore[method-assign]
    rules.ACTS_AFTER_MS = 0
    jobs.EVERY_S = EVERY_S
    cut.ENTRIES_AT_ONCE_MAX = ENTRIES_AT_ONCE
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
