"""Moving runs to other URLs: from which and to which is asked for at the foot, then what the engine
says it would do is shown, and asked about.

No revision is asked for: a run of any state is moved, and one that is tried again and again
would have another before two URLs are typed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from engine.client import Action, AtomicError
from engine.wire import ActionAnswer
from tui.act.change.ask import Asking
from tui.act.change.bulk import Many
from tui.act.change.doing import Doing
from tui.act.change.drafts import KEPT, Act, Drafts, act_of
from tui.act.change.targets import Given, Target
from tui.act.stage import Stage
from tui.boards.cells import Cell
from tui.text.sanitize import clean

STEPS_SHOWN = 6


class Retargeting:
    """See the head of this file."""

    def __init__(
        self, stage: Stage, doing: Doing, asking: Asking, many: Many, drafts: Drafts
    ) -> None:
        self._stage, self._doing, self._asking, self._many = stage, doing, asking, many
        self._drafts = drafts

    def begin(self, targets: Sequence[Target], q: str | None = None) -> None:
        """Ask from where. `q`: of all that this filter finds, and not of the targets."""
        tree = self._stage.store.trees.get(targets[0].run_id) if targets and q is None else None
        root = None if tree is None else tree.steps.get(tree.run.id)
        act = act_of("retarget", targets) if q is None else Act("retarget", q)
        then = partial(self._ask_to, act, targets, q)
        self._drafts.line(act, "retarget-from", then, "" if root is None else root.url)

    def _ask_to(self, act: Act, targets: Sequence[Target], q: str | None, text: str) -> None:
        """Ask to where."""
        begin = text.strip()
        then = partial(self._between, act, targets, q, begin)
        if begin:
            self._drafts.line(act, "retarget-to", then, begin)
        else:
            then("")

    def _between(
        self, act: Act, targets: Sequence[Target], q: str | None, begin: str, text: str
    ) -> None:
        """Both are known."""
        url = text.strip()
        if not url or url == begin:
            told = "retarget: nothing was done, both URLs are needed and differ"
            self._stage.tell(told, "alarm")
            return
        urls = {"from_url": begin, "to_url": url}
        if q is not None:
            self._many.bulk(Action.RETARGET, q, urls, partial(self._drafts.done, act))
        else:
            work = partial(self._plan, act, list(targets), urls)
            self._asking.begin(Action.RETARGET, (list(targets), urls), work)

    async def _plan(self, act: Act, targets: list[Target], urls: Given) -> None:
        """Ask the engine what would go along, and then whether it is to be done."""
        client = self._stage.client
        assert client is not None
        plans: list[tuple[Target, ActionAnswer]] = []
        refused: list[str] = []
        for target in targets:
            try:
                answer = await client.operate.act(
                    target.run_id, Action.RETARGET, dry_run=True, **urls
                )
                plans.append((target, clean(answer)))
            except (AtomicError, ValueError) as error:
                refused.append(f"{target.name}: {error}")
        if not plans:
            self._stage.tell(f"{refused[0]} · {KEPT}", "alarm")
            return
        done = partial(self._drafts.done, act)
        lines = _lines(plans, refused, clean(urls["from_url"]), clean(urls["to_url"]))
        if len(plans) == 1:
            target = plans[0][0]
            then = partial(self._doing.act_and_tell, Action.RETARGET, target, urls, done)
        else:
            chosen = [target for target, _ in plans]
            then = partial(self._many.march, Action.RETARGET, chosen, urls, done)
        self._asking.ask("Retarget?", lines, then)


def _lines(
    plans: list[tuple[Target, ActionAnswer]], refused: list[str], begin: str, to: str
) -> list[Cell]:
    """What would go along."""
    name = plans[0][0].name if len(plans) == 1 else f"{len(plans):,} runs"
    moved = [step for _, plan in plans for step in plan.moved]
    lines: list[Cell] = [(name, "strong")]
    lines += [(("from ", "dim"), (begin, "plain")), (("to   ", "dim"), (to, "plain"))]
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
