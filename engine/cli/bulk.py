"""`atomic bulk`: one action on every run that a filter finds: shows what it would do, and asks.

The engine does the work, as a job; this command may leave at any time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from time import monotonic, sleep  # noqa: TID251 - a command has no other clock
from typing import TYPE_CHECKING, Any

import click

from engine.cli.exits import Refusal
from engine.cli.filter import faults_shown, filter_option, whole_filter
from engine.cli.options import (
    actor_option,
    client_of,
    client_option,
    engine_option,
    engine_typed,
    json_option,
    new_key,
    url_options,
)
from engine.cli.show.lists import run_list_lines, table
from engine.cli.show.text import clock_text, count_text, echo_json, echo_list, safe, span_text
from engine.process.exits import EXIT_FAILED, EXIT_INTERRUPTED
from engine.shown import jobs as shown_jobs
from engine.wire.operate import FIRST_MAX

if TYPE_CHECKING:
    from engine.client import Client
    from engine.wire import BulkAnswer

RATE_MAX = 1_000
LOOK_EVERY_S = 0.5
TELL_EVERY_S = 10.0
"""How often the progress is told where there is no terminal to draw it on."""
ENDED = ("done", "aborted")


@click.group()
def bulk() -> None:
    """Act on every run that a filter finds: shows what it would do, asks, and follows it.

    `atomic bulk retry --filter 'is:failed wf:order*'`. The engine does it run by run, as a job
    that goes on when this command is left.
    """


def _action(
    action: str, text: str, *, urls: bool = False, first: bool = False, hidden: bool = False
) -> None:
    def act(
        q: str,
        client: str | None,
        rate: int,
        reason: str | None,
        dry_run: bool,
        yes: int | None,
        engine: str,
        actor: str,
        as_json: bool,
        **options: Any,
    ) -> None:
        if dry_run and yes is not None:
            raise click.UsageError("--dry-run does nothing, and --yes does it unasked: give one.")
        asked = {"rate_per_s": rate, "reason": reason, **options}
        whole = whole_filter(q, client=client)
        with client_of(engine, patient=True, actor=actor) as atomic:
            with faults_shown(q):
                would = atomic.operate.bulk(action, whole, dry_run=True, **asked)
            if dry_run and as_json:
                echo_json(would)
                return
            click.echo("\n".join(dry_lines(would, urls=options if urls else {})), err=as_json)
            if dry_run or not _is_meant(would, yes):
                return
            job = atomic.operate.bulk(action, whole, expect=would.matched, key=new_key(), **asked)
            click.echo(f"job {safe(job.id)} has begun", err=True)
            job = _follow(atomic, job)
        _tell_end(job, as_json=as_json)

    wrapped: Callable[..., None] = json_option(engine_option(actor_option(act)))
    yes, rates = click.IntRange(0), click.IntRange(1, RATE_MAX)
    for option in (
        click.option("--yes", type=yes, metavar="COUNT", help="Unasked, if so many runs match."),
        click.option("--dry-run", is_flag=True, help="Only say what it would do."),
        click.option("--reason", help="Why, for the record."),
        click.option("--rate", type=rates, default=20, show_default=True, help="Runs a second."),
    ):
        wrapped = option(wrapped)
    if first:
        firsts = click.IntRange(1, FIRST_MAX)
        wrapped = click.option(
            "--first", type=firsts, metavar="N",
            help="Act on so many first, and on the rest only when all of these have completed.",
        )(wrapped)  # fmt: skip
    if urls:
        wrapped = url_options(wrapped)
    bulk.command(action, help=text, hidden=hidden)(
        filter_option(required=True)(client_option(wrapped))
    )


def dry_lines(would: BulkAnswer, *, urls: dict[str, Any]) -> list[str]:
    """What a job would do: how many runs, which it would leave alone, some of them by name."""
    took = f", {span_text(would.total / would.rate_per_s)} at {would.rate_per_s:,} each second"
    lines = [
        f"{_matching(would.matched)} {safe(would.q)}",
        f"{safe(would.action)} would act on {would.total:,}{took if would.total else ''}",
    ]
    if would.first is not None and would.total:
        rest = would.total - would.first
        lines.append(
            f"first {would.first:,}; the other {rest:,} only when all of these have completed"
            if rest > 0
            else f"first {would.first:,}: that is all of them, and none is left for afterwards"
        )
    if urls:
        lines.append(f"  {safe(urls['from_url'])} -> {safe(urls['to_url'])}")
    lines += [f"left alone: {number:,}, {safe(why)}" for why, number in would.skipped.items()]
    if would.sample_runs:
        lines += run_list_lines(would.sample_runs)
    elif would.sample:  # an engine that tells the ids alone
        lines += [safe(id) for id in would.sample]
    unsaid = would.total - max(len(would.sample_runs), len(would.sample))
    return lines + ([f"and {unsaid:,} more"] if unsaid > 0 else [])


def _matching(count: int) -> str:
    """`1 run matches`, `12 runs match`."""
    return f"{count_text(count, 'run')} {'matches' if count == 1 else 'match'}"


def _is_meant(would: BulkAnswer, yes: int | None) -> bool:
    """Whether the job is to begin. Raises Refusal for another count, UsageError where nobody can be
    asked."""
    if yes is not None and yes != would.matched:
        raise Refusal(
            f"{_matching(would.matched)} now, not {yes:,}: nothing was done. Look at"
            f" them, and say --yes {would.matched}."
        )
    if not would.total:
        click.echo("Nothing to do.", err=True)
        return False
    if yes is not None:
        return True
    if not can_ask():
        raise click.UsageError(
            "There is no terminal to ask at. If you mean them, say so with their number:"
            f" --yes {would.matched}."
        )
    try:
        meant = click.confirm(f"{safe(would.action)} {count_text(would.total, 'run')}?", err=True)
    except click.Abort:
        click.echo("\nNothing was done.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    if not meant:
        click.echo("Nothing was done.", err=True)
    return meant


def can_ask() -> bool:
    """Whether somebody sees a question and can answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _follow(client: Client, job: BulkAnswer) -> BulkAnswer:
    """Look at the job until it has ended. Ctrl-C leaves it: it goes on."""
    progress = _Progress()
    try:
        while job.state not in ENDED:
            progress.tell(job)
            sleep(LOOK_EVERY_S)
            job = client.operate.bulk_job(job.id or "")
    except KeyboardInterrupt:
        name = f"{safe(job.id)}{engine_typed()}"
        click.echo(
            f"\nThe job goes on. To stop it: atomic bulk abort {name}; to look again:"
            f" atomic bulk follow {name}",
            err=True,
        )
        raise
    finally:
        progress.end()
    return job


