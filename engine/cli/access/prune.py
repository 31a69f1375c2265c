"""`atomic prune`: runs that ended longer ago than they are kept."""

from __future__ import annotations

import sys
from contextlib import suppress
from math import inf
from time import monotonic, sleep  # noqa: TID251 - a command has no other clock
from typing import TYPE_CHECKING

import click

from engine.cli.options import actor_option, client_of, engine_option, json_option
from engine.cli.show.lists import pass_text
from engine.cli.show.text import ProgressLine, count_text, echo_json, safe, size

if TYPE_CHECKING:
    from engine.client import Client
    from engine.wire.retention import PruneAnswer

DAYS = click.IntRange(1, 36_500)
LOOK_EVERY_S = 0.3
UNWATCHED_S = 10.0
"""Where nobody watches, a script is not kept longer: a million runs take some twenty minutes."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--days", type=DAYS, help="With --dry-run: as if this were retention_days.")
@click.option("--keys-days", type=DAYS, help="With --dry-run: as if this were keys_kept_days.")
@engine_option
@actor_option
@json_option
def prune(
    dry_run: bool, days: int | None, keys_days: int | None, engine: str, actor: str, as_json: bool
) -> None:
    """Remove runs that ended longer ago than they are kept, now.

    The engine does so by itself; this does not wait for that, nor for the hour after a shorter time
    was set; but where the clock may be wrong it is refused. How long runs are kept, the engine's
    setting `retention_days` says; their keys stay. It takes its time beside the engine's work: on a
    terminal its end is waited for (Ctrl-C leaves it: it goes on), elsewhere for ten seconds, and
    with --json not at all. `atomic status` says how far it is.
    """
    if (days is not None or keys_days is not None) and not dry_run:
        raise click.UsageError("--days and --keys-days go with --dry-run: settings say what goes.")
    with client_of(engine, actor=actor) as client:
        answer = client.admin.prune(dry_run=dry_run, retention_days=days, keys_kept_days=keys_days)
        if as_json:
            return echo_json(answer)
        click.echo(_text(answer))
        if answer.begins_at:
            click.echo(_came(client, answer, answer.begins_at))


def _came(client: Client, answer: PruneAnswer, begins_at: str) -> str:
    """What went, if that is all within the time that is waited for; else how far it is."""
    from engine.client import AtomicError

    until = monotonic() + (inf if sys.stderr.isatty() else UNWATCHED_S)
    runs, so_far = sum(answer.runs.values()), ""
    with suppress(AtomicError), ProgressLine() as progress:  # what was asked for stands
        while True:
            status = client.operate.status()
            told = status.retention
            if told is None or (status.started_at or "") > begins_at:
                break  # it was started anew, and goes on where it was
            if (last := told.last_pass or None) is not None and last.since >= begins_at:
                return f"over: {pass_text(last)}"
            if (now := told.under_way or None) is not None and now.since >= begins_at:
                progress.show("runs", now.runs_expired, runs)
                so_far = f"{pass_text(now)}, of {count_text(runs, 'run')} that go; "
            if monotonic() >= until:
                break
            sleep(LOOK_EVERY_S)
    return f"not over: {so_far}the engine goes on by itself, and `atomic status` says how far it is"


def _text(answer: PruneAnswer) -> str:
    if not answer.retention_days:
        return "Nothing would go: retention_days is not set. `--days 30` says what would with 30."
    would = "would go" if answer.dry_run else "goes, beside the engine's work"
    by_state = ", ".join(f"{runs:,} {safe(state)}" for state, runs in sorted(answer.runs.items()))
    lines = [f"{would}: {count_text(sum(answer.runs.values()), 'run')} ({by_state})"]
    if answer.events is not None:
        lines[0] += f", {count_text(answer.steps or 0, 'step')} with payloads and answers"
        about = f"about {size(answer.bytes_about or 0)} in all"
        lines.append(f"{would}: {count_text(answer.events, 'event')} of before; {about}")
    if answer.keys_kept_days:
        lines.append(f"{would}: {count_text(answer.keys, 'key')} of runs that have gone")
    if answer.events is not None:
        carried = f"{count_text(answer.runs_carried or 0, 'older run')} with all of their events"
        stay = f"{count_text(answer.runs_stay or 0, 'run')}, of these {carried}"
        lines.append(f"stays: {stay}; {count_text(answer.events_stay or 0, 'event')} since")
    return "\n".join(lines)
