"""What `atomic demo` prints: a line for each event worth reading, totals, promised effects.

No I/O: events and figures go in, lines come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from msgspec.structs import replace

from engine.cli_show import (
    at,
    count_text,
    run_tree_lines,
    safe,
    span_text,
    state_text,
    step_label,
    table,
    unicode_terminal,
)
from engine.core.model import ENDED, StepState

if TYPE_CHECKING:
    from demo_app.promised import Row
    from demo_app.scenario import Submission
    from engine.client import Event
    from engine.wire import RunTree

KEY_WIDTH = 9
NAME_WIDTH = 15
DELAY_BY = {
    "policy": "policy",
    "retry-after": "Retry-After",
    "interrupted": "interrupted",
    "child-ended": "a step below has ended",
}
FAULTS = {"drop": "cut connection", "hang": "no answer", "crash": "crash"}


class RunSeen(NamedTuple):
    """A run that was seen to be submitted."""

    id: str
    workflow: str
    key: str
    submitted_at: str


class EventLog:
    """Turns events into lines, and remembers which runs are open."""

    def __init__(self, submissions: Mapping[str, Submission]) -> None:
        self.runs: dict[str, RunSeen] = {}
        self.states: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        """Runs by state, as the engine last said."""
        self.completed: list[RunSeen] = []
        """Runs that have completed and that nobody has looked at yet."""
        self._names: dict[str, str] = {}
        self._submissions = submissions

    @property
    def open_runs(self) -> int:
        """Runs that go on by themselves: neither ended nor paused."""
        resting = {*ENDED, StepState.PAUSED}
        return sum(state not in resting for state in self.states.values())

    def line(self, event: Event) -> str | None:
        """The event's line, or None when it is not worth one."""
        if event.data.counts is not None:
            self.counts = event.data.counts
        if event.kind not in ("run", "step", "attempt"):
            return None
        root = event.data.step_id == event.data.run_id
        match event.data.kind:
            case "accepted":
                text = self._accepted(event, root=root)
            case "attempt-ended":
                text = attempt_end_text(event, root=root)
            case "run-moved":
                text = self._moved(event)
            case "paused":
                text = f"{state_text('paused')} ({safe(event.data.reason)})"
            case "cancelled":
                text = None if root else state_text("cancelled")
            case "resumed":
                text = "resumed"
            case "acted":
                text = f"an operator's {safe(event.members.get('action'))}"
            case "reopened":
                text = "opened again"
            case _:
                text = None
        return text and self._line(event, text)

    def _line(self, event: Event, text: str) -> str:
        run = self.runs.get(event.data.run_id or "")
        key = run.key if run else (event.data.run_id or "")[-KEY_WIDTH:]
        name = self._names.get(event.data.step_id or "", "")
        return log_line(event.data.at or "", key, name, text)

    def _accepted(self, event: Event, *, root: bool) -> str | None:
        spec = event.members["spec"]
        step_id, run_id = event.data.step_id or "", event.data.run_id or ""
        if not root:
            self._names[step_id] = step_label(spec["name"], spec["stepKey"])
            return None
        self._names[step_id] = spec["workflow"]
        self.runs[run_id] = RunSeen(run_id, spec["workflow"], spec["key"], event.data.at or "")
        self.states[run_id] = StepState.PENDING
        submission = self._submissions.get(spec["key"])
        planned = 0 if submission is None else len(submission.payload.get("faults", {}))
        return "submitted" + (f", {count_text(planned, 'step')} will meet faults" if planned else "")

    def _moved(self, event: Event) -> str | None:
        run_id, state = event.data.run_id or "", str(event.members.get("state"))
        self.states[run_id] = state
        run = self.runs.get(run_id)
        if run is None or state not in {*ENDED, StepState.PAUSED}:
            return None
        if state == StepState.COMPLETED:
            self.completed.append(run)
        took = (at(event.data.at or "") - at(run.submitted_at)).total_seconds()
        return f"{state_text(state)}: the run, after {span_text(took)}"


def log_line(time: str, key: str, name: str, text: str) -> str:
    """A line of the log: time of day (UTC), the run's key, the step, what has happened."""
    return f"{time[11:19]:<8}  {safe(key):<{KEY_WIDTH}}  {safe(name):<{NAME_WIDTH}}  {text}"


