"""The trace context of an attempt (W3C Trace Context §3.2): a trace for each run, made of its id,
and a span for each attempt, made of its parent token."""

from __future__ import annotations

import hashlib
from functools import lru_cache


def traceparent(run_id: str, parent_token: str) -> str:
    """The header of this name: all attempts of a run are in one trace."""
    span = hashlib.blake2b(parent_token.encode(), digest_size=8).hexdigest()
    return f"00-{_trace_id(run_id)}-{span}-01"


@lru_cache(maxsize=1_024)
def _trace_id(run_id: str) -> str:
    return hashlib.blake2b(run_id.encode(), digest_size=16).hexdigest()
