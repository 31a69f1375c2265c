"""`/api/v1/bulk`: bulk jobs as they are asked for and shown. `docs/reference/bulk.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from engine import wire
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.filter import BadFilter, Field, Filter, parse
from engine.core.model import StepState
from engine.core.text.times import maybe_rfc3339, rfc3339
from engine.front.access.who import Who
from engine.front.api.act import move_of
from engine.front.asked import decode_asked, page_limit
from engine.front.server.reply import Reply
from engine.front.show.replies import json_reply
from engine.front.show.rows import run_row
from engine.jobs.bulk import Bulk
from engine.jobs.plan import Plan
from engine.ports.jobs import Came, Job, JobOrder

_decode = msgspec.json.Decoder(wire.BulkRequest).decode


async def filter_of(bulk: Bulk, text: str | None, who: Who) -> Filter | None:
    """The filter `q`, if there is one. Raises Refused, naming the place at fault: also for a job
    that there is not. One on everybody's runs may have some that who asks may see."""
    if not text:
        return None
    found = _read_filter(text)
    for job in {term.text.partition("/")[0] for term in found if term.field is Field.JOB}:
        try:
            await bulk.job(job, who.client, or_of_all=True)
        except Refused as refused:
            if refused.problem is not Problem.NOT_FOUND:
                raise
            members = {"member": "q", "position": max(text.find(f"job:{job}"), 0)}
            detail = f"`q`: {refused.detail} `atomic bulk list` has them, with their whole ids."
            raise Refused(Problem.INVALID_REQUEST, detail, **members) from refused
    return found


def _read_filter(text: str) -> Filter:
    try:
        return parse(text)
    except BadFilter as error:
        members = {"member": "q", "position": error.at}
        raise Refused(Problem.INVALID_REQUEST, f"`q`: {error.detail}", **members) from error


async def ask(bulk: Bulk, body: bytes, actor: Actor, key: str | None, who: Who) -> wire.BulkAnswer:
    """Begin a job, or (`dryRun`) only say what it would do. Raises Refused."""
    request = decode_asked(body, _decode, "job")
    if not await filter_of(bulk, request.q, who):
        detail = "An empty filter would mean every run there is: say which."
        raise Refused(Problem.INVALID_REQUEST, detail, member="q")
    asked = JobOrder(
        action=request.action,
        q=request.q,
        expect=request.expect,
        rate_per_s=request.rate_per_s,
        actor=actor,
        reason=request.reason,
        move=move_of(request),
        only=who.client,
        first=request.first or None,
        token=who.token,
        key=key,
    )
    if request.dry_run:
        return _plan_answer(asked, await bulk.plan(asked))
    return answer_of(await bulk.begin(asked))


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
        first=asked.first,
    )


def answer_of(job: Job, came: Sequence[Came] | None = None) -> wire.BulkAnswer:
    """A job as the interface shows it; `came`: what came of its runs, if that was counted."""
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
        first=job.asked.first,
        first_completed=job.first_completed,
        stopped_because=job.stopped_because,
        runs=None if came is None else _by_state(came),
        failures=_failures(came or ()),
    )


def _by_state(came: Sequence[Came]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in came:
        counts[each.state] = counts.get(each.state, 0) + each.runs
    return counts


def _failures(came: Sequence[Came]) -> tuple[wire.FailedRuns, ...]:
    failed = [each for each in came if each.state == StepState.FAILED]
    failed.sort(key=lambda it: (-it.runs, it.http_status or 0, it.error or ""))
    return tuple(wire.FailedRuns(it.http_status, it.error, it.runs) for it in failed)


async def show(bulk: Bulk, job_id: str, who: Who) -> wire.BulkAnswer:
    """`GET /api/v1/bulk/{id}`."""
    job = await bulk.job(job_id, who.client)
    return answer_of(job, await bulk.came(job))


async def abort(bulk: Bulk, job_id: str, actor: Actor, who: Who) -> Reply:
    """`POST /api/v1/bulk/{id}/abort`."""
    return json_reply(answer_of(await bulk.abort(job_id, actor.name, who.client)), 202)


async def jobs(bulk: Bulk, query: Mapping[str, str], who: Who) -> wire.BulkList:
    """`GET /api/v1/bulk`: the latest first, keyset pages."""
    limit = page_limit(query)
    found = await bulk.jobs(who.client, query.get("cursor"), limit + 1)
    behind = found[limit - 1].id if len(found) > limit else None
    return wire.BulkList(tuple(map(answer_of, found[:limit])), behind)
