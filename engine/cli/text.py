"""How the command line shows things: safe text, states, the step tree, tables, JSON.

Everything that comes from the engine was written by others and goes through `safe`: a control
character in a key or an error must not move the cursor, change the terminal's title or turn the
reading direction.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from engine.signs import SIGNS, UNKNOWN_SIGN

if TYPE_CHECKING:  # wire brings msgspec along; `--help` does without
    from engine.client import Event
    from engine.wire import (
        ActionAnswer,
        AttemptRow,
        EventData,
        MoveRow,
        Reason,
        RunRow,
        RunTree,
        StepRow,
    )

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

COLOURS = {
    "pending": None,
    "running": "cyan",
    "backing-off": "yellow",
    "waiting": "blue",
    "completed": "green",
    "failed": "red",
    "cancelled": "bright_black",
    "paused": "magenta",
}
STOPPED = "engine-error"
"""Why a run is paused that the engine could not go on with: its steps do not say why."""
UNHANDLED = "unhandled-failure:"
"""How the error of an attempt begins that did not handle the failure of a step."""
NAMED_MAX = 10
MOVED_SHOWN_MAX = 20
CHANGED_SHOWN_MAX = 100
"""More steps than these are counted."""
STATE_WIDTH = max(map(len, SIGNS))
# what begins a branch, the last branch, and what goes on below each
BRANCHES = ("├─ ", "└─ ", "│  ", "   ")
BRANCHES_ASCII = ("|- ", "`- ", "|  ", "   ")
CELL_CHARACTERS_MAX = 40
LEFT_CHARACTERS_MAX = 48


def safe(text: object) -> str:
    """The text with everything that does not print (C0, C1, bidi, …) written as an escape."""
    string = str(text)
    if string.isprintable():
        return string
    return "".join(c if c.isprintable() else _escaped(c) for c in string)


def _escaped(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def ascii_only(text: str) -> str:
    """The text with escapes for what a terminal without Unicode cannot show."""
    return "".join(c if c.isascii() else _escaped(c) for c in text)


def json_text(document: bytes, *, indent: int = 2) -> str:
    """JSON for a terminal or a pipe: the same values, unprintable characters as JSON escapes."""
    import msgspec

    from engine.wire import StandIns

    try:
        text = msgspec.json.format(document, indent=indent).decode()
    except msgspec.DecodeError:  # halves of characters: they are shown as they are written
        stand_ins = StandIns(document)
        text = stand_ins.spelled(msgspec.json.format(stand_ins.text, indent=indent).decode())
    # A raw line break stands between tokens only, so what is left to escape is inside strings.
    lines = "\n".join(safe(line) for line in text.split("\n"))
    return lines if unicode_terminal() else ascii_only(lines)


def echo_json(value: Any) -> None:
    """Print a wire struct or plain value as JSON."""
    import msgspec

    click.echo(json_text(msgspec.json.encode(value)))


def unicode_terminal() -> bool:
    """Whether the output can show what the tree is drawn with."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        ("├─" + "".join(sign for sign, _ in SIGNS.values())).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return os.environ.get("TERM") != "dumb"


def state_text(state: str, *, width: int = 0) -> str:
    """Glyph and word of a state: never the colour alone."""
    sign, plain = SIGNS.get(state, UNKNOWN_SIGN)
    shown = sign if unicode_terminal() else plain
    return click.style(f"{shown} {safe(state):<{width}}", fg=COLOURS.get(state))


def at(time: str) -> datetime:
    """A time of the wire. Raises ValueError."""
    return datetime.fromisoformat(time)


def clock_text(time: str) -> str:
    """A time of the wire for people: `2026-11-23 12:00:00Z`."""
    try:
        return f"{at(time):%Y-%m-%d %H:%M:%S}Z"
    except ValueError:
        return safe(time)


def span_text(seconds: float) -> str:
    """A duration for people: `120 ms`, `1.2 s`, `14 s`, `2 m 5 s`, `3 h 20 m`, `2 d 4 h`."""
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, unit, rest_size, rest in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // rest_size} {rest}"
    return f"{whole // 60} m {whole % 60} s"


def until_text(due_at: str, now: str) -> str:
    """`in 14 s`, or `now` when the time has come."""
    left = (at(due_at) - at(now)).total_seconds()
    return f"in {span_text(left)}" if left > 0 else "now"


