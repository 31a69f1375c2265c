"""What operators do: `POST /api/v1/runs/{id}/actions`, holds. `protocol.md` §5."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import fields, replace

from engine import wire
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.model import Move
from engine.core.retarget import read_move
from engine.core.rules.action import Action, Order
from engine.core.rules.hold import Hold
from engine.core.rules.repair import Given
from engine.core.text.json_text import declares_json, nesting
from engine.core.text.secrets import MASK
from engine.front.access.own import check_own
from engine.front.access.who import Who
from engine.front.api.context import Front
from engine.front.api.figures import hold_rows, holds_of, holds_over
from engine.front.asked import decode_asked
from engine.front.server.reply import Reply
from engine.front.show.bodies import OPERATORS
from engine.front.show.replies import json_reply, problem_reply
from engine.front.show.rows import hold_row, named_step, run_row, step_row
from engine.ports.views import RunRecord, record_of
from engine.process.config import Config
from engine.runs.limits.refusals import no_such_run
from engine.shown.holds import hold_name

_decode = msgspec.json.Decoder(wire.ActionRequest).decode
_decode_hold = msgspec.json.Decoder(wire.HoldRequest).decode
_decode_release = msgspec.json.Decoder(wire.ReleaseRequest).decode
JSON = "application/json"
SKIPPED = 204
"""RFC 9110 §15.3.5: done, and nothing to say."""
WITHOUT_BODY = frozenset({204, 205})
"""Of the statuses that a result may have (RFC 9110, 15.3.5 and 15.3.6)."""
_BELONGS = {
    "result": Action.SET_RESULT,
    "content_type": Action.SET_RESULT,
    "http_status": Action.SET_RESULT,
    "payload": Action.RERUN,
}
_MEMBERS = {it.name: it.encode_name for it in fields(wire.ActionRequest)}
_text = msgspec.json.Decoder(str).decode


async def action(
    front: Front,
    who: Who,
    run_id: str,
    body: bytes,
    actor: Actor,
    read_key: Callable[[], str | None],
) -> Reply:
    """Carry out, or with `dryRun` only say, what an action does. `read_key` reads the idempotency
    key of the request: a repair that is asked for with it again is the same. For other actions it
    is not read, whatever it is."""
    asked = decode_asked(body, _decode, "action")
    key = read_key() if _is_repair(asked) else None
    move, given = move_of(asked), given_of(asked, key, front.config)
    if not front.engine.draining:  # else all are refused alike
        at_hand = front.engine.memory.client_of
        await check_own(who, run_id, no_such_run(run_id), at_hand, front.views)
    if given is not None:
        await _refuse_masked(front, run_id, asked, given)
    try:
        order = Order(
            asked.action,
            asked.step,
            actor,
            asked.reason,
            move=move,
            given=given,
            if_rev=asked.if_rev,
            dry_run=asked.dry_run,
        )
        run, done = await front.engine.act(run_id, order)
    except Refused as refused:
        if refused.problem is not Problem.REVISION_CHANGED:
            raise _naming_holds(front, refused, run_id, asked.step) from refused
        return await _changed_meanwhile(front, refused, run_id, asked.step)
    record = await stopped_record(front, run_id) if run is None else record_of(run)
    steps = {} if run is None else run.steps
    step = steps.get(asked.step or "")
    answer = wire.ActionAnswer(
        action=asked.action,
        dry_run=asked.dry_run,
        run=run_row(record),
        step=None if step is None else step_row(step),
        changed=tuple(done.changed),
        changed_steps=tuple(named_step(steps[id]) for id in done.changed) if asked.dry_run else (),
        recorded_after=tuple(named_step(steps[id]) for id in done.recorded_after),
        moved=tuple(
            wire.MovedStep(it.step_id, named_step(steps[it.step_id]).step_name, *it.urls)
            for it in done.moved
        ),
    )
    if asked.dry_run:  # of a run that a bug has stopped its record is as it is
        answer = replace(answer, status_before=done.state_before or record.state)
    if run is not None and (
        held := holds_over(
            front.engine.holds, run.client, run.root.spec.workflow, run.steps.values()
        )
    ):
        answer = replace(answer, holds=held)
    reply = json_reply(answer, 200 if asked.dry_run else 202)
    if done.repeated:
        reply = replace(reply, headers=(*reply.headers, ("idempotent-replayed", "true")))
    return reply


async def hold(front: Front, body: bytes, actor: Actor) -> Reply:
    """`POST /api/v1/holds`."""
    asked = decode_asked(body, _decode_hold, "hold")
    held = await front.engine.hold(asked.kind, asked.name, asked.reason, actor)
    return _hold_reply(front, held)


async def release(front: Front, body: bytes, actor: Actor) -> Reply:
    """`POST /api/v1/holds/release`."""
    asked = decode_asked(body, _decode_release, "release")
    released = await front.engine.release(asked.kind, asked.name, asked.rate_per_s, actor)
    return _hold_reply(front, released)


def _hold_reply(front: Front, hold: Hold) -> Reply:
    return json_reply(hold_row(hold, front.engine.holds.waiting.get(hold.key, 0)))


def holds(front: Front, who: Who) -> Reply:
    """`GET /api/v1/holds`."""
    found = front.engine.holds
    if who.client is not None:
        rows = holds_of(found, who.client)
        return json_reply(wire.HoldList(rows, found.waiting_in_all_of.get(who.client, 0)))
    return json_reply(wire.HoldList(hold_rows(found), found.waiting_in_all))


def move_of(asked: wire.ActionRequest | wire.BulkRequest) -> Move | None:
    """What a `retarget` does. Raises Refused, also where another action was given URLs."""
    if asked.action is Action.RETARGET:
        return read_move(asked.from_ or None, asked.to or None)
    if asked.from_ or asked.to:
        raise Refused(
            Problem.INVALID_REQUEST,
            f"`from` and `to` belong to `retarget`, not to `{asked.action}`.",
            member="from" if asked.from_ else "to",
        )
    return None


def _naming_holds(front: Front, refused: Refused, run_id: str, step_id: str | None) -> Refused:
    """A held step that is retried is refused for its state, which says nothing: the hold does."""
    live = front.engine.memory.live.get(run_id)
    if refused.problem is not Problem.NOT_POSSIBLE or live is None:
        return refused
    run = live.run
    steps = [run.steps[step_id]] if step_id in run.steps else list(run.steps.values())
    over = holds_over(front.engine.holds, run.client, run.root.spec.workflow, steps)
    held = [it for it in over if it.released_at is None]  # a released one lets go
    if not held:
        return refused
    named = " and ".join(hold_name(it.kind, it.name) for it in held)
    what = f"A hold on {named} keeps" if len(held) == 1 else f"Holds on {named} keep"
    detail = f"{refused.detail} {what} it back: `atomic holds` says why."
    return Refused(refused.problem, detail, **refused.members)


async def _changed_meanwhile(
    front: Front, refused: Refused, run_id: str, step_id: str | None
) -> Reply:
    """The row as it is goes with the refusal."""
    found = await front.views.tree(run_id)
    rows: dict[str, object] = {}
    if found is not None:
        rows["run"] = run_row(found[0])
        if step_id is not None:
            rows["step"] = next((step_row(s) for s in found[1] if s.id == step_id), None)
    return problem_reply(refused.problem, refused.detail, **refused.members, **rows)


async def stopped_record(front: Front, run_id: str) -> RunRecord:
    """A run that a bug stopped, as the store has it: it is not read for this."""
    found = await front.views.tree(run_id)
    assert found is not None, run_id
    return found[0]


def _is_repair(asked: wire.ActionRequest) -> bool:
    return asked.action in (Action.SET_RESULT, Action.SKIP) or asked.payload is not UNSET


def given_of(asked: wire.ActionRequest, key: str | None, config: Config) -> Given | None:
    """What is given; None: nothing, and the action needs nothing. `key`: the idempotency key of the
    request. Raises Refused."""
    for name, action in _BELONGS.items():
        if getattr(asked, name) is not UNSET and asked.action is not action:
            member = _MEMBERS[name]
            raise _refused(f"`{member}` belongs to `{action}`, not to `{asked.action}`.", member)
    if asked.action is Action.SKIP:
        return _given(SKIPPED, b"", "", key)
    if asked.action is Action.SET_RESULT:
        return _result(asked, key, config.answer_bytes_max)
    if isinstance(asked.payload, UnsetType):
        return None
    payload = _in_utf8(asked.payload, "payload")
    if nesting(payload, config.json_depth_max) > config.json_depth_max:
        raise _refused(f"`payload` nests deeper than {config.json_depth_max} levels.", "payload")
    return _given(0, payload, JSON, key, json=True)


async def _refuse_masked(
    front: Front, run_id: str, asked: wire.ActionRequest, given: Given
) -> None:
    """Raises Refused for what was read with masks in it and comes back: an application would be
    given those."""
    registry = front.registry
    member = "result" if isinstance(asked.payload, UnsetType) else "payload"
    sent: Raw | UnsetType = getattr(asked, member)
    if not registry.redactions or isinstance(sent, UnsetType) or MASK.encode() not in bytes(sent):
        return
    client = front.engine.memory.client_of(run_id) or await front.views.client_of(run_id)
    redaction = None if client is None else registry.redactions.of(client)
    if redaction is None:
        return
    steps = redaction.masks_in(given.data, is_json=given.json)
    if pointers := await front.costly.run(steps, OPERATORS):
        where = ", ".join(it or "all of it" for it in pointers)
        raise Refused(
            Problem.INVALID_REQUEST,
            f"`{member}` has *** in the place of a value: {where}. It was read masked, as the"
            f" client {client} hides something. Give the value, which the role admin may read"
            " (`atomic body --whole`). Where three asterisks are meant, write one as `\\u002a`.",
            member=member,
            pointers=pointers,
        )


def _result(asked: wire.ActionRequest, key: str | None, bytes_max: int) -> Given:
    if isinstance(asked.result, UnsetType):
        raise _refused("`set-result` needs `result`: any JSON, `null` too.", "result")
    content_type = JSON if isinstance(asked.content_type, UnsetType) else asked.content_type
    status = 200 if isinstance(asked.http_status, UnsetType) else asked.http_status
    is_json = declares_json(content_type)
    data = _in_utf8(asked.result, "result")
    data = data if is_json else _as_text(data, content_type)
    if data and status in WITHOUT_BODY:
        raise _refused(
            f"`httpStatus`: an answer with {status} has no body, and so no result: leave the status"
            " out, give another, or do without the step (`skip`).",
            "httpStatus",
        )
    if len(data) > bytes_max:
        raise Refused(
            Problem.TOO_LARGE,
            f"`result` is larger than an answer may be: {bytes_max:,} bytes (answer_bytes_max).",
            limit="answer_bytes_max",
        )
    return _given(status, data, content_type, key, json=is_json)


def _in_utf8(given: Raw, member: str) -> bytes:
    """The bytes as they came. The decoder does not look into strings that it only passes."""
    try:
        bytes(given).decode()
    except UnicodeDecodeError as error:
        raise _refused(f"`{member}` is not UTF-8 at byte {error.start}.", member) from error
    return bytes(given)


def _as_text(result: bytes, content_type: str) -> bytes:
    try:
        return _text(result).encode()
    except msgspec.DecodeError as error:
        what = f"`contentType` is {content_type}: `result` is a text then, in JSON's quotes."
        raise _refused(what, "result") from error


def _given(
    status: int, data: bytes, content_type: str, key: str | None, *, json: bool = False
) -> Given:
    digest = hashlib.sha256(f"{status} {content_type}\n".encode() + data).digest()
    return Given(status, digest, key, data, content_type, json)


def _refused(detail: str, member: str) -> Refused:
    return Refused(Problem.INVALID_REQUEST, detail, member=member)
