"""Answers by their kind: JSON, a problem, a refusal."""

from __future__ import annotations

from typing import Any

import msgspec

from engine import wire
from engine.core.errors import Problem, RateLimit, Refused
from engine.core.text.times import rfc3339
from engine.front.server.reply import Reply

JSON = ("content-type", "application/json")
PROBLEM_JSON = ("content-type", "application/problem+json")
_TIMES = ("submittedAt", "finishedAt", "removedAt")
"""Members of a refusal that are times: it has them in milliseconds since the epoch."""
_encode = msgspec.json.Encoder().encode


def json_reply(value: Any, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, (JSON,), _encode(value))


def problem_reply(kind: Problem, detail: str, **members: Any) -> Reply:
    """A problem document with its status; `retryAfter` (seconds) also becomes the header, and
    `rateLimit` headers alone (`draft-ietf-httpapi-ratelimit-headers`)."""
    headers: tuple[tuple[str, str], ...] = (PROBLEM_JSON,)
    if (seconds := members.get("retryAfter")) is not None:
        headers += (("retry-after", str(seconds)),)
    limit: RateLimit | None = members.pop("rateLimit", None)
    if limit is not None:
        policy, quota, window_s, reset_s = limit
        window = "" if window_s is None else f";w={window_s}"
        headers += (
            ("ratelimit-policy", f'"{policy}";q={quota}{window}'),
            ("ratelimit", f'"{policy}";r=0;t={reset_s}'),
        )
    body = wire.problem(kind, detail, **members)
    return Reply(wire.PROBLEMS[kind].status, headers, body)


def refusal(refused: Refused) -> Reply:
    """The answer to what was refused."""
    members = {
        name: rfc3339(value) if name in _TIMES else value for name, value in refused.members.items()
    }
    return problem_reply(refused.problem, refused.detail, **members)