def count_text(number: int, what: str) -> str:
    """`1 step`, `2 steps`, `1,000 steps`; `1 try`, `2 tries`."""
    many = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{number:,} {what if number == 1 else many}"


def run_tree_lines(tree: RunTree, *, attempts: bool = False) -> list[str]:
    """A run as a tree of lines: state, name, tries, and when the next try is."""
    from engine.wire import step_label

    run = tree.run
    lines = [
        f"{state_text(run.status)}  {safe(run.workflow_name)}  {safe(run.id)}",
        f"client {safe(run.client)}, key {safe(run.idempotency_key)},"
        f" submitted {clock_text(run.submitted_at)}",
    ]
    if run.pause_reason == STOPPED and run.error:
        lines.append(f"the engine could not go on with it: {safe(run.error)}")
    lines += _move_lines(tree.moves)
    known = {step.id for step in tree.steps}
    children: defaultdict[str | None, list[StepRow]] = defaultdict(list)
    for step in tree.steps:
        # A root, and a step whose parent is not among them, stand at the left.
        children[step.parent_id if step.parent_id in known else None].append(step)
    branch, last_branch, pipe, blank = BRANCHES if unicode_terminal() else BRANCHES_ASCII
    # What is known of a step stands in a column of its own; None: attempts, which have no columns.
    rows: list[tuple[str, str | None]] = []
    stack = [(step, "", "") for step in reversed(children[None])]
    while stack:
        step, first, further = stack.pop()
        below = children.pop(step.id, [])
        label = click.style(safe(step_label(step.name, step.step_key)), bold=True)
        facts = step_facts(step, tree.server_time)
        rows.append((f"{first}{state_text(step.status)}  {label}", facts))
        if attempts and step.attempt_rows:
            margin = further + (pipe if below else blank)
            rows += [
                (f"{margin}{attempt_text(row, run.submitted_at)}", None)
                for row in step.attempt_rows
            ]
        for i, child in enumerate(reversed(below)):
            head, rest = (last_branch, blank) if i == 0 else (branch, pipe)
            stack.append((child, further + head, further + rest))
    return lines + _in_columns(rows)


def _move_lines(moves: Sequence[MoveRow]) -> list[str]:
    """The latest of what moved a run to other URLs."""
    unsaid = len(moves) - MOVED_SHOWN_MAX
    lines = [f"moved {count_text(unsaid, 'time')} before"] if unsaid > 0 else []
    for move in moves[-MOVED_SHOWN_MAX:]:
        when = "" if move.at is None else f" {clock_text(move.at)}"
        lines.append(f"moved{when}: {safe(move.from_)} -> {safe(move.to)}")
    return lines


def _in_columns(rows: list[tuple[str, str | None]]) -> list[str]:
    lengths = [len(click.unstyle(left)) for left, facts in rows if facts is not None]
    # One long name must not push the facts of all the others off the screen.
    width = max((it for it in lengths if it <= LEFT_CHARACTERS_MAX), default=0)
    return [
        left if not facts else left + " " * (width - len(click.unstyle(left))) + "  " + facts
        for left, facts in rows
    ]


def step_facts(step: StepRow, now: str) -> str:
    """Tries of a step, and what else is to be known of it."""
    facts = []
    if step.attempts:
        facts.append(count_text(step.attempts, "try"))
    if step.failures and step.ended_at is None:
        used = min(
            step.failures, step.retries_max
        )  # where all are, one failure was the first try's
        facts.append(f"{used} of {count_text(step.retries_max, 'retry')} used")
    if step.generation > 1:
        facts.append(f"generation {step.generation}")
    facts += _answer_facts(step)
    if step.pause_reason and not (step.error or "").startswith(f"{step.pause_reason}:"):
        facts.append(f"paused: {safe(step.pause_reason)}")
    if step.awaiting_post:
        facts.append("starts when the workflow posts it again")
    if step.due_at is not None and step.ended_at is None and step.status != "paused":
        facts.append(f"next try {until_text(step.due_at, now)}")
    if step.ended_at is not None:
        took = (at(step.ended_at) - at(step.submitted_at)).total_seconds()
        facts.append(f"took {span_text(max(took, 0.0))}")
    return ", ".join(facts)


