"""How a process of Atomic ends: every exit code that there is, and what each means."""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_REFUSED = 4
EXIT_OPEN = 5
EXIT_DAMAGED = 6
EXIT_INTERRUPTED = 130
EXIT_CODES = {
    EXIT_OK: "done; of submit and outcome: the step completed",
    EXIT_FAILED: "it was done, and ended badly: the step failed or was cancelled; the bulk job was"
    " aborted; of health: not ready; of demo: an effect is lost, or a part has died; of serve: the"
    " engine stopped itself",
    EXIT_USAGE: "the command, a filter or a setting is wrong; of serve: it could not start",
    EXIT_UNREACHABLE: "the engine cannot be reached, or could not answer: nothing is known",
    EXIT_REFUSED: "refused, by the engine or for what is there: no such run, not possible in this"
    " state, key reused, a file that is there already or is in use, no room",
    EXIT_OPEN: "not ended yet: the wait is over, the work goes on",
    EXIT_DAMAGED: "what was checked is not as it must be, or a file is damaged; each fault is"
    " named",
    EXIT_INTERRUPTED: "interrupted with Ctrl-C; what was recorded goes on",
}
"""Code → what it means, as `atomic --help` and `docs/reference/cli.md` have it."""
