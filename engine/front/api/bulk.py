"""`/api/v1/bulk`: bulk jobs as they are asked for and shown. `docs/reference/bulk.md`."""

from __future__ import annotations

import msgspec

from engine import wire
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.filter import Filter
from engine.front.api.act import move_of
from engine.front.api.read import read_filter
from engine.front.asked import decode_asked
from engine.front.show.rows import run_row
from engine.front.show.times import maybe_rfc3339, rfc3339
from engine.jobs.bulk import Bulk, Job, JobOrder, Plan

_decode = msgspec.json.Decoder(wire.BulkRequest).decode


async def ask(
    bulk: Bulk, body: bytes, actor: Actor, key: str | None, only: str | None = None
) -> wire.BulkAnswer:
    """Begin a job, or (`dryRun`) only say what it would do. Raises Refused."""
    request = decode_asked(body, _decode, "job")
    asked = JobOrder(
        action=request.action,
        q=request.q,
        filter=_filter_of_some(request.q),
        expect=request.expect,
        rate_per_s=request.rate_per_s,
        actor=actor,
        reason=request.reason,
        move=move_of(request),
        only=only,
    )
    if request.dry_run:
        return _plan_answer(asked, await bulk.plan(asked))
    return answer_of(await bulk.begin(asked, key))


def _plan_answer(asked: JobOrder, plan: Plan) -> wire.BulkAnswer:
    return wire.BulkAnswer(
        id=None,
        state="dry-run",
        action=asked.action,
        q=asked.q,
        matched=plan.matched,
        total=len(plan.runs),
        done=0,
        skipped=plan.skipped,
        rate_per_s=asked.rate_per_s,
        sample=tuple(record.id for record in plan.sample),
        sample_runs=tuple(map(run_row, plan.sample)),
    )


def _filter_of_some(q: str) -> Filter:
    terms = read_filter(q)
    if not terms:
        detail = "An empty filter would mean every run there is: say which."
        raise Refused(Problem.INVALID_REQUEST, detail, member="q")
    return terms


def answer_of(job: Job) -> wire.BulkAnswer:
    """A job as the interface shows it."""
    return wire.BulkAnswer(
        id=job.id,
        state=job.state,
        action=job.asked.action,
        q=job.asked.q,
        matched=job.matched,
        total=job.total,
        done=job.done,
        skipped=dict(job.skipped),
        reasons={problem: tuple(told) for problem, told in job.reasons.items()},
        rate_per_s=job.asked.rate_per_s,
        actor=job.asked.actor.name,
        address=job.asked.actor.address,
        reason=job.asked.reason,
        started_at=rfc3339(job.started_at),
        ended_at=maybe_rfc3339(job.ended_at),
    )


def list_of(bulk: Bulk, only: str | None = None) -> wire.BulkList:
    """Every job that is remembered, the latest first."""
    return wire.BulkList(tuple(map(answer_of, bulk.jobs(only))))
