"""What is counted, under which names, and in which format it is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from engine.core.model import Run, StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.post import open_run
from engine.ports.caller import Invocation
from engine.runs.open.callers import Wait
from engine.telemetry.metrics import (
    OTHER,
    WORKFLOWS_NAMED_MAX,
    Histogram,
    Metrics,
    wants_openmetrics,
)
from engine.telemetry.run_log import Watchers
from tests.core.support import spec
from tests.world import World, ok, recorded, world

STEP = "http://app:9000/workflows/w/steps/"
ASKS = "application/openmetrics-text"


def watched(it: World) -> Metrics:
    """Figures of an engine's work from here on."""
    metrics = Metrics()
    it.engine.shared.watch = Watchers(metrics.watch, metrics.attempt_took)
    it.store.tell_commits(metrics.commits.add)
    return metrics


def families(metrics: Metrics) -> dict[str, Metric]:
    """The page as a scraper of OpenMetrics reads it: its parser is strict."""
    body, kind = metrics.page(ASKS)
    assert kind.startswith(ASKS)
    found = list(read_openmetrics(body.decode()))
    assert len({it.name for it in found}) == len(found)
    return {it.name: it for it in found}


def figure(metrics: Metrics, name: str, **labels: str) -> float:
    """One sample by its whole name and labels."""
    samples = [sample for it in families(metrics).values() for sample in it.samples]
    (value,) = [it.value for it in samples if (it.name, it.labels) == (name, labels)]
    return value


async def test_a_workflow_is_counted_by_its_name(autojump_clock, path: Path) -> None:
    """Steps, attempts by what they count as, states of runs; and how long each took, an attempt
    without the time in which it waited for its steps."""

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index"):
            await trio.sleep(0.2)
            await it.post(
                STEP + "one",
                workflow="sign up",
                retry=RetryPolicy(jitter=0),
                parent_token=call.parent_token,
            )
            return ok()
        await trio.sleep(0.4)
        return ok() if call.attempt == 2 else Answered(500)

    async with world(path, app) as it:
        metrics = watched(it)
        recorded(await it.post(workflow="sign up"))

        def of(name: str, **labels: str) -> float:
            return figure(metrics, name, workflow="sign up", **labels)

        assert of("atomic_steps_recorded_total") == 2
        assert of("atomic_attempts_started_total") == 3
        assert of("atomic_attempts_ended_total", counts_as="success") == 2
        assert of("atomic_attempts_ended_total", counts_as="failure") == 1
        assert of("atomic_attempts_ended_total", counts_as="crash") == 0
        assert of("atomic_runs_moved_total", state="completed") == 1
        assert of("atomic_runs_moved_total", state="failed") == 0
        assert of("atomic_attempt_duration_seconds_count") == 3
        assert of("atomic_attempt_duration_seconds_bucket", le="0.25") == 1
        assert of("atomic_attempt_duration_seconds_bucket", le="0.5") == 3
        assert of("atomic_attempt_duration_seconds_sum") == pytest.approx(1.0, abs=0.01)
        assert of("atomic_run_duration_seconds_count", state="completed") == 1
        assert of("atomic_run_duration_seconds_sum", state="completed") == pytest.approx(
            2.0, abs=0.05
        )
        assert figure(metrics, "atomic_commit_duration_seconds_count") == it.store.writer.commits
        assert metrics.totals() == {
            "runsPerS": 1, "finishedPerS": 1, "stepsPerS": 2, "attemptsPerS": 3, "failuresPerS": 1,
        }  # fmt: skip


async def test_a_run_that_was_opened_again_took_what_it_took_since(
    autojump_clock, path: Path
) -> None:
    """Nobody's work took the minute after which somebody looked."""

    async def app(call: Invocation) -> Outcome:
        return ok() if call.attempt == 2 else Answered(500)

    async with world(path, app) as it:
        metrics = watched(it)
        answer = recorded(await it.post(retry=RetryPolicy(count=0)))
        await trio.sleep(60)
        await it.act(answer.step.run_id, Action.RETRY)
        recorded(await it.post(wait=Wait()))
        took = "atomic_run_duration_seconds_sum"
        assert figure(metrics, took, workflow="w", state="completed") < 1
        assert figure(metrics, took, workflow="w", state="failed") < 1


def opened(metrics: Metrics, workflow: str) -> None:
    """A run of this workflow was posted."""
    change, _ = open_run(Run("R", "acme", 0), replace(spec("root"), workflow=workflow), 0)
    metrics.watch(change)


def test_only_so_many_workflows_have_a_name() -> None:
    """The first hundred that were seen; what comes later is `other`, and so is one called so."""
    metrics = Metrics()
    for number in range(WORKFLOWS_NAMED_MAX - 1):
        opened(metrics, f'w"{number}\\')
    opened(metrics, OTHER)
    for name in ("one more", "and another", OTHER, 'w"7\\'):
        opened(metrics, name)
    steps = families(metrics)["atomic_steps_recorded"].samples
    assert len(steps) == WORKFLOWS_NAMED_MAX
    by_name = {sample.labels["workflow"]: sample.value for sample in steps}
    assert (by_name[OTHER], by_name['w"7\\'], by_name['w"8\\']) == (4, 2, 1)


