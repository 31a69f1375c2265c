"""What operators read: status, runs, trees, steps, bodies. `protocol.md` §5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import trio
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from engine import wire
from engine.core.access.token import Role
from engine.core.errors import Problem, Refused
from engine.core.filter import Field, Filter, named_by
from engine.core.model import Step, StepState, run_of
from engine.core.text.redaction import Redaction
from engine.core.text.times import rfc3339
from engine.front.access.own import check_own
from engine.front.access.who import Who
from engine.front.admin.alerts import alerts_status
from engine.front.admin.backup import backup_status
from engine.front.admin.prune import retention_status
from engine.front.api.bulk import filter_of
from engine.front.api.causes import hidden_of
from engine.front.api.context import Front, pages_url
from engine.front.api.figures import (
    bad_file_rows,
    client_rows,
    hold_rows,
    holds_of,
    holds_over,
    host_rows,
    limits_set,
    listener_rows,
    memory_used,
    run_counts,
    standstill_rows,
    store_status,
    with_full,
    with_room,
)
from engine.front.asked import check_names, page_limit, whole_number
from engine.front.server.reply import Reply
from engine.front.show.bodies import OPERATORS, raw_body
from engine.front.show.replies import json_reply
from engine.front.show.rows import (
    expired_row,
    move_row,
    note_row,
    retry_row,
    run_row,
    step_row,
    with_generations,
)
from engine.ports.caller import SMALL_BYTES_MAX
from engine.ports.store import Body, Larger
from engine.ports.views import AttemptRecord, OutcomeRecord, RetryQuery, RunQuery
from engine.process.budget import Charge
from engine.runs.open.callers import Recorded, Result
from engine.runs.open.replies import wait_room
from engine.runs.waits import WhyWaits, why_wait
from engine.wire.routes import RETRIES, RUNS, WHOLE

SORTS = {"-submittedAt": True, "submittedAt": False}
EXPIRED_TOLD_MAX = 100
"""Of the runs of a key."""
_NAMING = {"key": Field.KEY, "client": Field.CLIENT, "workflow": Field.WORKFLOW}


async def status(front: Front, who: Who) -> wire.Status:
    """`GET /api/v1/status`."""
    if who.client is not None:
        return await own_status(front, who, who.client)
    now, now_s = front.clock.steady_ms(), trio.current_time()
    summary = await front.views.summary(now)
    hidden = await hidden_of(front, None)
    due = await front.views.due_counts(now)
    engine = front.engine
    store, places = engine.store, engine.places
    return wire.Status(
        instance=front.instance,
        version=front.version,
        server_time=rfc3339(now),
        started_at=rfc3339(front.started_at),
        ready=engine.ready and not engine.draining and store.away is None,
        draining=engine.draining,
        sequence=f"{front.file_id}-{summary.last_seq}",
        durability=front.durability,
        store=with_room(
            store_status(store.away, store.backlog, now, now_s), engine.shared.store_room
        ),
        counts=run_counts(summary.runs),
        rates=msgspec.convert(front.metrics.rates(), wire.Rates),
        stuck_count=max(0, summary.stuck - hidden.runs),
        late_count=summary.late,
        timed_count=summary.timed,
        due=tuple(wire.DueBucket(each.up_to_ms, each.attempts) for each in due),
        hosts=host_rows(engine.hosts.figures(now), places, now, now_s),
        standstills=standstill_rows(engine.home.rule.narrow_pools(now_s), now, now_s),
        in_memory=len(engine.memory.live),
        in_flight=places.at_hosts.in_flight,
        cancelled_in_flight=engine.memory.cancelled_in_flight,
        queued=places.queued,
        waiting_for=engine.waiting_for,
        holds=hold_rows(engine.holds),
        memory=memory_used(engine.budget),
        retention=retention_status(front.pruning, now),
        limits=limits_set(front.config, engine.budget.bytes_max),
        backup=backup_status(front.backups),
        alerts=alerts_status(front.alerts),
        bad_files=bad_file_rows(front.registry.bad_files),
        defined_twice=front.registry.defined_twice or None,
        listeners=listener_rows(front.listeners),
        clients=await client_rows(front.limits, engine),
        pages_url=pages_url(front.config),
        token=_token(who),
    )


async def own_status(front: Front, who: Who, client: str) -> wire.Status:
    """The same for who sees one client: what is of that, and what is of nobody. Nothing of the
    rest, which tells of the others: rates, hosts, places, memory."""
    now, engine, views = front.clock.steady_ms(), front.engine, front.views
    last_seq, hidden = (await views.summary(now)).last_seq, await hidden_of(front, client)
    found = await views.client_summary(client, now, hidden.runs)
    return wire.Status(
        instance=front.instance,
        version=front.version,
        server_time=rfc3339(now),
        started_at=rfc3339(front.started_at),
        ready=engine.ready and not engine.draining and engine.store.away is None,
        draining=engine.draining,
        sequence=front.places.hidden(client, last_seq),
        durability=front.durability,
        store=with_full(
            wire.StoreStatus(available=engine.store.away is None), engine.shared.store_room
        ),
        counts=run_counts(found.runs),
        stuck_count=max(0, found.stuck - hidden.runs),
        late_count=found.late,
        timed_count=found.timed,
        due=tuple(wire.DueBucket(each.up_to_ms, each.attempts) for each in found.due),
        holds=holds_of(engine.holds, client),
        limits=limits_set(front.config, engine.budget.bytes_max),
        listeners=listener_rows(front.listeners, client),
        clients=await client_rows(front.limits, engine, client),
        pages_url=pages_url(front.config),
        token=_token(who),
    )


def whoami(who: Who) -> Reply:
    """`GET /api/v1/whoami`."""
    return json_reply(wire.WhoAmI(_token(who)))


def _token(who: Who) -> wire.OwnToken | None:
    """That of who asks; None: none was asked for."""
    return wire.OwnToken(who.token, who.role, who.client) if who.token else None


def _invalid(detail: str) -> Refused:
    return Refused(Problem.INVALID_REQUEST, detail)


async def runs(front: Front, who: Who, query: Mapping[str, str]) -> wire.RunPage:
    """`GET /api/v1/runs`: newest first, keyset pages."""
    check_names(query, RUNS.queries)
    states = tuple(filter(None, query.get("status", "").split(",")))
    if bad := [state for state in states if state not in set(StepState)]:
        raise _invalid(f"`status`: {bad[0][:64]!r} is none of {', '.join(StepState)}.")
    sort = query.get("sort", "-submittedAt")
    if sort not in SORTS:
        raise _invalid(f"`sort`: runs are sorted by {' or '.join(SORTS)}; not {sort[:64]!r}.")
    terms = await filter_of(front.bulk, query.get("q"), who)
    found = await front.views.runs(
        RunQuery(
            only=who.client,
            client=query.get("client"),
            workflow=query.get("workflow"),
            key=query.get("key"),
            states=states,
            filter=terms,
            now=front.clock.steady_ms(),
            newest_first=SORTS[sort],
            cursor=query.get("cursor"),
            limit=page_limit(query),
        )
    )
    return wire.RunPage(
        runs=tuple(run_row(record) for record in found.runs),
        total=found.total,
        total_is_estimate=found.total_is_estimate,
        next=found.next,
        expired=UNSET if states else await _expired(front, who, query, terms or ()),
    )


async def _expired(
    front: Front, who: Who, query: Mapping[str, str], terms: Filter
) -> tuple[wire.ExpiredRow, ...] | UnsetType:
    """Of a look by key what has gone; once, beside its first page. Nothing is told of none."""
    given = {field: query[it] for it, field in _NAMING.items() if it in query}
    named = None if "cursor" in query else named_by(terms, given)
    if named is None:
        return UNSET
    client = named.client or who.client
    if who.client not in (None, client):
        return UNSET
    store, of = front.engine.store, (named.key, client, named.workflow)
    gone = await store.expired_of_key(*of, EXPIRED_TOLD_MAX)
    return tuple(map(expired_row, gone)) or UNSET


async def retries(front: Front, who: Who, query: Mapping[str, str]) -> Reply:
    """`GET /api/v1/retries`: what is tried next, keyset pages."""
    check_names(query, RETRIES.queries)
    found = await front.views.retries(
        RetryQuery(
            now=front.clock.steady_ms(),
            only=who.client,
            after=_retry_cursor(query.get("cursor", "1-")),
            filter=await filter_of(front.bulk, query.get("q"), who),
            limit=page_limit(query),
        )
    )
    behind = None if found.next is None else f"{found.next[0]}-{found.next[1]}"
    return json_reply(wire.RetryPage(tuple(map(retry_row, found.retries)), behind))


def _retry_cursor(text: str) -> tuple[int, str]:
    at, _, step_id = text.partition("-")
    if whole_number(at) < 1:
        raise _invalid("`cursor`: give the one that came with the page before.")
    return whole_number(at), step_id


async def tree(front: Front, who: Who, run_id: str) -> Reply:
    """`GET /api/v1/runs/{id}`: the run, its steps, every attempt; no bodies."""
    found = await front.views.tree(run_id)
    unknown = Refused(Problem.NOT_FOUND, f"There is no run {run_id[:64]!r}.")
    if found is None:
        raise await front.engine.gone_or(run_id, unknown, only=who.client)
    if who.client not in (None, found[0].client):
        raise unknown
    record, steps, attempts = found
    epoch = front.engine.parent_tokens.epoch
    by_step: dict[str, list[Any]] = {step.id: [] for step in steps}
    for attempt in attempts:
        by_step[attempt.step_id].append(attempt)
    engine = front.engine
    waits = why_wait(
        engine.places, engine.holds, engine.memory.live.get(run_id), record.client,
        record.workflow, steps,
    )  # fmt: skip
    rows = [step_row(it, by_step[it.id], epoch, _wait_row(waits.get(it.id))) for it in steps]
    if any(it.generation > 1 for it in rows):
        ended: dict[str, list[OutcomeRecord]] = {}
        for outcome in await front.views.outcomes(run_id):
            ended.setdefault(outcome.step_id, []).append(outcome)
        rows = [
            with_generations(it, ended.get(it.id, ())) if it.generation > 1 else it for it in rows
        ]
    shown = wire.RunTree(
        run=run_row(record),
        steps=tuple(rows),
        server_time=rfc3339(front.clock.steady_ms()),
        moves=tuple(move_row(move) for move in record.moves),
        notes=tuple(note_row(note) for note in record.notes),
    )
    if held := holds_over(front.engine.holds, record.client, record.workflow, steps):
        shown = replace(shown, holds=held)
    return json_reply(shown)


def _wait_row(why: WhyWaits | None) -> wire.WaitRow | None:
    return None if why is None else wire.WaitRow(why.waits_for, why.text)


async def step(front: Front, who: Who, step_id: str) -> Reply:
    """`GET /api/v1/steps/{id}`."""
    return json_reply(
        step_row(*await _found(front, who, step_id), front.engine.parent_tokens.epoch)
    )


async def _found(front: Front, who: Who, step_id: str) -> tuple[Step, list[AttemptRecord]]:
    unknown = Refused(Problem.NOT_FOUND, f"There is no step {step_id[:80]!r}.")
    await check_own(who, step_id, unknown, front.engine.memory.client_of, front.views)
    found = await front.views.step(step_id)
    if found is None:
        raise await front.engine.gone_or(run_of(step_id), unknown)
    return found


async def payload(
    front: Front, who: Who, step_id: str, query: Mapping[str, str], byte_range: str | None
) -> Reply:
    """`GET /api/v1/steps/{id}/payload`: what it is called with, or a generation of it was, but for
    what its client hides."""
    whole = asks_whole(query, who)
    found, _ = await _found(front, who, step_id)
    number = found.payload_generation
    if (generation := query.get("generation")) is not None:
        asked = _generation(found, generation)
        kept = await front.views.payload_number(step_id, asked)
        if kept is None:  # of a step that was posted again only the latest is
            detail = (
                f"What generation {asked} of the step was called with is not kept, as it was posted"
                f" again for generation {number}: of that there is the payload."
            )
            unknown = Refused(Problem.NOT_FOUND, detail)
            raise await front.engine.gone_or(found.run_id, unknown)
        number = kept
    return await _raw(front, found, number, byte_range, answer=False, whole=whole)


async def response(
    front: Front,
    who: Who,
    step_id: str,
    number: str | None,
    query: Mapping[str, str],
    byte_range: str | None,
) -> Reply:
    """`GET /api/v1/steps/{id}/response` and `…/attempts/{n}/response`: what the endpoint sent, or
    an operator set in its place, but for what its client hides."""
    whole, generation = asks_whole(query, who), query.get("generation")
    found, _ = await _found(front, who, step_id)
    attempt = found.attempts if found.set_by is None else found.answer_attempt
    if generation is not None:
        asked = _generation(found, generation)
        outcomes = await front.views.outcomes(found.run_id)
        of_it = [it for it in outcomes if (it.step_id, it.generation) == (step_id, asked)]
        if not of_it:
            raise Refused(Problem.NOT_FOUND, f"Generation {asked} of the step has no outcome.")
        if of_it[0].state == StepState.CANCELLED:  # what answered is that of one before
            raise Refused(Problem.NOT_FOUND, f"Generation {asked} was cancelled: it has no answer.")
        attempt = of_it[0].answer_attempt
    elif number is not None:
        if not 1 <= whole_number(number) <= found.attempts:
            raise Refused(Problem.NOT_FOUND, f"The step has no attempt {number[:20]!r}.")
        attempt = whole_number(number)
    return await _raw(front, found, attempt, byte_range, answer=True, whole=whole)


def _generation(step: Step, text: str) -> int:
    """Raises Refused for one that the step does not have."""
    generation = whole_number(text)
    if not 1 <= generation <= step.generation:
        raise Refused(Problem.NOT_FOUND, f"The step has no generation {text[:20]!r}.")
    return generation


async def _raw(
    front: Front, step: Step, number: int, byte_range: str | None, *, answer: bool, whole: bool
) -> Reply:
    """A recorded body, when there is room in memory for it."""
    body, room = await _body(front, step.id, number, answer=answer)
    try:
        if body is None:  # or its run has gone since it was looked at
            unknown = Refused(Problem.NOT_FOUND, "This body was not recorded.")
            raise await front.engine.gone_or(step.run_id, unknown)
        shown = body if whole else await shown_body(front, step, body)
        reply = raw_body(shown, byte_range, redacted=shown is not body)
    except BaseException:
        if room is not None:
            room.give_back()
        raise
    return reply if room is None else replace(reply, room=room)


async def _body(
    front: Front, step_id: str, number: int, *, answer: bool
) -> tuple[Body | None, Charge | None]:
    """A recorded body, None if there is none; and the room in memory that it takes, which whoever
    asks for it gives back: a small one takes none. Raises Refused."""
    read = partial(front.views.body, step_id, number, answer=answer)
    body = await read(bytes_max=SMALL_BYTES_MAX)
    if not isinstance(body, Larger):
        return body, None
    room = await wait_room(front.engine.budget, OPERATORS, body.size)
    try:
        body = await read()
        assert not isinstance(body, Larger)
    except BaseException:
        room.give_back()
        raise
    return body, room


def asks_whole(query: Mapping[str, str], who: Who) -> bool:
    """Whether a body is asked for with all that is hidden of it. Raises Refused for who may not."""
    wanted = query.get(WHOLE, "false")
    if wanted not in ("true", "false"):
        raise Refused(Problem.INVALID_REQUEST, f"`whole` is true or false; not {wanted[:64]!r}.")
    if wanted == "true" and who.role is not Role.ADMIN:
        raise Refused(
            Problem.FORBIDDEN,
            f"What is hidden of a body is for the role admin; the token {who.token!r} has"
            f" {who.role}. Without `whole` there is the body with *** in the place of it.",
        )
    return wanted == "true"


async def shown_body(front: Front, step: Step, body: Body) -> Body:
    """A step's payload or answer as people are shown it: the same object, if nothing is hidden. In
    an answer that is also what the payload hides, which it may quote. Raises Refused."""
    if not front.registry.redactions:
        return body
    redaction = front.registry.redactions.of(await _client_of(front, step))
    if redaction is None:
        return body
    values = await _hidden_of(front, step, body.number, redaction) if body.answer else ()
    steps = redaction.shown(
        body.data,
        body.content_type,
        is_json=body.json or not body.answer,
        is_cut=body.size >= 0,
        values=values,
    )
    data = await front.costly.run(steps, OPERATORS)
    return body if data is body.data else replace(body, data=data)


async def _hidden_of(
    front: Front, step: Step, answer: int, redaction: Redaction
) -> Sequence[str] | None:
    """What is hidden of the payload that an answer may quote; None: it cannot be told, or is not
    to be. Raises Refused."""
    number = await _payload_behind(front, step, answer)
    if number is None:
        return None
    payload, room = await _body(front, step.id, number, answer=False)
    try:
        if payload is None:
            return None  # it is not kept any more
        steps = redaction.values_in(payload.data)
        values = await front.costly.run(steps, OPERATORS)
    finally:
        if room is not None:
            room.give_back()
    if answer < 0 and values:
        return None  # who set it would learn by a mask which of their guesses is right
    return values


async def _payload_behind(front: Front, step: Step, answer: int) -> int | None:
    """The number of the payload that an answer was given to, which need not be today's; None: it
    is not kept any more."""
    if step.payload_generation == 1:
        return 1  # there has been no other
    generation: int | None = -answer  # of a result that was set
    if answer > 0:
        found = await front.views.step(step.id)
        attempts = () if found is None else found[1]
        generation = next((it.generation for it in attempts if it.number == answer), None)
    return generation and await front.views.payload_number(step.id, generation)


async def shown_outcome(front: Front, result: Result) -> Result:
    """An outcome as people are shown it: the same object, if nothing is hidden."""
    if not isinstance(result, Recorded) or result.body is None:
        return result
    try:
        body = await shown_body(front, result.step, result.body)
    except BaseException:
        if result.room is not None:
            result.room.give_back()
        raise
    return result if body is result.body else replace(result, body=body)


async def _client_of(front: Front, step: Step) -> str:
    """Whose step it is. Raises Refused if its run has gone meanwhile: whose rules hold is not known
    then, so nothing of it is shown."""
    found = front.engine.memory.client_of(step.run_id)
    found = found or await front.views.client_of(step.run_id)
    if found is None:
        raise Refused(Problem.NOT_FOUND, f"There is no step {step.id[:80]!r} any more.")
    return found
