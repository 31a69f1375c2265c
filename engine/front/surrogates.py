"""Posts with lone surrogates, halves of characters such as `\\ud83d`: no JSON to the decoder.

A payload may hold them: it is stored and sent on as it came. Names may not, nor anything else that
is shown.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from engine.core.json_text import StandIns
from engine.wire import Submission


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
        stand_ins = StandIns(body)
        if not stand_ins.found:
            raise
    try:
        submission = decode_plain(stand_ins.text)
    except msgspec.DecodeError as error:
        raise type(error)(stand_ins.spelled(str(error))) from error
    as_sent = Raw(stand_ins.original(bytes(submission.payload)))
    return msgspec.structs.replace(submission, payload=as_sent)


def why_no_text(body: bytes, error: Exception) -> str:
    """What to say of a body that was not decoded and in which no lone surrogate is taken."""
    if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
        stand_ins = StandIns(body)
        if stand_ins.found:
            return f"`{stand_ins.first()}` is half of a surrogate pair, and no character"
    return str(error)
