"""Moving runs to other URLs: from which and to which is asked for at the foot, then what the engine
says it would do is shown, and asked about.

No revision is held against it: a run of any state is moved, and one that is tried again and again
would have another before two URLs are typed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from engine.client import Action, AtomicError
from engine.wire import ActionAnswer
from tui.boards import Cell
from tui.sanitize import clean
from tui.targets import Target

if TYPE_CHECKING:
    from tui.acting import Acting
    from tui.app import Dashboard

FROM, TO = "retarget-from", "retarget-to"
"""What the line at the foot is then asking for."""
STEPS_SHOWN = 6


class Retargeting:
    """See the head of this file."""

    def __init__(self, app: Dashboard, acting: Acting) -> None:
        self._app, self._acting = app, acting
        self._targets: Sequence[Target] = ()
        self._filter: str | None = None
        self._from = ""

    def begin(self, targets: Sequence[Target], q: str | None = None) -> None:
        """Ask from where. `q`: of all that this filter finds, and not of the targets."""
        self._targets, self._filter = targets, q
        tree = self._app.store.trees.get(targets[0].run_id) if targets and q is None else None
        root = None if tree is None else tree.steps.get(tree.run.id)
        self._app.prompt.open(FROM, "" if root is None else root.url)

    def entered(self, kind: str, text: str) -> None:
        """One of the two was typed to its end."""
        url = text.strip()
        if kind == FROM and url:
            self._from = url
            self._app.prompt.open(TO, url)
            return
        self._app.close_prompt()
        if not url or url == self._from:
            self._app.flash("retarget: nothing was done, both URLs are needed and differ", "alarm")
            return
        urls = (self._from, url)
        if self._filter is not None:
            self._acting.many.bulk(Action.RETARGET, self._filter, urls)
        else:
            targets = list(self._targets)
            work = partial(self._plan, targets, urls)
            self._acting.asking.begin(Action.RETARGET, (targets, urls), work)

    async def _plan(self, targets: list[Target], urls: tuple[str, str]) -> None:
        """Ask the engine what would go along, and then whether it is to be done."""
        client = self._app.client
        assert client is not None
        plans: list[tuple[Target, ActionAnswer]] = []
        refused: list[str] = []
        for target in targets:
            try:
                answer = await client.operate.act(
                    target.run_id, Action.RETARGET, dry_run=True, from_url=urls[0], to_url=urls[1]
                )
                plans.append((target, clean(answer)))
            except (AtomicError, ValueError) as error:
                refused.append(f"{target.name}: {error}")
        if not plans:
            self._app.flash(refused[0], "alarm")
            return
        lines = _lines(plans, refused, clean(urls))
        if len(plans) == 1:
            target = plans[0][0]
            then = partial(self._acting.act_and_tell, Action.RETARGET, target, urls)
        else:
            chosen = [target for target, _ in plans]
            then = partial(self._acting.many.march, Action.RETARGET, chosen, urls)
        self._acting.asking.ask("Retarget?", lines, None, then)


def _lines(
    plans: list[tuple[Target, ActionAnswer]], refused: list[str], urls: tuple[str, str]
) -> list[Cell]:
    """What would go along."""
    name = plans[0][0].name if len(plans) == 1 else f"{len(plans):,} runs"
    moved = [step for _, plan in plans for step in plan.moved]
    lines: list[Cell] = [(name, "strong")]
    lines += [(("from ", "dim"), (urls[0], "plain")), (("to   ", "dim"), (urls[1], "plain"))]
    count = f"{len(moved):,} step{'s' * (len(moved) != 1)}"
    if moved:
        lines.append((f"{count} would be moved, and what is posted from now on", "plain"))
    else:
        lines.append(("no step of it is there: it is for what is posted from now on", "plain"))
    for step in moved[:STEPS_SHOWN]:
        lines.append((f"  {step.step_name} → {step.to}", "dim"))
    if len(moved) > STEPS_SHOWN:
        lines.append((f"  … and {len(moved) - STEPS_SHOWN:,} more", "dim"))
    if refused:
        lines.append((f"left alone: {len(refused):,}, as {refused[0]}", "alarm"))
    lines.append(("Attempts in flight go on where they are.", "dim"))
    return lines
