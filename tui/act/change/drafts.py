"""What a person has typed for an act, kept until the act is done.

Between the first word and the last yes an attempt may come, the engine may refuse or be gone, the
board may be another one. The same key on the same target then begins with what was typed before. It
is in memory alone: a payload may have secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tui.act.change.targets import Target
from tui.act.stage import Stage, TypedLine

ACTS_MAX = 20
"""Of more, what was typed last is kept."""
KEPT = "the same key has your text still"


class Act(NamedTuple):
    """For what it was typed."""

    command_id: str
    target: str
    """The id of a run, step or cause, or a filter; empty: the marked rows."""


def act_of(command_id: str, targets: Sequence[Target]) -> Act:
    """A command on these."""
    if len(targets) != 1:
        return Act(command_id, "")
    only = targets[0]
    return Act(command_id, only.cause or only.step_id or only.run_id)


class Drafts:
    """See the head of this file."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._kept: dict[Act, dict[str, str]] = {}

    def line(self, act: Act, kind: str, then: Callable[[str], None], text: str = "") -> None:
        """Have a line typed that begins with what was typed before, or else with this text."""

        def typed(found: str) -> None:
            self.keep(act, kind, found)
            then(found)

        kept = self.of(act, kind)
        self._stage.ask(TypedLine(kind, text if kept is None else kept), typed)

    def of(self, act: Act, kind: str) -> str | None:
        """What was typed for it; None: nothing that has not been done."""
        return self._kept.get(act, {}).get(kind)

    def keep(self, act: Act, kind: str, text: str) -> None:
        """This was typed, or nothing any more."""
        texts = {**self._kept.pop(act, {}), kind: text}
        if not text.strip():
            del texts[kind]
        self._kept = dict([*self._kept.items(), (act, texts)][-ACTS_MAX:])

    def done(self, act: Act) -> None:
        """It is done: what is typed next is something else."""
        self._kept.pop(act, None)