def _answer_facts(of: StepRow | AttemptRow | Reason | EventData) -> list[str]:
    """What the last attempt came to, and what its answer gives as the reason."""
    http_status, error = of.http_status, of.error
    facts = [] if http_status is None else [f"HTTP {http_status}"]
    excerpt = _beside_status(of)
    if error and error.startswith(UNHANDLED):  # which names the status, and the reason below
        same = f"answered {http_status} after "
        own = f"answered {http_status} ({excerpt}) after " if excerpt else same
        return [safe(error.replace(same, own, 1))]
    same = f"http-status: answered {http_status}"
    if error and (place := error.find(same)) >= 0:  # only what it says beyond the status is news
        before, beyond = error[:place], error[place + len(same) :]
        return [safe(f"{before}HTTP {http_status}{excerpt and f' {excerpt}'}{beyond}")]
    if error:
        facts.append(safe(error))
    return facts


def _beside_status(of: StepRow | AttemptRow | Reason | EventData) -> str:
    """The excerpt for a line that has the status, and goes on behind it: `502 Bad Gateway` would
    tell the number twice, and a sentence's full stop would stand before a comma."""
    text = (of.excerpt or "").removeprefix(f"{of.http_status} ")
    return text.removesuffix(".") if not text.endswith("..") else text


def attempt_text(row: AttemptRow, since: str) -> str:
    """One attempt of a step; its date only when it is not that of `since`."""
    time = row.started_at.removeprefix(f"{since[:10]}T")
    answer = ", ".join(_answer_facts(row)).removeprefix("interrupted: ")
    text = f"{safe(row.status)}: {answer}" if answer else safe(row.status)
    if row.delay_ms:
        # Of an interruption the line has just said so.
        by = f" ({safe(row.delay_by)})" if row.delay_by not in (None, "interrupted") else ""
        text += f", waited {span_text(row.delay_ms / 1000)}{by}"
    return click.style(f"try {row.number}  {safe(time)}  {text}", dim=True)


def run_note(run: RunRow) -> str:
    """What else is to be known of a run in a list."""
    facts = []
    if run.pause_reason and not (run.error or "").startswith(f"{run.pause_reason}:"):
        facts.append(safe(run.pause_reason))
    if run.due_at is not None and run.ended_at is None:
        facts.append(f"next try {clock_text(run.due_at)}")
    if run.reason is not None:
        where = "" if run.reason.step_id == run.id else f"{safe(run.reason.step_name)}: "
        facts.append(where + ", ".join(_answer_facts(run.reason)))
    elif run.error:
        facts.append(safe(run.error))
    if run.dismissed:
        facts.append("dismissed")
    return ", ".join(facts)


def run_list_lines(runs: Sequence[RunRow]) -> list[str]:
    """Runs as a table, one line each."""
    head = ["STATE", "RUN", "CLIENT", "WORKFLOW", "KEY", "STEPS", "SUBMITTED", ""]
    rows = [
        [
            state_text(run.status, width=STATE_WIDTH),
            safe(run.id),
            _cell(run.client),
            _cell(run.workflow_name),
            _cell(run.idempotency_key),
            f"{run.steps}" + (f" ({run.failed_steps} failed)" if run.failed_steps else ""),
            clock_text(run.submitted_at),
            run_note(run),
        ]
        for run in runs
    ]
    return table([head, *rows])


