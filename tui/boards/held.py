"""What is held, in the words of `atomic holds`, and the command that lets it start again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from engine.shown.holds import held_text, hold_name, release_command, released_text
from engine.wire import HoldRow
from tui.data.holds import Holds, covers
from tui.data.model import Run, Step, ms_of
from tui.data.tree import Tree
from tui.text import fmt
from tui.text.sanitize import clip, width

NAME_CELLS = 24
"""So much of a name stands in the top line."""


def hold_text(row: HoldRow, now_ms: float, zone: tzinfo | None = None) -> str:
    """A hold in one line: what, since when, by whom, why, and how much waits."""
    what = hold_name(row.kind, row.name)
    waits = ""
    if row.waiting is not None:
        waits = f"; {fmt.count(row.waiting)} step{'' if row.waiting == 1 else 's'} waiting"
    if row.released_at is not None:
        return released_text(what, _when(row.released_at, now_ms, zone), row.rate_per_s) + waits
    return held_text(what, _when(row.since, now_ms, zone), row.actor, row.reason) + waits


def holds_in_list(rows: Sequence[HoldRow]) -> str:
    """The same of all on something where there is less room: who, and why, of the first."""
    first, more = rows[0], len(rows) - 1
    told = f"held by {first.actor}" + (f" and {more} more" if more else "")
    return told + (f": {first.reason}" if first.reason else "")


def way_out(row: HoldRow) -> str:
    """The command that ends it; empty: it is released already."""
    return "" if row.released_at is not None else release_command(row.kind, row.name)


def holds_over_row(run: Run, holds: Holds) -> list[HoldRow]:
    """What keeps attempts of a run from starting, as far as its row in a list tells."""
    if run.ended:
        return []
    return holds.over(run.client, run.workflow, "" if run.at is None else run.at.url)


def holds_over(tree: Tree, holds: Holds) -> list[HoldRow]:
    """What keeps steps of a run from starting, or lets go of them: what was told with it while
    any waits, and what the status tells."""
    if not tree.holds and not holds.in_force:
        return []  # mostly
    found = {(row.kind, row.name): row for row in tree.holds}
    if all(step.held_since is None for step in tree.steps.values()):
        found = {}  # those were of before
    for step in tree.steps.values():
        if not step.ended:
            its = holds.over(tree.run.client, tree.run.workflow, step.url)
            found.update(((hold.kind, hold.name), hold) for hold in its)
    return [found[key] for key in sorted(found)]


def holds_on(step: Step, tree: Tree, holds: Holds) -> list[HoldRow]:
    """Those of them that are on a step; of a run's own step all."""
    found = holds_over(tree, holds)
    if step.id == tree.run.id or step.ended:
        return [] if step.ended else found
    run = tree.run
    return [row for row in found if covers(row, run.client, run.workflow, step.url)]


def in_short(holds: Holds, now_ms: float, zone: tzinfo | None, cells: int) -> str:
    """What is held, since when and by whom, and how much waits, as much of it as there are cells
    for; of several how many there are, and the latest. Empty: nothing is held."""
    held = sorted(holds.in_force, key=lambda row: ms_of(row.since) or 0)
    if not held:
        return ""
    last, count = held[-1], f"{fmt.count(len(held))} holds"
    since, who = _when(last.since, now_ms, zone), clip(last.actor, NAME_CELLS)
    if len(held) > 1:
        told = [f"{count}, the last since {since} by {fmt.without_machine(who)}", count]
    else:
        waits = f", {fmt.count(last.waiting)} waiting" if last.waiting else ""
        what = hold_name(last.kind, clip(last.name, NAME_CELLS))
        short = f"since {since} by {fmt.without_machine(who)}"
        told = [
            f"held: {what} since {since} by {who}{waits}",
            f"held: {what} {short}{waits}",
            f"held {short}{waits}",
            f"held {short}",
            f"1 hold{waits}",
        ]
    return next((text for text in told if width(text) <= cells), told[-1])


def _when(time: str, now_ms: float, zone: tzinfo | None) -> str:
    at = ms_of(time)
    return time if at is None else fmt.moment(at, now_ms, zone)
