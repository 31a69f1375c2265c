"""Why runs need a person, and what people say of it: notes, and that a cause is dismissed until it
comes again. `protocol.md` §5."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine import wire
from engine.core.cause import CAUSE_HEX_DIGITS
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.text.times import rfc3339
from engine.front.access.who import Who
from engine.front.api.context import Front
from engine.front.asked import decode_asked, whole_number
from engine.front.server.reply import Reply
from engine.front.show.replies import json_reply
from engine.front.show.rows import cause_row, note_row
from engine.ports.views import StuckOf
from engine.registry.causes import Dismissal
from engine.runs.limits.refusals import draining, store_unavailable
from engine.wire.routes import DISMISSED

NEW_WITHIN_MS = 300_000
"""Runs that got stuck within so long are told apart."""
_CAUSE = re.compile(f"[0-9a-f]{{{CAUSE_HEX_DIGITS}}}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_decode_note = msgspec.json.Decoder(wire.NoteRequest).decode
_decode_dismissal = msgspec.json.Decoder(wire.DismissRequest).decode


class Hidden(Struct, frozen=True):
    """What is dismissed and has not come again, for who asks."""

    causes: frozenset[str]
    runs: int
    """In all of them."""


async def hidden_of(front: Front, client: str | None, *, as_of_now: bool = False) -> Hidden:
    """For who sees the runs of this client, or (None) all."""
    stuck = {}
    if dismissals := dict(front.said_of_causes.dismissals(client)):
        stuck = await front.views.stuck_of(dismissals, client, as_of_now=as_of_now)
    kept = {of: it for of, it in stuck.items() if not dismissals[of].came_again(it.last_at)}
    return Hidden(frozenset(kept), sum(it.runs for it in kept.values()))


async def causes(front: Front, who: Who, query: Mapping[str, str]) -> wire.CauseList:
    """`GET /api/v1/causes`: why runs need a person."""
    asks_dismissed = query.get(DISMISSED, "false")
    if asks_dismissed not in ("true", "false"):
        detail = f"`{DISMISSED}` is true or false; not {asks_dismissed[:64]!r}."
        raise Refused(Problem.INVALID_REQUEST, detail)
    hidden = await hidden_of(front, who.client, as_of_now=True)
    found = await front.views.causes(
        front.clock.steady_ms() - NEW_WITHIN_MS,
        who.client,
        () if asks_dismissed == "true" else hidden.causes,
    )
    said, rows = front.said_of_causes, []
    for each in found:
        dismissal = said.dismissals(who.client).get(each.cause)
        row = replace(
            cause_row(each), notes=tuple(map(note_row, said.notes_of(each.cause, who.client)))
        )
        if dismissal is not None:
            row = replace(row, dismissal=_dismissal_row(dismissal, each.last_at))
        rows.append(row)
    return wire.CauseList(
        causes=tuple(rows),
        runs=sum(each.runs for each in found),
        new_within_ms=NEW_WITHIN_MS,
        dismissed_causes=len(hidden.causes),
        dismissed_runs=hidden.runs,
    )


def _dismissal_row(dismissal: Dismissal, last_at: int) -> wire.DismissalRow:
    return wire.DismissalRow(
        at=rfc3339(dismissal.at),
        actor=dismissal.actor,
        reason=dismissal.reason,
        came_again=dismissal.came_again(last_at),
    )


async def note_cause(front: Front, who: Who, cause: str, body: bytes, actor: Actor) -> Reply:
    """`POST /api/v1/causes/{cause}/notes`."""
    asked = decode_asked(body, _decode_note, "note")
    _refuse_to_write(front)
    if not front.said_of_causes.notes_of(cause, who.client):
        await _stuck_of(front, who, cause)
    written = await front.said_of_causes.note(cause, who.client, asked.text, actor)
    return json_reply(note_row(written))


async def take_note_back(front: Front, who: Who, cause: str, number: str, actor: Actor) -> Reply:
    """`POST /api/v1/causes/{cause}/notes/{number}/remove`."""
    _refuse_to_write(front)
    place = whole_number(number)
    return json_reply(
        note_row(await front.said_of_causes.take_back(cause, who.client, place, actor))
    )


async def dismiss_cause(front: Front, who: Who, cause: str, body: bytes, actor: Actor) -> Reply:
    """`POST /api/v1/causes/{cause}/dismiss`: what has come later than it was seen comes again."""
    asked = decode_asked(body, _decode_dismissal, "dismissal")
    _refuse_to_write(front)
    last_at = (await _stuck_of(front, who, cause)).last_at
    seen = last_at if asked.last_at is None else min(last_at, _ms(asked.last_at))
    said = front.said_of_causes
    dismissal = await said.dismiss(cause, who.client, asked.reason, seen, actor)
    return json_reply(_dismissal_row(dismissal, last_at))


async def undismiss_cause(front: Front, who: Who, cause: str, actor: Actor) -> Reply:
    """`POST /api/v1/causes/{cause}/undismiss`."""
    _refuse_to_write(front)
    taken = await front.said_of_causes.undismiss(cause, who.client, actor)
    stuck = (await front.views.stuck_of([cause], who.client)).get(cause)
    return json_reply(_dismissal_row(taken, 0 if stuck is None else stuck.last_at))


async def _stuck_of(front: Front, who: Who, cause: str) -> StuckOf:
    """Raises Refused for a cause that no run needs a person for."""
    known = _CAUSE.fullmatch(cause)
    found = await front.views.stuck_of([cause], who.client) if known else {}
    if cause not in found:
        raise Refused(Problem.NOT_FOUND, f"No run needs a person for a cause {cause[:80]!r}.")
    return found[cause]


def _refuse_to_write(front: Front) -> None:
    if front.engine.draining:
        raise draining()
    if (away := front.engine.store.away) is not None:
        raise store_unavailable(away)


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
