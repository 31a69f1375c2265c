"""Tables and lines for people: runs, the engine's status, what an action did, events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from engine.cli.show.text import clock_text, count_text, safe, span_text, state_text
from engine.cli.show.tree import MOVED_SHOWN_MAX, answer_facts, hold_text, run_note
from engine.shown.said import who_text
from engine.shown.states import SIGNS

if TYPE_CHECKING:  # wire brings msgspec along; `--help` does without
    from engine.client import Event
    from engine.wire import (
        ActionAnswer,
        AlertsStatus,
        BackupStatus,
        ClientUse,
        ExpiredRow,
        HoldRow,
        HostRow,
        ListenerRow,
        RunRow,
        Status,
        StoreStatus,
    )
    from engine.wire.retention import PruningPass, RetentionStatus

CELL_CHARACTERS_MAX = 40
STATE_WIDTH = max(map(len, SIGNS))
NAMED_MAX = 10
LISTENERS_SHOWN_MAX = 10
FAILING_HOSTS_MAX = 10
"""Of more it is said how many."""
NO_FAILURES = frozenset({"2xx", "suspended", "passed-on"})
"""What attempts come to that have not failed."""
CHANGED_SHOWN_MAX = 100
"""More steps than these are counted."""


def run_list_lines(
    runs: Sequence[RunRow], holds: Sequence[HoldRow] = (), *, width: int | None = None
) -> list[str]:
    """Runs as a table, one line each; where that is wider than `width` characters, what else is to
    be known of a run stands below it. `holds`: what is held, to tell of those that wait for it."""
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
            run_note(run, holds),
        ]
        for run in runs
    ]
    lines = table([head, *rows])
    if width is None or max(len(click.unstyle(line)) for line in lines) <= width:
        return lines
    notes = [row.pop() for row in (head, *rows)]
    pairs = zip(table([head, *rows]), notes, strict=True)
    return [line for row, note in pairs for line in (row, note and f"    {note}") if line]


def expired_text(row: ExpiredRow) -> str:
    """A run that retention removed, in one line."""
    gone = f" {clock_text(row.removed_at)}" if row.removed_at else ""
    return (
        f"removed by retention{gone}: {safe(row.run_id)}, client {safe(row.client)}, workflow"
        f" {safe(row.workflow_name)}, key {safe(row.idempotency_key)}: {safe(row.run_status)}"
        f" {clock_text(row.finished_at)}"
    )


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


def status_lines(status: Status) -> list[str]:
    """How the engine is, from `GET /api/v1/status`; members it lacks are left out."""
    from msgspec import to_builtins

    lines = [f"Atomic {safe(status.version or '?')}, instance {safe(status.instance)}"]
    if status.started_at is not None:
        lines.append(f"started {clock_text(status.started_at)}")
    if status.counts is not None:
        counts = to_builtins(status.counts).items()
        lines += [f"{state_text(state)}  {number:,}" for state, number in counts if number] or [
            "no runs"
        ]
    lines += alarm_lines(status)
    facts = (
        ("late", status.late_count),
        ("in flight", status.in_flight),
        ("queued", status.queued),
    )
    lines += [f"{word} {number}" for word, number in facts if number is not None]
    lines += [
        f"{safe(host.host)}: {count:,} {'waits' if count == 1 else 'wait'} for {safe(why)}"
        for host in status.hosts or ()
        for why, count in host.waits_for.items()
        if why != "place"
    ]
    lines += failing_lines(status.hosts or ())
    lines += listener_lines(status.listeners or ())
    lines += [use_text(row) for row in status.clients or ()]
    lines += _backup_lines(status.backup)
    lines += _retention_lines(status.retention)
    lines += [f"alerts: {line}" for line in alerts_lines(status.alerts)[:1]]
    if status.durability is not None:
        settings = (f"{safe(name)} {safe(it)}" for name, it in status.durability.items())
        lines.append("durability: " + ", ".join(settings))
    return lines


def failing_lines(hosts: Iterable[HostRow]) -> list[str]:
    """What failed at which host in ten minutes, where most did first."""
    failing = sorted(
        ((sum(whys.values()), host, whys) for host in hosts if (whys := _failures(host))),
        key=lambda each: (-each[0], each[1].host),
    )
    lines = []
    for count, host, whys in failing[:FAILING_HOSTS_MAX]:
        ended = count_text(sum(map(sum, host.results.values())), "attempt")
        most = sorted(whys.items(), key=lambda each: (-each[1], each[0]))
        told = ", ".join(f"{safe(why)} {number:,}" for why, number in most)
        lines.append(f"{safe(host.host)}: {count:,} of {ended} failed in ten minutes: {told}")
    if (more := len(failing) - FAILING_HOSTS_MAX) > 0:
        lines.append(f"{count_text(more, 'more host')} where attempts failed")
    return lines


def _failures(host: HostRow) -> dict[str, int]:
    """What failed there, by what it came to."""
    counts = {why: sum(each) for why, each in host.results.items() if why not in NO_FAILURES}
    return {why: count for why, count in counts.items() if count}


def listener_lines(listeners: Sequence[ListenerRow]) -> list[str]:
    """Who listens to events, the latest first; of many how many more do."""
    lines = []
    for it in listeners[:LISTENERS_SHOWN_MAX]:
        of = "" if it.client is None else f", of {safe(it.client)} alone"
        lines.append(f"{safe(who_text(it.actor))} listens since {clock_text(it.since)}{of}")
    if (more := len(listeners) - LISTENERS_SHOWN_MAX) > 0:
        lines.append(f"{more:,} more listen")
    return lines


def alerts_lines(alerts: AlertsStatus | None) -> list[str]:
    """What somebody is told of, and what came of it; the first line is the short of it."""
    if alerts is None:
        return []
    counts = [f"{alerts.sent:,} sent since the start", f"{alerts.delivered:,} taken"]
    if alerts.failed:
        counts.append(f"{alerts.failed:,} failed")
    if alerts.held_back:
        counts.append(f"{alerts.held_back:,} held back by the limit of an hour")
    lines = [", ".join(counts)]
    if (last := alerts.last_failed) is not None:
        why = (
            f"last failed {clock_text(last.at)}: {safe(last.why)} (atomic show {safe(last.run_id)})"
        )
        lines.append(why)
    going_on = count_text(alerts.going_on, "trouble")
    unsaid = alerts.going_on - len(alerts.troubles)
    lines += [
        f"{going_on} not over, {alerts.sent_in_hour} sent within the hour",
        *(
            f"  since {clock_text(it.since)}  {safe(it.rule)}: {safe(it.summary)}"
            for it in alerts.troubles
        ),
        *([f"  and {unsaid:,} more"] if alerts.troubles and unsaid > 0 else []),
        f"to {safe(alerts.url)}: {', '.join(map(safe, alerts.rules))}",
    ]
    return lines


def use_text(row: ClientUse) -> str:
    """What a client takes of its limits, and where each comes from."""
    used = (
        f"{safe(it.limit)} {f'{it.value:,}' if it.used is None else f'{it.used:,} of {it.value:,}'}"
        f" ({safe(it.set_by)})"
        for it in row.limits
        if it.value is not None
    )
    refused = f", {count_text(row.refused, 'post')} refused" if row.refused else ""
    return f"{safe(row.client)}: {', '.join(used)}{refused}"


def alarm_lines(status: Status) -> list[str]:
    """What of the engine's status an operator must see beside whatever was asked for; mostly
    nothing: it stops, its store cannot be written, a host stands still, a file is bad."""
    stops = ["it is stopping"] if status.draining else []
    stands = [
        f"{safe(row.host)} stands still since {clock_text(row.since)}: {safe(row.why)}; who waits"
        f" there is sent home until {clock_text(row.until)}. Have more workers there, or suspend"
        for row in status.standstills or ()
    ]
    held = [hold_text(row) for row in status.holds or ()]
    bad = [
        f"a bad file since {clock_text(row.since)}, and what it said before holds: {safe(row.why)}"
        for row in status.bad_files or ()
    ]
    twice = [
        f"the client {safe(name)} is defined by a file, and a command added it too: the file's"
        f" holds; `atomic client rm {safe(name)}` forgets the other, with its tokens"
        for name in status.defined_twice or ()
    ]
    last = None if status.backup is None else status.backup.last
    no_copy = (
        [f"the backup of {clock_text(last.ended_at)} failed: {safe(last.error)}"]
        if last is not None and last.error is not None
        else []
    )
    return stops + _store_lines(status.store) + held + stands + no_copy + bad + twice


def _backup_lines(backup: BackupStatus | None) -> list[str]:
    """The last copy that there is, and the one that is made."""
    if backup is None:
        return []
    lines = []
    if (good := backup.last_good) is not None:
        lines.append(
            f"last backup {clock_text(good.ended_at)}, {good.bytes:,} bytes: {safe(good.file)}"
        )
    if (now := backup.under_way) is not None:
        lines.append(f"a backup is being made: {safe(now.file)}")
    return lines


def _retention_lines(retention: RetentionStatus | None) -> list[str]:
    """What is being removed, and what went last."""
    if retention is None:
        return []
    lines = []
    if now := retention.under_way:
        lines.append(f"pruning since {clock_text(now.since)}: {pass_text(now)}")
    if last := retention.last_pass:
        lines.append(f"pruned last {clock_text(last.ended_at or last.since)}: {pass_text(last)}")
    return lines


def pass_text(it: PruningPass) -> str:
    """What of that has grown old enough went, in how long; or by now, or until what went wrong."""
    counts = (
        count_text(it.runs_expired, "run"),
        count_text(it.keys_forgotten, "key"),
        count_text(it.events_removed, "event"),
    )
    went = f"{counts[0]}, {counts[1]} and {counts[2]} went"
    if it.took_ms is None:
        return f"{went} so far"
    told = f"{went} in {span_text(it.took_ms / 1000)}"
    if it.error is None:
        return told
    return (
        f"{told}, then it was given up: {safe(it.error)} The next look goes on, within ten minutes"
    )


def _room_lines(store: StoreStatus) -> list[str]:
    """What is to be said of `store_bytes_max`."""
    from msgspec import UNSET

    used = (
        "" if store.bytes_max is UNSET else f": {store.bytes_used:,} of {store.bytes_max:,} bytes"
    )
    if store.full is True:
        return [f"the store is full{used} (store_bytes_max): no new run is taken, open ones go on"]
    if store.filling is True:
        return [f"the store fills{used} (store_bytes_max): beyond that no new run is taken"]
    return []


def _store_lines(store: StoreStatus | None) -> list[str]:
    """What keeps the store from being written, or new runs out of it; mostly nothing."""
    if store is None or store.available:
        return [] if store is None else _room_lines(store)
    since = clock_text(store.since) if store.since else "?"
    lines = [f"the store cannot be written since {since}: {safe(store.why or '?')}"]
    return lines + ([f"held by {safe(store.held_by)}"] if store.held_by else [])


def action_text(answer: ActionAnswer) -> str:
    """What an action did, or would do: the steps that a dry run names, and what may be left
    undone."""
    count = count_text(len(answer.changed), "step")
    named = f"{safe(answer.run.workflow_name)}  {safe(answer.run.id)}"
    act = safe(answer.action)
    if answer.dry_run:
        lines = [f"{_stands(answer)}{named}  {act}: would change {count}"]
        if answer.run.status != answer.status_before:
            lines[0] += f"; the run would be {safe(answer.run.status)}"
    elif answer.action == "note":
        return f"{state_text(answer.run.status)}  {named}  noted"
    else:
        lines = [f"{state_text(answer.run.status)}  {named}  {act}: changed {count}"]
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
    lines += [f"  {hold_text(row)}" for row in answer.holds or ()]
    after = answer.recorded_after
    if after:
        names = ", ".join(safe(step.step_name) for step in after[:NAMED_MAX])
        more = f" and {len(after) - NAMED_MAX:,} more" if len(after) > NAMED_MAX else ""
        lines += [
            f"  recorded since the failure: {names}{more}",
            "  They may be its compensation, and are not done again; `atomic rerun --step` does.",
        ]
    if answer.action in ("set-result", "skip") and not answer.dry_run:
        lines += _goes_on(answer)
    return "\n".join(lines)


def _stands(answer: ActionAnswer) -> str:
    """How the run is, whose row in a dry run is as it would be; an older engine does not say it."""
    return f"{state_text(answer.status_before)}  " if answer.status_before else ""


def _goes_on(answer: ActionAnswer) -> list[str]:
    """What is left to do where a result alone lets nothing go on, and what it leaves as it was."""
    run, step = answer.run, answer.step
    if run.status == "completed" and step is not None and step.id != run.id:
        return [
            "  The run stays completed, with the outcome that it had: who asks for that is told the"
            " same as before."
        ]
    if run.status in ("failed", "cancelled"):
        return [f"  The run stays {run.status}: `atomic retry` calls it again, with this result."]
    if run.status == "paused":
        return ["  The run is paused still: `atomic resume` lets it go on."]
    return []


def _would_change(answer: ActionAnswer) -> list[str]:
    """The steps that a dry run tells of, with their ids; an older engine tells the ids alone."""
    if not answer.dry_run:
        return []
    names = {step.step_id: f"{safe(step.step_name)}  " for step in answer.changed_steps}
    lines = [f"  {names.get(id, '')}{safe(id)}" for id in answer.changed[:CHANGED_SHOWN_MAX]]
    unsaid = len(answer.changed) - CHANGED_SHOWN_MAX
    return lines + ([f"  and {unsaid:,} more"] if unsaid > 0 else [])


def event_text(event: Event, step_name: str | None = None) -> str:
    """An event in one line. A step's id begins with its run's, which thus is said once."""
    from engine.wire.events import Counts, Stamped

    data = event.data
    time = data.at if isinstance(data, Stamped) else data.server_time
    parts = [clock_text(time) if time else " " * 20, f"{safe(event.kind):<9}"]
    if isinstance(data, Stamped):
        parts += [state_text(data.status, width=STATE_WIDTH)] if data.status else []
        parts += [safe(it) for it in (data.step_id or data.run_id, step_name, data.kind) if it]
    elif isinstance(data, Counts):
        parts += [f"{safe(state)} {number:,}" for state, number in data.counts.items() if number]
    return "  ".join([*parts, *_event_facts(event)]).rstrip()


def _event_facts(event: Event) -> list[str]:
    """What there is to tell of its kind alone."""
    from engine.wire.events import Acted, Answered, EngineErred, Paused, Reset, Started

    facts: tuple[str | None, ...] = ()
    match event.data:
        case Acted() as act:
            facts = (act.action, _by_whom(act.actor, act.address), act.reason)
        case Started(number=number) if number is not None:
            facts = (f"try {number}",)
        case Answered() as ended:
            tried = [] if ended.number is None else [f"try {ended.number}"]
            return tried + answer_facts(ended)
        case Paused(reason=reason) | Reset(reason=reason) | EngineErred(error=reason):
            facts = (reason,)
        case _:
            pass
    return [safe(it) for it in facts if it]


def _by_whom(actor: str | None, address: str | None) -> str | None:
    """Who acted, and from where; of some the address is all that is known."""
    if actor is None:
        return None
    return f"by {actor}" if address is None or address in actor else f"by {actor} ({address})"