def attempt_end_text(event: Event, *, root: bool) -> str | None:
    """How an attempt ended, and what follows: `try 3 → 404, next in 800 ms (policy)`."""
    data, more = event.data, event.members
    if more.get("countsAs") == "success":
        tries = f", try {data.number}" if data.number != 1 else ""
        # Of a root the run's own line says so.
        return None if root else f"{state_text('completed')}{tries}"
    arrow = "→" if unicode_terminal() else "->"
    what = str(data.http_status) if data.http_status is not None else safe(data.error or "?")
    text = f"try {data.number} {arrow} {what}"
    state, delay_ms = more.get("state"), more.get("delayMs", 0)
    by = DELAY_BY.get(more.get("delayBy", ""), safe(more.get("delayBy", "")))
    if state == StepState.BACKING_OFF:
        return f"{text}, next in {delay_text(delay_ms)} ({by})"
    if state == StepState.WAITING:
        return f"{text}, waits for a step below"
    return f"{text}, {state_text(safe(state))}"


def delay_text(delay_ms: float) -> str:
    """`800 ms`, `2 s`."""
    return f"{delay_ms:g} ms" if delay_ms < 1000 else span_text(delay_ms / 1000)


def faults_text(plan: Iterable[str]) -> str:
    """A plan of faults for people: `404, cut connection, Retry-After 1 s`."""
    said = []
    for fault in plan:
        kind, _, number = fault.partition(":")
        match kind:
            case "slow":
                said.append(f"slow by {delay_text(int(number))}")
            case "retry-after":
                said.append(f"503 with Retry-After: {number}")
            case _:
                said.append(FAULTS.get(kind, kind))
    return ", then ".join(said)


def submission_lines(submission: Submission) -> list[str]:
    """Which workflow, and what its steps will meet."""
    lines = [f"{submission.workflow}, key {submission.key}"]
    faults = submission.payload.get("faults", {})
    rows = [[f"    {step}", faults_text(plan)] for step, plan in faults.items()]
    return lines + (table(rows) if rows else ["    no faults; its card is declined"])


def tree_lines(tree: RunTree) -> list[str]:
    """The run as a tree; the attempts of the steps that needed several."""
    steps = tuple(
        step if step.attempts > 1 else replace(step, attempt_rows=()) for step in tree.steps
    )
    return run_tree_lines(replace(tree, steps=steps), attempts=True)


def totals_line(counts: Mapping[str, int], effects: int, lost: int, doubled: int, mails: int) -> str:
    """How it stands: runs by state, effects of completed runs, mails."""
    states = [f"{number:,} {state}" for state, number in counts.items() if number]
    return click.style(
        f"-- runs: {', '.join(states) or 'none'}; effects of completed runs: {effects:,},"
        f" {lost:,} lost, {doubled:,} doubled; {count_text(mails, 'mail')}",
        bold=True,
    )


def effects_table(rows: Iterable[Row], *, by_run: bool) -> list[str]:
    """Promised against counted: a line for each effect of each run, or of each workflow."""
    sums: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        group = row.key if by_run else row.workflow
        entry = sums.setdefault((group, row.effect.partition("/")[0]), [0, 0, 0, 0])
        for i, number in enumerate((row.promised, row.counted, row.lost, row.doubled)):
            entry[i] += number
    head = ["RUN" if by_run else "WORKFLOW", "EFFECT", "PROMISED", "COUNTED", ""]
    lines, before = [head], ""
    for (group, effect), (promised, counted, lost, doubled) in sums.items():
        marks = [f"{lost:,} LOST"] * bool(lost) + [f"{doubled:,} DOUBLED"] * bool(doubled)
        shown = group if group != before else ""
        numbers = [f"{promised:>8,}", f"{counted:>7,}"]
        lines.append([safe(shown), safe(effect), *numbers, ", ".join(marks)])
        before = group
    return table(lines)


def verdict(rows: Iterable[Row], unexpected: Iterable[str]) -> tuple[bool, list[str]]:
    """Whether every promise was kept, and the last lines, which say so or what differs."""
    lost = doubled = 0
    for row in rows:
        lost, doubled = lost + row.lost, doubled + row.doubled
    lines = [*unexpected]
    well = not (lost or doubled or lines)
    if lost or doubled:
        last = f"{count_text(lost, 'effect')} lost, {doubled:,} doubled"
    else:
        last = "no effect lost, none doubled"
    if lines:
        last += f"; {count_text(len(lines), 'run')} not as expected"
    return well, [*lines, click.style(last, fg="green" if well else "red", bold=True)]


def response_text(response: Any, width: int) -> str:
    """The workflow's answer in one line of at most `width` characters."""
    from engine.cli_show import json_text

    import msgspec

    text = json_text(msgspec.json.encode(response), indent=-1)
    return text if len(text) <= width else text[: width - 2] + ".."