class _Progress:
    """How far a job is: in place on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._in_place = sys.stderr.isatty()
        self._width = 0
        self._due = monotonic() + TELL_EVERY_S

    def tell(self, job: BulkAnswer) -> None:
        """Say it, if it is time."""
        text = progress_text(job)
        if self._in_place:
            click.echo(f"\r{text:<{self._width}}", nl=False, err=True)
            self._width = len(text)
        elif monotonic() >= self._due:
            self._due = monotonic() + TELL_EVERY_S
            click.echo(text, err=True)

    def end(self) -> None:
        """What comes next takes its place."""
        if self._in_place and self._width:
            click.echo(f"\r{'':<{self._width}}\r", nl=False, err=True)
            self._width = 0


def _left(job: BulkAnswer) -> int:
    """Runs whose turn has not come: neither done, nor refused when it came."""
    return max(0, job.matched - job.done - sum(job.skipped.values()))


def progress_text(job: BulkAnswer) -> str:
    """`40 of 510 runs, about 24 s left`; or what it waits for."""
    left = _left(job)
    if job.first is not None and not job.first_completed and (job.done >= job.first or not left):
        return f"waits for the first {job.done:,}: {came_text(job) or 'they have not ended'}"
    return (
        f"{job.total - left:,} of {count_text(job.total, 'run')}, about"
        f" {span_text(left / job.rate_per_s)} left"
    )


def end_text(job: BulkAnswer) -> str:
    """What came of a job, in a line; and what the runs said that refused it, one a line."""
    text = f"{safe(job.action)} {safe(job.state)}: {job.done:,} of {count_text(job.total, 'run')}"
    if job.state == "aborted" and (left := _left(job)):
        text += f"; {left:,} not come to"
    whys = ", ".join(f"{number:,} {safe(why)}" for why, number in job.skipped.items())
    lines = [f"{text}; left alone: {whys}" if whys else text]
    if job.stopped_because:
        lines.append(f"  {safe(job.stopped_because)}")
    if came := came_text(job):
        lines.append(f"  {came}: atomic runs --filter job:{safe(job.id)}{engine_typed()}")
    lines += [f"  {safe(why)}: {safe(each)}" for why, told in job.reasons.items() for each in told]
    return "\n".join(lines)


def came_text(job: BulkAnswer) -> str:
    """`57 completed, 2 failed again (503), 1 running`; empty: nothing was done, or it is not
    told."""
    counts = {safe(state): runs for state, runs in (job.runs or {}).items()}
    failures = [(safe(it.http_status or it.error or "?"), it.runs) for it in job.failures]
    return shown_jobs.came_text(job.action, counts, failures)


def _tell_end(job: BulkAnswer, *, as_json: bool) -> None:
    if as_json:
        echo_json(job)
    else:
        click.echo(end_text(job))
    if job.state == "aborted":
        sys.exit(EXIT_FAILED)


_action("retry", "Try now what backs off or waits; open failed and cancelled runs again.",
        first=True)  # fmt: skip
_action("pause", "Start no new attempts; attempts in flight end.")
_action("resume", "Let what is paused go on.", first=True)
_action("cancel", "End them with the outcome `cancelled`; waiting callers are told at once.")
_action("dismiss", "Take failed and paused runs off the list of failures.")
_action("undismiss", "Put dismissed runs back on that list.")
_action("restore", "What undismiss was called.", hidden=True)
_action("retarget", "Move the open ones to other URLs.", urls=True, first=True)


@bulk.command("list")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True,
              help="So many at most.")  # fmt: skip
@engine_option
@json_option
def list_jobs(limit: int, engine: str, as_json: bool) -> None:
    """List the jobs of the last 30 days, the latest first.

    1,000 that have ended are kept at most.
    """
    with client_of(engine) as client:
        jobs = client.operate.bulk_page(limit=limit).jobs
    echo_list(jobs, job_lines, "job", as_json=as_json)


def job_lines(jobs: Sequence[BulkAnswer]) -> list[str]:
    """Jobs as a table, one line each."""
    head = ["STATE", "JOB", "ACTION", "DONE", "LEFT ALONE", "BY", "STARTED", "FILTER"]
    rows = [
        [
            safe(job.state),
            safe(job.id),
            safe(job.action),
            f"{job.done:,} of {job.total:,}",
            f"{sum(job.skipped.values()):,}",
            safe(job.actor or "?"),
            clock_text(job.started_at or "?"),
            safe(job.q),
        ]
        for job in jobs
    ]
    return table([head, *rows])


def _job(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value in ("", ".", ".."):
        raise click.BadParameter(f"{value!r} is not the id of a job; `atomic bulk list` has them.")
    return value


@bulk.command()
@click.argument("job", callback=_job)
@engine_option
@json_option
def show(job: str, engine: str, as_json: bool) -> None:
    """Show a job, and what came of its runs."""
    with client_of(engine) as client:
        found = client.operate.bulk_job(job)
    if as_json:
        echo_json(found)
    else:
        click.echo("\n".join([*job_lines([found]), end_text(found)]))


@bulk.command()
@click.argument("job", callback=_job)
@engine_option
@json_option
def follow(job: str, engine: str, as_json: bool) -> None:
    """Follow a job to its end."""
    with client_of(engine, patient=True) as client:
        found = _follow(client, client.operate.bulk_job(job))
    _tell_end(found, as_json=as_json)


@bulk.command()
@click.argument("job", callback=_job)
@engine_option
@actor_option
@json_option
def abort(job: str, engine: str, actor: str, as_json: bool) -> None:
    """Stop a job before its next run. What it has done stays done."""
    with client_of(engine, actor=actor) as client:
        found = client.operate.bulk_abort(job)
    if as_json:
        echo_json(found)
    else:
        click.echo(end_text(found))
