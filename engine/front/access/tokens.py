"""The token of a request: `Authorization: Bearer atomic_…` (RFC 6750), read and found.

Of a head the digest of its token is remembered (`request.py`), which never changes. Whether that is
a token, and still one, is asked each time: one look into a table.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from engine.core.errors import Problem
from engine.front.access.who import Who, who_of
from engine.front.server.reply import Reply
from engine.front.show.replies import problem_reply
from engine.registry.registry import Registry, digest_of

_BEARER = re.compile(rb"Bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_CHALLENGE = 'Bearer realm="atomic"'


def digest_of_bearer(value: bytes) -> bytes | None:
    """The digest of the token in the value of a header `Authorization`; None: there is none."""
    given = _BEARER.fullmatch(value.strip(b" \t"))
    return None if given is None else digest_of(given[1].decode("ascii"))


def who_has(registry: Registry, digest: bytes | None) -> Who | Reply:
    """Who sends this, or the refusal (401). It is the same for every token that is not good."""
    token = None if digest is None else registry.token_by_digest(digest)
    if token is not None:
        return who_of(token)
    if digest is None:
        return _unauthorized(
            # as an attempt's reason it is cut short, and what looks like a secret is masked
            "This engine asks for a token. Command, clients and helpers take it from the file that"
            " ATOMIC_TOKEN_FILE names. By hand it is sent in the header Authorization, after the"
            " word Bearer.",
            _CHALLENGE,
        )
    return _unauthorized(
        "The token is not one of this engine's: it was never, has run out, or was taken away.",
        f'{_CHALLENGE}, error="invalid_token"',
    )


def _unauthorized(detail: str, challenge: str) -> Reply:
    reply = problem_reply(Problem.UNAUTHORIZED, detail)
    return replace(reply, headers=(*reply.headers, ("www-authenticate", challenge)))
