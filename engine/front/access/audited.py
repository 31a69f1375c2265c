"""What the audit keeps of a request: an act by its route and body, or the token that was refused.

Payloads and answers are not kept in it: they belong to runs, and may be secret. So may be whatever
a member holds that the route does not know, as one that is misspelt: it is kept by its name alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import fields

from engine.core.errors import Refused
from engine.core.model import run_of
from engine.core.text.secrets import without_secrets
from engine.front.access.gate import Gate
from engine.front.access.who import Who
from engine.front.server.reply import Reply
from engine.front.server.strict import RawHeaders
from engine.ports.audit import Names
from engine.ports.views import Views
from engine.registry.audit import Audit, Refusal
from engine.wire import Action
from engine.wire.routes import (
    ACT,
    ANSWER,
    BEFORE_ACTION,
    LAST_ANSWER,
    PAYLOAD,
    UNKNOWN_ACTION,
    WHOLE,
    Route,
)

DETAIL_CHARACTERS_MAX = 1_024
PATH_CHARACTERS_MAX = 200
_NAMING = ("name", "q", "file")
"""Members that say what something is done to, if the path does not."""
_BODIES = ("payload", "result")
_NOT_KEPT = "(not kept)"
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"?')
"""A text in JSON, which may be cut. Each is masked by itself: of a list of names that are hidden
none gives the next one a value."""


_ABOUT_RUNS = frozenset({ACT, PAYLOAD, LAST_ANSWER, ANSWER})


class Act(Struct, frozen=True):
    """What somebody asks for."""

    act: str
    what: str
    detail: str
    run_id: str | None = None
    """Of the run that it is about, or whose step; None: it is about none."""
    step_id: str = ""


class _Problem(Struct):
    type: str = ""
    detail: str = ""


_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_problem = msgspec.json.Decoder(_Problem).decode


def is_act(route: Route[Any], query: Mapping[str, str]) -> bool:
    """Whether a request to a route is kept: of a body, that all of it is asked for."""
    if WHOLE in route.queries:
        return query.get(WHOLE) == "true"
    return bool(route.act)


def act_of(route: Route[Any], names: Mapping[str, str], body: bytes) -> Act | None:
    """The act that a request is; None: it is none, or only tries one (`dryRun`).

    `names`: what the path has for the names in braces.
    """
    if not route.act:
        return None
    asked = _members(route, body)
    if asked.get("dryRun") is True:
        return None
    before = BEFORE_ACTION.get(route)
    act = route.act if before is None else f"{before}{_action(asked.pop('action', None))}"
    what = " ".join(names.values()) or _named(asked)
    id = names.get("id", "") if route in _ABOUT_RUNS else ""
    step_id = asked.get("step", id) if route is ACT else id
    detail = _cut(msgspec.json.encode(asked).decode()) if asked else ""
    return Act(
        _cut(act, PATH_CHARACTERS_MAX),
        _cut(what, DETAIL_CHARACTERS_MAX),
        _cut(_TEXT.sub(lambda found: without_secrets(found[0]), detail)),
        run_of(id) or None,
        step_id if isinstance(step_id, str) else "",
    )


async def names_of(
    act: Act, who: Who, at_hand: Callable[[str, str], Names | None], views: Views
) -> Names | None:
    """What the run or step is called that an act is about: for people. None: it is about none, or
    about one that is not known, cannot be read now, or is not for who asks."""
    if act.run_id is None:
        return None
    found = at_hand(act.run_id, act.step_id)
    if found is None:
        try:
            found = await views.names(act.run_id, act.step_id)
        except Refused:  # the act says so itself
            return None
    return found if found is not None and who.client in (None, found.client) else None


def _action(asked: object) -> str:
    """Its name of today; what is none is one kind: who asks could make up names without end."""
    try:
        return Action(str(asked)).value
    except ValueError:
        return UNKNOWN_ACTION


def _members(route: Route[Any], body: bytes) -> dict[str, Any]:
    """Of a body what may be kept: what the route knows, and the names of the rest.

    Bodies within it are not looked at: the record takes numbers that the decoder does not.
    """
    if route.body is None or not body:
        return {}  # of a look the address says all, whatever is sent with it
    try:
        found = _decode_members(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}  # it is refused, which the status says
    kept = {it.encode_name for it in fields(route.body)}.difference(_BODIES)
    return {name: _value(raw) if name in kept else _NOT_KEPT for name, raw in found.items()}


def _value(raw: Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOT_KEPT


def _named(asked: dict[str, Any]) -> str:
    kind = asked.pop("kind", None)
    name = next((asked.pop(member) for member in _NAMING if member in asked), "")
    return f"{kind} {name}" if kind else str(name)


def _cut(text: str, most: int = DETAIL_CHARACTERS_MAX) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def problem_of(body: bytes) -> str | None:
    """The type of a problem document, without the path of its page; None: it is none."""
    return _read(body).type.rpartition("/")[2] or None


def note_refused_token(
    audit: Audit,
    gate: Gate,
    method: str,
    path: str,
    headers: RawHeaders,
    address: str | None,
    reply: Reply,
) -> None:
    """Have the audit know if it is a token that was refused: none of ours, or too little of one."""
    if reply.status not in (401, 403):
        return
    who, is_known = gate.whose_token(method, headers)
    if who:
        what = f"{method} {path[:PATH_CHARACTERS_MAX]}"
        why = _cut(_read(reply.body).detail)
        audit.refused(Refusal(who, address, what, reply.status, why, is_known))


def _read(body: bytes) -> _Problem:
    try:
        return _decode_problem(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Problem()
