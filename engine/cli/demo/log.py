"""What `atomic demo` prints: a line for each event worth reading, totals, promised effects.

No I/O: events and figures go in, lines come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from engine.cli.show.lists import table
from engine.cli.show.text import (
    count_text,
    json_text,
    safe,
    span_text,
    state_text,
    time_of,
    unicode_terminal,
)
from engine.cli.show.tree import run_tree_lines
from engine.core.model import ENDED, DelayBy, StepState
from engine.wire import ENGINE_CRASHED, ENGINE_STOPPED, CallError, Failure, FailureKind, step_label
from engine.wire.events import (
    Accepted,
    Acted,
    AttemptEnded,
    Cancelled,
    Counts,
    Fact,
    Paused,
    Reopened,
    Resumed,
    RunMoved,
    Spec,
)

if TYPE_CHECKING:
    from demo_app.promised import Row
    from demo_app.scenario import Submission
    from engine.client import Event
    from engine.wire import AttemptRow, RunTree, StepRow

KEY_WIDTH = 10
NAME_WIDTH = 17
STEP_INDENT = "  "
WIDE_STEPS = 30
"""Up to so many steps of a run have a line each when they complete."""
DELAY_BY: dict[str, str] = {DelayBy.POLICY: "policy", DelayBy.RETRY_AFTER: "Retry-After"}
ERRORS: dict[str, str] = {
    CallError.CONNECTION_REFUSED: "refused",
    CallError.CONNECTION_LOST: "cut off",
    CallError.ATTEMPT_TIMEOUT: "timeout",
    ENGINE_CRASHED: "engine crash",
    ENGINE_STOPPED: "engine stop",
}
"""Errors of an attempt, short enough for a log of 80 columns; others are shown by their name."""
FAULTS = {
    "drop": "does its work, then cuts the connection",
    "crash": "does its work, then the whole application dies",
    "hang": "never answers",
}


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
        self._steps: dict[str, int] = {}
        self._submissions = submissions

    def _is_wide(self, fact: Fact) -> bool:
        """Its run has so many steps that a line for each success would bury the others."""
        return self._steps.get(fact.run_id, 0) > WIDE_STEPS

    @property
    def open_runs(self) -> int:
        """Runs that go on by themselves: neither ended nor paused."""
        resting = {*ENDED, StepState.PAUSED}
        return sum(state not in resting for state in self.states.values())

    def line(self, event: Event) -> str | None:
        """The event's line, or None when it is not worth one."""
        fact = event.data
        if isinstance(fact, Counts):
            self.counts = fact.counts
        if not isinstance(fact, Fact):
            return None
        root = fact.step_id == fact.run_id
        match fact:
            case Accepted():
                text = self._accepted(fact, root=root)
            case AttemptEnded(counts_as="success") if self._is_wide(fact) and not root:
                text = None
            case AttemptEnded():
                text = attempt_end_text(fact, root=root)
            case RunMoved():
                text = self._moved(fact)
            case Paused(reason=reason):
                text = f"{state_text('paused')} ({safe(reason)})"
            case Cancelled():
                text = None if root else state_text("cancelled")
            case Resumed():
                text = "resumed"
            case Acted(action=action):
                text = f"an operator's {safe(action)}"
            case Reopened():
                text = "opened again"
            case _:
                text = None
        return text and self._line(fact, text)

    def _line(self, fact: Fact, text: str) -> str:
        run = self.runs.get(fact.run_id)
        key = run.key if run else fact.run_id[-KEY_WIDTH:]
        return log_line(fact.at, key, self._names.get(fact.step_id, ""), text)

    def _accepted(self, fact: Accepted, *, root: bool) -> str | None:
        spec = fact.spec or Spec()
        if not root:
            self._names[fact.step_id] = STEP_INDENT + step_label(spec.name, spec.step_key)
            self._steps[fact.run_id] = steps = self._steps.get(fact.run_id, 0) + 1
            if steps != WIDE_STEPS + 1:
                return None
            return f"more than {WIDE_STEPS} steps: from here only failures have lines"
        self._names[fact.step_id] = spec.workflow
        self.runs[fact.run_id] = RunSeen(fact.run_id, spec.workflow, spec.key, fact.at)
        self.states[fact.run_id] = StepState.PENDING
        submission = self._submissions.get(spec.key)
        planned = 0 if submission is None else len(submission.payload.get("faults", {}))
        return "submitted" + (
            f", {count_text(planned, 'step')} to fail at first" if planned else ""
        )

    def _moved(self, fact: RunMoved) -> str | None:
        state = fact.state
        self.states[fact.run_id] = state
        run = self.runs.get(fact.run_id)
        if run is None or state not in {*ENDED, StepState.PAUSED}:
            return None
        if state == StepState.COMPLETED:
            self.completed.append(run)
        took = (time_of(fact.at) - time_of(run.submitted_at)).total_seconds()
        glyph, _, word = state_text(state).partition(" ")
        return f"{glyph} run {word} after {span_text(max(took, 0.0))}"


def log_line(time: str, key: str, name: str, text: str) -> str:
    """A line of the log: time of day (UTC), the run's key, the step, what has happened."""
    return f"{time[11:19]:<8} {safe(key):<{KEY_WIDTH}}  {safe(name):<{NAME_WIDTH}} {text}"


