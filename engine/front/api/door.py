"""The door: posts answered at the connection, without a framework between.

`POST /{client}` is what the engine lives by. A connection that reads one (whole, with a
Content-Length, checked as strictly as every request) hands it here; it is answered by the same
`answer_submission`, behind the same access checks, that Quart's route calls. Anything else, and
whatever is unusual about a post (chunked, `Expect`, HTTP/1.0), goes to Quart: one function, two
ways to it.
"""

from __future__ import annotations

import re
from functools import partial

import trio

from engine.core.errors import Problem
from engine.front.access.audited import note_refused_token
from engine.front.access.gate import posted_to
from engine.front.access.parent import parent_in, parent_of
from engine.front.access.who import Who
from engine.front.api.context import Front
from engine.front.api.reasons import detail_of, note_denied, note_unread
from engine.front.api.submit import answer_submission
from engine.front.server.post import Peer, Stranger
from engine.front.server.refusal import Denied
from engine.front.server.reply import Reply
from engine.front.server.strict import BadRequest, RawHeaders, RequestHead
from engine.front.show.replies import problem_reply
from engine.process.budget import Parcel
from engine.runs.limits.refusals import RETRY_AFTER_S
from engine.wire.routes import SUBMIT

AT_ONCE_S = 1.0
"""Who was answered within so long is not asked again whether their token has run out meanwhile; of
one that was taken away it is known."""
_PATH = re.compile(rb"[A-Z]+ (/[^ ?\r\n]*)")


class EngineDoor:
    """Answers posts for one engine."""

    def __init__(self, front: Front) -> None:
        self._front = front

    @property
    def asks_token(self) -> bool:
        """Whether heads are to be looked at (`denied`) before the body is read."""
        return self._front.registry.asks_token

    @property
    def has_proxies(self) -> bool:
        """Whether it matters where a connection comes from (`stranger`)."""
        return self._front.proxies.are_known

    def stranger(self, peer: str | None) -> Stranger | None:
        """What refuses the requests of a connection from this address; None: it is a proxy's."""
        proxies = self._front.proxies
        return partial(proxies.refusal, peer) if proxies.is_stranger(peer) else None

    def token_of(self, authorization: bytes) -> bytes:
        """The digest of the good token in the value of that header; empty: it has none."""
        return self._front.gate.token_of(authorization)

    def owner_of(self, token: bytes) -> str | None:
        """The client of the token with this digest, or the token itself if it is bound to none;
        None: it is not good. Where no tokens are asked for all are one."""
        return self._front.gate.owner_of(token)

    def lets_in(self, head: RequestHead) -> bool:
        """Whether it is a prober's, or of who operates the engine: answered also where there are as
        many connections as may be."""
        return self._front.gate.lets_in(head)

    def denied(self, head: RequestHead, peer: Peer) -> Reply | None:
        """The refusal of a request for its token, before its body is read."""
        method = head.method.decode("ascii")
        reply = self._front.gate.check_head(method, head.target, head.fields)
        if reply is not None:
            path = head.target.partition(b"?")[0].decode("latin1")
            _note_refused(self._front, method, path, head.fields, peer, reply)
        return reply

    def refused(self, limit: str, head: RequestHead | None) -> None:
        """A request was refused before it was read. If it is a post, or may have been one, the
        attempt that made it counts as interrupted."""
        engine = self._front.engine
        route, client, _ = (SUBMIT, "", "") if head is None else posted_to(head.target)
        is_post = route is SUBMIT and (head is None or head.method == b"POST")
        client = client if is_post else ""
        engine.run_log.overloaded(limit, client, retry_after_s=RETRY_AFTER_S)
        if is_post:
            engine.note_refused(None if head is None else parent_of(head.fields))

    def refused_for_good(self, head: RequestHead | None, refusal: BadRequest) -> None:
        """A request was refused before it was read: the attempt of its parent token says so."""
        if refusal.status == 408:
            return  # slow, and not wrong
        if refusal.head:
            target, parent_token = _PATH.match(refusal.head), parent_in(refusal.head)
            path = "/" if target is None else target[1].decode("latin1")
        elif head is not None:
            path, parent_token = head.target.decode("latin1"), parent_of(head.fields) or ""
        else:
            return
        denied = refusal.reply if isinstance(refusal, Denied) else None
        detail = refusal.detail if denied is None else detail_of(denied)
        note_unread(self._front.engine, path, parent_token, detail)

    async def answer(self, client: str, headers: RawHeaders, body: Parcel, peer: Peer) -> Reply:
        """The answer to a post. Raises nothing but a cancel."""
        front = self._front
        began, version = trio.current_time(), front.registry.version
        who = front.gate.check(SUBMIT, "", "POST", headers, client)
        if isinstance(who, Reply):
            reply = who
            note_denied(front.engine, client, headers, body.data, reply)
            _note_refused(front, "POST", f"/{client}", headers, peer, reply)
        else:
            try:
                reply = await answer_submission(front, who, client, headers, body)
                if who.token and (
                    front.registry.version != version or trio.current_time() - began > AT_ONCE_S
                ):
                    reply = unless_lapsed(front, who, "POST", f"/{client}", headers, peer, reply)
            except Exception as error:  # noqa: BLE001 - a bug ends its request, not the server
                reply = internal_error(front, error, f"/{client}")
        front.metrics.request("POST", reply.status)
        return reply


def _note_refused(
    front: Front, method: str, path: str, headers: RawHeaders, peer: Peer, reply: Reply
) -> None:
    address = front.proxies.address(headers, peer())
    note_refused_token(front.audit, front.gate, method, path, headers, address, reply)


def unless_lapsed(
    front: Front,
    who: Who,
    method: str,
    path: str,
    headers: RawHeaders,
    peer: Peer,
    reply: Reply,
) -> Reply:
    """The answer to who may have waited long for it; or the refusal, if their token has been taken
    away meanwhile. Then the function that posted is told as of a post that was refused."""
    lapsed = front.gate.lapsed(who, method, headers)
    if lapsed is None:
        return reply
    if reply.room is not None:
        reply.room.give_back()
    if method == "POST":
        note_denied(front.engine, path[1:], headers, b"", lapsed)
    _note_refused(front, method, path, headers, peer, lapsed)
    return lapsed


def internal_error(front: Front, error: Exception, path: str) -> Reply:
    """The answer to a request that met a bug of ours: an id that finds the log's traceback."""
    incident = front.clock.token_bytes(6).hex()
    front.log("request-failed", incident=incident, path=path, exc_info=error)
    return problem_reply(
        Problem.INTERNAL,
        "The engine has a bug; its log has the details. Post again with the same key.",
        incident=incident,
    )
