"""What a bulk job would do: the runs that it would act on, and those that it would leave alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct, field

from engine.core.access.client import ALERTS_CLIENT
from engine.core.filter import Field, parse
from engine.core.model import ENDED, OPEN, StepState
from engine.core.rules.action import BEYOND_A_JOB, FITS, Action
from engine.ports.jobs import JobOrder, JobRun
from engine.ports.views import RunQuery, RunRecord, RunsFound

RUNS_MAX = 100_000
"""A job's. More than an operator means, and as many actions as an hour and a half takes."""
PAGE = 500
COUNTED_PAGE = 2_000
COUNTED_MAX = 1_000_000
"""Runs that a filter finds are counted up to here, which takes some tens of seconds; with more
there is no job, as nobody can have said how many they mean."""
SAMPLE_MAX = 10
"""Runs that a dry run shows."""

AT_REST = ENDED | {StepState.PAUSED}
BULK_FITS = FITS | {Action.RETARGET: OPEN}
"""In bulk only what is open is moved: what has ended is answered under the URL that it has."""

Find = Callable[[RunQuery], Awaitable[RunsFound]]


class Plan(Struct):
    """What a job would do: the runs that it would act on, and those that it would leave alone."""

    runs: list[JobRun] = field(default_factory=list)
    matched: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    whole: bool = True
    sample: list[RunRecord] = field(default_factory=list)
    """The first of what it would act on."""
    names_alerts: bool = False
    """Alerts are meant: otherwise no job has any. Sent again with whatever has failed they would
    tell of what was over long ago."""

    @property
    def matching(self) -> str:
        """`12 runs match`."""
        if self.matched == 1:
            return "1 run matches"
        return f"{self.matched:,}{'' if self.whole else ' or more'} runs match"

    def sort_in(self, action: Action, record: RunRecord) -> None:
        """Sort a run that the filter found."""
        self.matched += 1
        # what waits for a person may do so in a step below an open root
        waits = action is Action.RESUME and record.cause is not None
        fits = record.state in BULK_FITS[action]
        if record.client == ALERTS_CLIENT and not self.names_alerts:
            why = f"it is an alert: client:{ALERTS_CLIENT} names those"
        elif not fits and not (waits and record.state != StepState.FAILED):
            why = f"it is {record.state}"
        elif action is Action.DISMISS and record.dismissed:
            why = "it is dismissed already"
        elif action is Action.UNDISMISS and not record.dismissed:
            why = "it is not dismissed"
        elif len(self.runs) >= RUNS_MAX:
            why = BEYOND_A_JOB
        else:
            if_rev = record.rev if record.state in AT_REST else None
            self.runs.append(JobRun(record.id, if_rev))
            if len(self.sample) < SAMPLE_MAX:
                self.sample.append(record)
            return
        self.skipped[why] = self.skipped.get(why, 0) + 1


async def plan_of(asked: JobOrder, find: Find, now: int) -> Plan:
    """Look for the runs of a job, oldest first. Raises BadFilter."""
    cursor, terms = None, parse(asked.q)
    names_alerts = any(
        it.field is Field.CLIENT and it.text == ALERTS_CLIENT and not it.negated for it in terms
    )
    plan = Plan(names_alerts=names_alerts)
    while True:
        is_sampled = len(plan.sample) == SAMPLE_MAX  # of the sample more is shown
        found = await find(
            RunQuery(
                only=asked.only,
                filter=terms, now=now, newest_first=False, cursor=cursor,
                limit=COUNTED_PAGE if is_sampled else PAGE, without_steps=is_sampled,
            )
        )  # fmt: skip
        for record in found.runs:
            plan.sort_in(asked.action, record)
        cursor = found.next
        if cursor is None:
            return plan
        if plan.matched >= COUNTED_MAX:
            plan.whole = False
            return plan