def attempt_end_text(ended: AttemptEnded, *, root: bool) -> str | None:
    """How an attempt ended, and what follows: `try 3 → 404, next in 800 ms (policy)`."""
    tried = f"try {ended.number}"
    if ended.counts_as == "success":
        # Of a root the run's own line says so.
        tries = f" at {tried}" if ended.number != 1 else ""
        return None if root else f"{state_text('completed')}{tries}"
    state, by, failure = ended.state, ended.delay_by or "", Failure.parse(ended.error)
    if failure.kind is FailureKind.SUSPENDED:
        return f"{tried} suspended" + (" until a step ends" if state == StepState.WAITING else "")
    arrow = "→" if unicode_terminal() else "->"
    text = f"{tried} {arrow} {_short_failure(ended.http_status, failure)}"
    if state == StepState.BACKING_OFF:
        why = f" ({DELAY_BY[by]})" if by in DELAY_BY else ""
        return f"{text}, next in {span_text((ended.delay_ms or 0) / 1000)}{why}"
    if state == StepState.WAITING:
        return f"{text}, waits for a step"
    return f"{text}, {state_text(safe(state))}"


def _short_failure(http_status: int | None, failure: Failure) -> str:
    """The status that was answered, else how it failed."""
    if http_status is not None:
        return str(http_status)
    word = failure.inner.word
    return ERRORS.get(word, safe(word) or "interrupted")


def fault_text(fault: str) -> str:
    """A planned fault for people: `answers 404`, `takes 300 ms`."""
    kind, _, number = fault.partition(":")
    match kind:
        case "slow":
            return f"takes {span_text(int(number) / 1000)}"
        case "retry-after":
            return f"answers 503 with Retry-After: {number}"
        case _ if kind.isdecimal():
            return f"answers {kind}"
    return FAULTS.get(kind, kind)


def submission_lines(number: int, submission: Submission) -> list[str]:
    """Which workflow, and what its steps are planned to meet."""
    title = f"{number}. {submission.workflow}, key {submission.key}"
    if submission.expect == "declined":
        title += ": the card will be declined, for good"
    rows = []
    for step, plan in submission.payload.get("faults", {}).items():
        shown = f"   {step}"
        for fault, same in groupby(plan):  # the same fault several times is said once
            times = len(list(same))
            rows.append([shown, fault_text(fault) + (f", {times} times" if times > 1 else "")])
            shown = ""
    return [click.style(title, bold=True), *(table(rows) if rows else [])]


def tree_lines(tree: RunTree) -> list[str]:
    """The run as a tree; the attempts of the steps that needed several, their errors short."""
    steps = tuple(
        replace(step, error=_short(step.error), attempt_rows=_attempts_shown(step))
        for step in tree.steps
    )
    return run_tree_lines(replace(tree, steps=steps), attempts=True)


def _attempts_shown(step: StepRow) -> tuple[AttemptRow, ...]:
    if step.attempts < 2 or step.attempt_rows is UNSET:
        return ()
    return tuple(replace(row, error=_short(row.error)) for row in step.attempt_rows)


def _short(error: str | None) -> str | None:
    """Without the detail, which repeats the application's address every time."""
    failure = Failure.parse(error)
    is_short = not error or failure.kind is FailureKind.HTTP_STATUS
    return error if is_short else failure.inner.word


def totals_line(
    counts: Mapping[str, int], effects: int, lost: int, doubled: int, mails: int
) -> str:
    """How it stands: runs by state, effects of completed runs, mails."""
    names = sorted(counts, key=lambda state: state != StepState.COMPLETED)
    states = [f"{counts[state]:,} {state}" for state in names if counts[state]]
    return click.style(
        f"-- runs: {', '.join(states) or 'none'} -- effects: {effects:,}, {lost:,} lost,"
        f" {doubled:,} doubled -- {count_text(mails, 'mail')}",
        bold=True,
    )


def effects_table(rows: Iterable[Row], *, by_run: bool) -> list[str]:
    """Promised against counted: a line for each effect of each run, or of each workflow."""
    groups: dict[str, dict[str, list[int]]] = {}
    for row in rows:
        effects = groups.setdefault(row.key if by_run else row.workflow, {})
        sums = effects.setdefault(row.effect.partition("/")[0], [0, 0, 0, 0])
        for i, number in enumerate((row.promised, row.counted, row.lost, row.doubled)):
            sums[i] += number
    lines = [["RUN" if by_run else "WORKFLOW", "EFFECT", "PROMISED", "COUNTED", ""]]
    for group, effects in groups.items():
        shown = safe(group)
        for effect, (promised, counted, lost, doubled) in effects.items():
            marks = [f"{lost:,} LOST"] * bool(lost) + [f"{doubled:,} DOUBLED"] * bool(doubled)
            numbers = [f"{promised:>8,}", f"{counted:>7,}"]
            lines.append([shown, safe(effect), *numbers, ", ".join(marks)])
            shown = ""
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
    text = json_text(msgspec.json.encode(response), indent=-1)
    return text if len(text) <= width else text[: width - 2] + ".."
