"""The line above a run: what it is, how it stands and since when, why, whose it is, and how many
others need a person for the same reason."""

from __future__ import annotations

from engine.shown import times
from engine.wire import Failure
from tui.boards.cells import STILL_IN_FLIGHT, Part, Piece, run_state_cell, step_state_cell, why_text
from tui.boards.rest import began_at
from tui.data.model import STUCK, State, short_id
from tui.data.store import Store
from tui.data.tree import Tree, at_fault, in_flight_still
from tui.text.sanitize import clip, width

WHOSE_CELLS = 40
"""The most that client and key take."""


def headline(
    store: Store, tree: Tree | None, cells: int, as_of_ms: float | None = None
) -> tuple[list[Piece], list[Piece]]:
    """The pieces from the left on, which are cut where there is no room, and those at the right.
    `as_of_ms`: the moment that the run is shown at, if that is not now."""
    if tree is None:
        return [], []
    run, now_ms = tree.run, store.time.now_ms() if as_of_ms is None else as_of_ms
    told, style = state_of(tree)
    pieces = [Piece(f" {run.workflow} {short_id(run.id)}  ", "strong"), Piece(told, style)]
    if since := since_text(tree, now_ms):
        pieces.append(Piece(f" {since}", "plain"))
    if (step := at_fault(tree)) is not None and step.error is not None:
        why = why_text(step.http_status, step.error, step.excerpt)
        pieces.append(Piece(" · ", "dim"))
        pieces.append(Piece(f"{step.label}: {why}", str(step.state)))
    whose = clip(f"{run.client} / {run.key}", min(WHOSE_CELLS, cells // 3), middle=True)
    right = [Piece(f"  {whose} ", "dim")]
    if as_of_ms is None and (others := alike(store, tree)):
        right.append(Piece(f"· {others:,} like it ", "alarm"))
    if sum(width(piece.text) for piece in (*pieces, *right)) > cells:
        right = right[1:]  # why goes before whose, which stands below, too
    return pieces, right


def state_of(tree: Tree) -> Part:
    """A run's state, and whether calls of it go on though it has ended."""
    run, root = tree.run, tree.steps.get(tree.run.id)
    told, style = run_state_cell(run)
    if root is not None and root.is_pausing and not run.ended:
        return step_state_cell(root)
    calls = len(in_flight_still(tree))
    if run.ended and calls:
        told += STILL_IN_FLIGHT if calls == 1 else f", {calls:,} calls still in flight"
    return told, style


def since_text(tree: Tree, now_ms: float) -> str:
    """`3m ago`; of what goes on `for 47s`; empty: it is not known."""
    run = tree.run
    if run.ended:
        return "" if run.ended_at is None else f"{times.span(max(0, now_ms - run.ended_at))} ago"
    if run.state in (State.RUNNING, State.WAITING, State.PENDING):
        root = tree.steps.get(run.id)
        began = run.submitted_at if root is None else began_at(root)
        return f"for {times.span(max(0, now_ms - began))}"
    step = at_fault(tree)
    ended_at = step.tries[-1].ended_at if step is not None and step.tries else None
    return "" if ended_at is None else f"{times.span(max(0, now_ms - ended_at))} ago"


def alike(store: Store, tree: Tree) -> int:
    """How many other runs need a person for the same reason, as far as the causes were read."""
    step = at_fault(tree)
    if tree.run.state not in STUCK or step is None:
        return 0
    for cause in store.causes.values():
        why = cause.reason or cause.at
        name = None if why is None else getattr(why, "step_name", None) or getattr(why, "name", "")
        if why is None or (cause.workflow, name) != (tree.run.workflow, step.name):
            continue
        if (why.http_status, _kind(why.error)) == (step.http_status, _kind(step.error)):
            return max(0, cause.runs - 1)
    return 0


def _kind(error: str | None) -> str:
    return Failure.parse(error).kind
