"""Posts with lone surrogates, halves of characters such as `\\ud83d`: no JSON to the decoder.

A payload may hold them: it is stored and sent on as it came. Names may not, nor anything else that
is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Raw

from engine.core.text.json_text import StandIns, with_equal_stand_ins
from engine.wire import Submission

LARGE_BYTES = 4_096
"""From here on a lone surrogate must not cost a microsecond: there may be 170,000."""
PLACES_TRIED_MAX = 4


def decode(body: bytes, decode_plain: Callable[[bytes], Submission]) -> Submission:
    """The submission in a body, its payload as it came, also with lone surrogates.

    Raises msgspec.DecodeError and msgspec.ValidationError, as `decode_plain` does, with the body's
    own spelling and offsets in what they say.
    """
    try:
        return decode_plain(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if len(body) > LARGE_BYTES and (found := _decode_large(body, decode_plain)) is not None:
            return found
        stand_ins = StandIns(body)
        if not stand_ins.found:
            raise
    return _decode_with(stand_ins, decode_plain)


def _decode_with(stand_ins: StandIns, decode_plain: Callable[[bytes], Submission]) -> Submission:
    try:
        submission = decode_plain(stand_ins.text)
    except msgspec.DecodeError as error:
        raise type(error)(stand_ins.spelled(str(error))) from error
    as_sent = Raw(stand_ins.original(bytes(submission.payload)))
    name = submission.step_name
    name = None if name is None else stand_ins.with_halves(name)  # it is refused, as it was sent
    return msgspec.structs.replace(submission, payload=as_sent, step_name=name)


def _decode_large(body: bytes, decode_plain: Callable[[bytes], Submission]) -> Submission | None:
    """The same for a large body, in which each lone surrogate would cost too much.

    The payload is looked for by its text: where `null` in that place makes it `null`, it is. None:
    it was not found.
    """
    text = with_equal_stand_ins(body)
    try:
        payload = bytes(decode_plain(text).payload)
    except msgspec.DecodeError as error:
        raise type(error)(str(error).replace("\uffff", "\ufffd")) from error
    at = -1
    for _ in range(PLACES_TRIED_MAX):
        at = text.find(payload, at + 1)
        if at < 0:
            break
        behind = at + len(payload)
        with suppress(msgspec.DecodeError):
            rest = StandIns(body[:at] + b"null" + body[behind:])
            submission = _decode_with(rest, decode_plain)
            if bytes(submission.payload) == b"null":
                return msgspec.structs.replace(submission, payload=Raw(body[at:behind]))
    return None