def _cell(text: str) -> str:
    shown = safe(text)
    return shown if len(shown) <= CELL_CHARACTERS_MAX else shown[: CELL_CHARACTERS_MAX - 2] + ".."


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell; colours count for nothing."""
    rows = list(rows)
    widths = [
        max(len(click.unstyle(cell)) for cell in column) for column in zip(*rows, strict=True)
    ]
    return [
        "  ".join(
            cell + " " * (width - len(click.unstyle(cell)))
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def status_lines(status: dict[str, Any]) -> list[str]:
    """How the engine is, from `GET /api/v1/status`; members it lacks are left out."""
    lines = [f"Atomic {safe(status.get('version', '?'))}, instance {safe(status.get('instance'))}"]
    if isinstance(started := status.get("startedAt"), str):
        lines.append(f"started {clock_text(started)}")
    counts = status.get("counts")
    if isinstance(counts, dict):
        shown = [(state_text(str(state)), number) for state, number in counts.items() if number]
        lines += [f"{text}  {number:,}" for text, number in shown] or ["no runs"]
    lines += alarm_lines(status)
    facts = [("late", "lateCount"), ("in flight", "inFlight"), ("queued", "queued")]
    lines += [f"{word} {safe(status[name])}" for word, name in facts if name in status]
    durability = status.get("durability")
    if isinstance(durability, dict):
        told = ", ".join(f"{safe(name)} {safe(value)}" for name, value in durability.items())
        lines.append(f"durability: {told}")
    return lines


def alarm_lines(status: dict[str, Any]) -> list[str]:
    """What of the engine's status an operator must see beside whatever was asked for; mostly
    nothing: it stops, its store cannot be written, a host stands still."""
    stops = ["it is stopping"] if status.get("draining") else []
    store = _store_lines(status.get("store"))
    return stops + store + _standstill_lines(status.get("standstills"))


def action_text(answer: ActionAnswer) -> str:
    """What an action did, or would do: the steps that a dry run names, and what may be left
    undone."""
    would = "would change" if answer.dry_run else "changed"
    count = count_text(len(answer.changed), "step")
    lines = [
        f"{state_text(answer.run.status)}  {safe(answer.run.workflow_name)}"
        f"  {safe(answer.run.id)}  {answer.action}: {would} {count}"
    ]
    if answer.moved:
        lines += [
            f"  {safe(it.step_name)}: {safe(it.from_)} -> {safe(it.to)}"
            for it in answer.moved[:MOVED_SHOWN_MAX]
        ]
        unsaid = len(answer.moved) - MOVED_SHOWN_MAX
        lines += [f"  and {unsaid:,} more"] if unsaid > 0 else []
    elif answer.action == "retarget":
        lines += ["  No step of it is there: the rule is for what it posts from now on."]
    else:
        lines += _would_change(answer)
    after = answer.recorded_after
    if after:
        names = ", ".join(safe(step.step_name) for step in after[:NAMED_MAX])
        more = f" and {len(after) - NAMED_MAX:,} more" if len(after) > NAMED_MAX else ""
        lines += [
            f"  recorded since the failure: {names}{more}",
            "  They may be its compensation, and are not done again; `atomic rerun --step` does.",
        ]
    return "\n".join(lines)


def _would_change(answer: ActionAnswer) -> list[str]:
    """The steps that a dry run tells of, with their ids; an older engine tells the ids alone."""
    if not answer.dry_run:
        return []
    names = {step.step_id: f"{safe(step.step_name)}  " for step in answer.changed_steps}
    lines = [f"  {names.get(id, '')}{safe(id)}" for id in answer.changed[:CHANGED_SHOWN_MAX]]
    unsaid = len(answer.changed) - CHANGED_SHOWN_MAX
    return lines + ([f"  and {unsaid:,} more"] if unsaid > 0 else [])


def _standstill_lines(standstills: object) -> list[str]:
    """Which hosts stand still, and why; nothing when none does."""
    rows = standstills if isinstance(standstills, list) else []
    whys = [row.get("why") for row in rows if isinstance(row, dict)]
    return [f"stands still, and they are sent home: {safe(why)}" for why in whys]


def _store_lines(store: object) -> list[str]:
    """What keeps the store from being written; nothing when it can be."""
    if not isinstance(store, dict) or store.get("available", True):
        return []
    since = store.get("since")
    told = clock_text(since) if isinstance(since, str) else "?"
    lines = [f"the store cannot be written since {told}: {safe(store.get('why'))}"]
    if store.get("heldBy"):
        lines.append(f"held by {safe(store['heldBy'])}")
    return lines


def event_text(event: Event, step_name: str | None = None) -> str:
    """An event in one line. A step's id begins with its run's, which thus is said once."""
    data = event.data
    time = data.at or data.server_time
    parts = [clock_text(time) if time else " " * 20, f"{safe(event.kind):<9}"]
    if data.status is not None:
        parts.append(state_text(data.status, width=STATE_WIDTH))
    parts += [safe(it) for it in (data.step_id or data.run_id, step_name, data.kind) if it]
    parts += [safe(it) for it in (data.action, _by(data.actor, data.address)) if it]
    if data.number is not None:
        parts.append(f"try {data.number}")
    parts += _answer_facts(data)
    parts += [safe(data.reason)] if data.reason else []
    if data.counts is not None:
        parts += [f"{safe(state)} {number:,}" for state, number in data.counts.items() if number]
    return "  ".join(parts).rstrip()


def _by(actor: str | None, address: str | None) -> str | None:
    """Who acted, and from where; of some the address is all that is known."""
    if actor is None:
        return None
    return f"by {actor}" if address is None or address in actor else f"by {actor} ({address})"
