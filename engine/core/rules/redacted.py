"""What is recorded for people of a failed attempt, where its client hides something.

Both the answer and the payload that it speaks of may hold it. What is recorded stays, so it is
masked before: nobody could take it out of a reason afterwards.
"""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from engine.core.outcome import FAILED_BODY_BYTES_MAX, Answered
from engine.core.rules.excerpt import excerpt_of
from engine.core.text.redaction import Redaction, at_once
from engine.core.text.secrets import MASK

VALUES_MAX = 100
"""Of a payload, that are looked for in a reason: it is done at once, between other attempts."""


def redacted(answer: Answered, redaction: Redaction, payload: bytes | None) -> Answered:
    """An answer with its reason masked; its body stays whole, for `shown` to mask when it is asked
    for. An answer that is recorded as an outcome is returned as it is.

    `payload`: what was sent; None: it is too large to be looked through here. Then, where it hides
    more than VALUES_MAX values, and of an answer that was cut, the reason is masked whole: it may
    tell a part of what nobody looked at.
    """
    if answer.ok or answer.fault is not None:
        return answer
    values = None if payload is None else at_once(redaction.values_in(payload, VALUES_MAX))
    if values is None or answer.size >= 0 or len(answer.body) > FAILED_BODY_BYTES_MAX:
        body = MASK.encode() if answer.body else b""
    else:
        body = at_once(redaction.shown(answer.body, answer.content_type))
    told = partial(redaction.told, values=values or ())
    reason = excerpt_of(replace(answer, body=body), told)
    where = answer.location
    if where is not None:
        where = MASK if values is None else told(where)
    return replace(answer, excerpt=reason or "", location=where)
