"""Whose trace an attempt is in, and which span it is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.core.model import Run
from engine.core.rules.post import open_run
from engine.core.rules.trace import (
    is_sampled,
    parent_span_id,
    read_traceparent,
    span_id,
    trace_id,
    traceparent,
)
from tests.core.support import Driven, spec

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TOLD = f"00-{TRACE}-{SPAN}-01"


def _run(trace: str | None) -> Run:
    run = Run(id="R1", client="shop", submitted_at=0)
    change, _ = open_run(run, replace(spec("root"), trace=trace), 0)
    change.close(0)
    return run


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (TOLD, TOLD),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-ff", TOLD),
        (f"cc-{TRACE}-{SPAN}-01-what-comes", TOLD),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (TOLD.upper(), None),
        (f"{TOLD}\n", None),
        (TOLD[:-1], None),
        ("", None),
    ],
)
def test_a_context_is_kept_as_it_is_or_not_at_all(text: str, kept: str | None) -> None:
    """W3C Trace Context §3.2: versions to come begin alike, and what is none is ignored."""
    assert read_traceparent(text) == kept


def test_a_run_is_in_its_submitters_trace() -> None:
    """Each attempt is a span of its own there, always the same one; sampled as that is."""
    run = _run(TOLD)
    assert (trace_id(run), is_sampled(run)) == (TRACE, True)
    assert traceparent(run, "R1", 1) == f"00-{TRACE}-{span_id('R1', 1)}-01"
    assert len({span_id("R1", 1), span_id("R1", 2), span_id("R1-1", 1)}) == 3
    assert parent_span_id(run, run.root) == SPAN
    silent = _run(f"00-{TRACE}-{SPAN}-00")
    assert not is_sampled(silent)
    assert traceparent(silent, "R1", 1).endswith("-00")


def test_a_run_of_nobodys_trace_makes_one_of_its_id() -> None:
    """Sampled, and without a parent."""
    run = _run(None)
    assert is_sampled(run)
    assert parent_span_id(run, run.root) is None
    told = read_traceparent(traceparent(run, "R1", 1))
    assert told == traceparent(run, "R1", 1)


@pytest.mark.parametrize("trace", [None, f"00-{'1' * 32}-{SPAN}-01"])
def test_a_step_is_in_the_attempt_that_posted_it(trace: str | None) -> None:
    """Also where its post was part of another trace; else in the span that the post named."""
    it = Driven()
    it.start()
    it.post("a")
    run = it.run
    step = run.steps[it.id("a")]
    step.spec = replace(step.spec, trace=trace)
    assert parent_span_id(run, step) == span_id(run.id, 1)
    step.spec = replace(step.spec, trace=f"00-{trace_id(run)}-{SPAN}-01")
    assert parent_span_id(run, step) == SPAN
