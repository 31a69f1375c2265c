"""Causes for people: why runs need a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli.show.lists import table
from engine.cli.show.text import clock_text, count_text, safe
from engine.cli.show.tree import answer_facts, note_text
from engine.shown import said

if TYPE_CHECKING:
    from engine.wire import CauseList, CauseRow, DismissalRow


def cause_lines(causes: tuple[CauseRow, ...]) -> list[str]:
    """Causes as a table with the latest run's reason; below a row what all of its have in common,
    where that is less."""
    head = ["RUNS", "NEW", "CAUSE", "WORKFLOW", "STEP", "LAST", ""]
    rows = [
        [
            f"{it.runs:,}",
            f"{it.new_runs:,}",
            safe(it.cause),
            safe(it.workflow_name),
            "" if it.at is None else safe(it.at.name),
            clock_text(it.last_at),
            _why(it),
        ]
        for it in causes
    ]
    first, *lines = table([head, *rows])
    pairs = zip(lines, causes, strict=True)
    return [first, *(each for pair in pairs for each in _with_more(*pair))]


def _with_more(line: str, it: CauseRow) -> list[str]:
    told = None if it.reason is None else it.reason.excerpt
    differs = it.pattern is not None and it.pattern != told
    return [
        line,
        *([f"    all of them: {safe(it.pattern)}"] if differs else []),
        *([f"    {dismissal_text(it.dismissal)}"] if it.dismissal is not None else []),
        *(f"    {note_text(note)}" for note in it.notes),
    ]


def dismissal_text(it: DismissalRow) -> str:
    """A dismissal in one line, and what came of it."""
    when, who = clock_text(it.at), safe(it.actor)
    return said.dismissal_text(when, who, safe(it.reason), came_again=it.came_again)


def dismissed_text(found: CauseList, *, listed: bool) -> str:
    """What to say of those that are dismissed, behind how many causes there are."""
    if not found.dismissed_causes:
        return ""
    runs = count_text(found.dismissed_runs, "run")
    if listed:
        return f"; of these dismissed: {runs}, {count_text(found.dismissed_causes, 'cause')}"
    what = count_text(found.dismissed_causes, "cause")
    return f"; dismissed: {runs}, {what} (--dismissed lists them too)"


def _why(it: CauseRow) -> str:
    told = ", ".join(answer_facts(it.reason)) if it.reason is not None else ""
    if it.status == "failed":
        return told or "failed"
    return f"paused after {told}" if told else "paused"
