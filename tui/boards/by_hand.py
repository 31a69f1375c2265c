"""What people did in the place of a step's endpoint, or of who posted it: in words."""

from __future__ import annotations

from collections.abc import Iterator

from engine.wire import RepairRow
from tui.boards.cells import Part, Seen
from tui.boards.looks import SHAPES
from tui.data.model import Step, ms_of
from tui.text import fmt

WORDS = {"set-result": "result set", "skip": "skipped", "rerun": "other payload"}
SHOWN_MAX = 3


def hand_text(repair: RepairRow) -> str:
    """`result set by ana`."""
    return f"{WORDS.get(repair.act, repair.act)} by {repair.actor or 'somebody'}"


def hand_sign(step: Step) -> Part:
    """Before the name of a step that stands as it does by a person's hand; else nothing."""
    return (f"{SHAPES.by_hand} ", "paused") if step.by_hand is not None else ("", "plain")


def hand_note(step: Step) -> Part:
    """The same behind its name: what was done, and by whom."""
    repair = step.by_hand
    return ("", "plain") if repair is None else (f"  {hand_text(repair)}", "paused")


def repairs_told(step: Step, seen: Seen) -> Iterator[tuple[str, str, str]]:
    """All of them, the latest first, each with when and why."""
    label = "hand"
    for repair in step.repairs[: -SHOWN_MAX - 1 : -1]:
        at = ms_of(repair.at)
        when = "" if at is None else f", {fmt.moment(at, seen.now_ms, seen.zone)}"
        why = f": {repair.reason}" if repair.reason else ""
        yield label, f"{hand_text(repair)}{when}{why}", "paused"
        label = ""
    if len(step.repairs) > SHOWN_MAX:
        yield "", f"… and {len(step.repairs) - SHOWN_MAX} before", "dim"
