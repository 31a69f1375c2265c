"""RetryPolicy and its arithmetic. No clock, no chance: both come in as arguments.

`docs/reference/protocol.md` §2: the delay before retry *n* is
`min(backOff * factor**(n-1), maxBackOff)` plus up to `jitter` of it. Jitter is only
ever added: a retry is never early.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

DAY_MS = 86_400_000
RETRY_AFTER_MS_MAX = 3_600_000
"""`Retry-After` may lengthen a delay up to one hour."""

DelayMs = Annotated[int, Meta(ge=0, le=DAY_MS)]


class OnExhausted(StrEnum):
    """What becomes of a step whose retries are used up."""

    FAIL = "fail"
    PAUSE = "pause"


class RetryPolicy(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={
        "back_off_ms": "backOff",
        "max_back_off_ms": "maxBackOff",
        "max_elapsed_ms": "maxElapsed",
        "stop_on": "stopOn",
        "on_exhausted": "onExhausted",
    },
):
    """How often and when a failed attempt is tried again. The defaults are the seed's.

    `count` retries follow the first attempt. `on_exhausted` None means: fail, unless the step is a
    root that came without a policy of its own.
    """

    count: Annotated[int, Meta(ge=0, le=1_000)] = 10
    back_off_ms: DelayMs = 1_000
    factor: Annotated[float, Meta(ge=1, le=1_000)] = 2.0
    max_back_off_ms: DelayMs = 60_000
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.1
    max_elapsed_ms: Annotated[int, Meta(ge=1, le=10_000 * DAY_MS)] | None = None
    stop_on: Annotated[tuple[Annotated[int, Meta(ge=100, le=599)], ...], Meta(max_length=500)] = ()
    on_exhausted: OnExhausted | None = None


DEFAULT_POLICY = RetryPolicy()


def nominal_delay_ms(policy: RetryPolicy, retry: int) -> int:
    """The delay before retry number `retry` (from 1), without jitter. Defined for every number."""
    assert retry >= 1, retry
    if policy.back_off_ms == 0:
        return 0
    try:  # float: whole factors would grow into numbers of a million digits
        grown = policy.back_off_ms * float(policy.factor) ** (retry - 1)
    except OverflowError:
        return policy.max_back_off_ms
    if math.isinf(grown):
        return policy.max_back_off_ms
    return min(math.ceil(grown), policy.max_back_off_ms)


def next_delay_ms(policy: RetryPolicy, retry: int, chance: float) -> int:
    """The delay before retry `retry`, `chance` in [0, 1) choosing the jitter that is added."""
    assert 0 <= chance < 1, chance
    nominal = nominal_delay_ms(policy, retry)
    return nominal + math.floor(nominal * policy.jitter * chance)
