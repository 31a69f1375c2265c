"""The trace context of attempts (W3C Trace Context §3.2): a span for each attempt, in the trace of
whoever submitted its run, if that was said, else in one made of the run's id. It decides nothing.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from engine.core.model import Run, Step

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_OF_TRACE, _OF_SPAN = slice(3, 35), slice(36, 52)
_SAMPLED = "01"


def read_traceparent(text: str) -> str | None:
    """What is kept of a header `traceparent`: whose trace and span it names, and whether that is
    sampled. None: it is none, which is then as if it were not there."""
    found = _FORM.fullmatch(text)
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    if not found[2].strip("0") or not found[3].strip("0"):
        return None
    return f"00-{found[2]}-{found[3]}-{int(found[4], 16) & 1:02x}"


def traceparent(run: Run, step_id: str, number: int) -> str:
    """The header of this name, of an attempt."""
    told = run.root.spec.trace
    if told is None:
        return f"00-{_made_of(run.id)}-{span_id(step_id, number)}-{_SAMPLED}"
    return f"00-{told[_OF_TRACE]}-{span_id(step_id, number)}-{told[-2:]}"


def trace_id(run: Run) -> str:
    """The trace in which all attempts of a run are."""
    told = run.root.spec.trace
    return _made_of(run.id) if told is None else told[_OF_TRACE]


def is_sampled(run: Run) -> bool:
    """Whether the trace is one that is collected: who submitted the run may have said no."""
    told = run.root.spec.trace
    return told is None or told[-2:] == _SAMPLED


def span_id(step_id: str, number: int) -> str:
    """The span of an attempt."""
    return hashlib.blake2b(f"{step_id}.{number}".encode(), digest_size=8).hexdigest()


def parent_span_id(run: Run, step: Step) -> str | None:
    """The span that a step's attempts are in: who posted it said so, in this trace, or it is the
    parent's attempt that posted it. None: there is none."""
    told = step.spec.trace
    if told is not None and told[_OF_TRACE] == trace_id(run):
        return told[_OF_SPAN]
    if step.parent_id is None or not step.recorded_by:
        return None
    return span_id(step.parent_id, step.recorded_by)


@lru_cache(maxsize=1_024)
def _made_of(run_id: str) -> str:
    return hashlib.blake2b(run_id.encode(), digest_size=16).hexdigest()