def test_beyond_those_that_have_a_name_all_are_other() -> None:
    """Also where none is called so."""
    metrics = Metrics()
    for number in range(WORKFLOWS_NAMED_MAX + 5):
        opened(metrics, f"w{number}")
    steps = families(metrics)["atomic_steps_recorded"].samples
    assert len(steps) == WORKFLOWS_NAMED_MAX + 1
    assert steps[-1].labels == {"workflow": OTHER}
    assert steps[-1].value == 5
    assert metrics.totals()["stepsPerS"] == WORKFLOWS_NAMED_MAX + 5


def test_a_histogram_counts_up_to_its_bounds() -> None:
    """A bound is the most that its bucket takes; what is longer than all of them is counted too."""
    histogram = Histogram((0.5, 1.0))
    for seconds in (0.0, 0.5, 0.500001, 1.0, 7.0):
        histogram.add(seconds)
    assert histogram.buckets() == [("0.5", 2), ("1.0", 4), ("+Inf", 5)]
    assert histogram.seconds == pytest.approx(9.000001)


def test_the_latest_of_a_bucket_is_its_example() -> None:
    """By its trace, in OpenMetrics alone: the text format has no place for it."""
    metrics = Metrics()
    for seconds, span in ((0.2, "first"), (0.25, "bound"), (0.250001, "above"), (999.0, "last")):
        metrics.exemplify("w", seconds, "trace", span)
    (family,) = (it for name, it in families(metrics).items() if "attempt_duration" in name)
    examples = {
        it.labels["le"]: (it.exemplar.labels["span_id"], it.exemplar.value)
        for it in family.samples
        if it.exemplar is not None
    }
    assert examples == {
        "0.25": ("bound", 0.25), "0.5": ("above", 0.250001), "+Inf": ("last", 999.0)
    }  # fmt: skip
    assert b"span_id" not in metrics.page()[0]


def test_both_formats_tell_the_same() -> None:
    """The text format for everybody, OpenMetrics for who asks."""
    metrics = Metrics()
    metrics.request("POST", 200)
    metrics.request("BREW", 418)
    metrics.commits.add(0.004)
    metrics.gauges("atomic_memory_bytes", "Bytes", "kind", lambda: {"posts": 5})
    metrics.info("atomic_engine", "Which", {"version": "1"})
    body, kind = metrics.page()
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    text = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for it in read_text(body.decode())
        for sample in it.samples
    }
    assert text == {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for it in families(metrics).values()
        for sample in it.samples
    }
    assert text["atomic_http_requests_total", ("method", "other"), ("status", "418")] == 1
    assert text["atomic_engine_info", ("version", "1")] == 1
    assert metrics.page(ASKS)[0].endswith(b"# EOF\n")


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        (ASKS, True),
        (ASKS.upper(), True),
        (f"{ASKS}; version=1.0.0; charset=utf-8", True),
        (f'{ASKS};version="1.0.0"', True),
        (f"{ASKS};version=0.0.1", False),
        (f"{ASKS};version=2.0.0", False),
        (f"{ASKS};q=0", False),
        (f"{ASKS};q=rubbish", False),
        (f"{ASKS};q=0.2,text/plain;q=0.5", False),
        (f"text/plain;version=0.0.4;q=0.5,{ASKS};version=1.0.0;q=0.6", True),
        # Prometheus 2.42, Prometheus 3.0
        (f"{ASKS};version=1.0.0,{ASKS};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         True),
        (f"{ASKS};version=1.0.0;escaping=allow-utf-8;q=0.6,{ASKS};version=0.0.1;q=0.5,"
         "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         True),
        (",;,=;q,;;", False),
        (f"{ASKS};version", True),
    ],
)  # fmt: skip
def test_who_gets_openmetrics(accept: str, openmetrics: bool) -> None:
    """Who names the version that there is, and does not like plain text better."""
    assert wants_openmetrics(accept) is openmetrics


def test_names_follow_the_rules() -> None:
    """Of OpenMetrics, and those that `promtool check metrics` adds: base units, `_total` for
    counters alone, help for each."""
    metrics = Metrics()
    for it in families(metrics).values():
        assert re.fullmatch(r"atomic(_[a-z]+)+", it.name)
        assert it.documentation
        assert not it.documentation.endswith(".")
        assert not it.name.endswith(("_total", "_count", "_sum", "_bucket", "_created", "_ms"))
        assert it.unit == ("seconds" if it.name.endswith("_seconds") else "")


def test_a_state_has_its_figure_before_it_is_reached() -> None:
    """`increase()` over a series that was not there tells of nothing: no alarm would ring."""
    assert {*map(str, StepState)} == set(Metrics()._new_workflow("w").moved)
