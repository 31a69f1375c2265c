"""Hypothesis looks for the shortest way to break a run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.core.any_run import AnyRun

AnyRun.TestCase.settings = settings(
    max_examples=300,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


TestAnyRun = pytest.mark.slow(AnyRun.TestCase)
"""Whatever happens to a run, in any order, every invariant holds and the run can end."""
