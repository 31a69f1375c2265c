"""How much of what happened: counted on Trio's thread, named when it is read.

Counting is an addition: a workflow has a record of plain numbers, found by its name once for each
change. The page is made in another thread from copies of them. Names are valid OpenMetrics: units
are seconds and bytes and stand in the name, counters end in `_total`, facts in `_info`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from engine.core.events import Accepted, AttemptEnded, Count, LateEnd, RunMoved, Started
from engine.core.machine import Change
from engine.core.model import ENDED, Run, StepState

RATES = ("runsPerS", "finishedPerS", "stepsPerS", "attemptsPerS", "failuresPerS")
RATE_WINDOW_S = 10

WORKFLOWS_NAMED_MAX = 100
"""Workflows that are counted by their name: the first that were seen. Clients make names up, and
each is kept for as long as the engine runs, with some fifty figures that a scraper stores."""
OTHER = "other"
"""What stands for all that came later."""
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Counted by name, for the same reason."""

ATTEMPT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Up to what most `attemptTimeout` allow; 60 s is the one that is not set."""
RUN_SECONDS = (
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0,
)  # fmt: skip
"""From a few calls to a run that was retried for a day."""
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""From a disk that does not sync to one that is not there."""

LATE = "late"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text"
OPENMETRICS_VERSION = "1.0.0"


Figures = Mapping[tuple[str, ...], float]
"""By the values of labels."""
Bucket = tuple[str, float] | tuple[str, float, Exemplar]


class Histogram:
    """How many took how long."""

    __slots__ = ("bounds", "counts", "exemplars", "seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """How many took at most so long and longer than the bound before; the last: longer."""
        self.seconds = 0.0
        """All of them together."""
        self.exemplars: dict[int, Exemplar] = {}
        """The latest one of each bucket, where there are traces."""

    def add(self, seconds: float) -> None:
        """One took so long."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds

    def exemplify(self, seconds: float, trace_id: str, span_id: str) -> None:
        """Keep one that took so long, as an example of its bucket."""
        labels = {"trace_id": trace_id, "span_id": span_id}
        self.exemplars[bisect_left(self.bounds, seconds)] = Exemplar(labels, seconds)

    def buckets(self) -> list[Bucket]:
        """(bound, how many took at most so long, one of them if one is known), as the format has
        it."""
        names = (*map(str, self.bounds), "+Inf")
        examples = self.exemplars.copy()
        found: list[Bucket] = []
        for at, count in enumerate(accumulate(self.counts.copy())):
            example = examples.get(at)
            bucket = (names[at], float(count))
            found.append(bucket if example is None else (*bucket, example))
        return found


class Workflow:
    """What is counted of one workflow. Everything begins at nought: a rate over something that was
    not there before is none, and an alarm on the first failure would not ring."""

    __slots__ = ("attempts", "durations", "ended", "moved", "runs", "runs_took", "steps")

    def __init__(self) -> None:
        self.runs = 0
        """Recorded,"""
        self.steps = 0
        """steps of them, roots included,"""
        self.attempts = 0
        """and attempts begun."""
        self.ended = dict.fromkeys([*map(str, Count), LATE], 0)
        self.moved = dict.fromkeys(map(str, StepState), 0)
        self.durations = Histogram(ATTEMPT_SECONDS)
        """Of attempts."""
        self.runs_took = {str(state): Histogram(RUN_SECONDS) for state in sorted(ENDED)}


class Metrics:
    """The engine's figures, under /metrics, and its rates."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.commits = Histogram(COMMIT_SECONDS)
        self._workflows: dict[str, Workflow] = {}
        self._other: Workflow | None = None
        self._requests: dict[tuple[str, ...], int] = {}
        self._asked: dict[str, Callable[[], Figures]] = {}
        self._figures: dict[str, Figures] = {}
        self._samples: deque[dict[str, int]] = deque(maxlen=RATE_WINDOW_S + 1)
        self._of_workflows()
        self._register(
            CounterMetricFamily,
            "atomic_http_requests",
            "Requests that the engine answered",
            ("method", "status"),
            lambda: {**self._requests},
        )
        self._histograms(
            "atomic_commit_duration_seconds", "Group commits", (), lambda: {(): self.commits}
        )

    # -- what happens --------------------------------------------------------------------------

    def request(self, method: str, status: int) -> None:
        """A request was answered."""
        key = (method if method in METHODS else "other", str(status))
        self._requests[key] = self._requests.get(key, 0) + 1

    def watch(self, change: Change) -> None:
        """Count what a change did."""
        run = change.run
        name = run.steps[run.id].spec.workflow
        figures = self._workflows.get(name) or self._new_workflow(name)
        for event in change.events:
            match event:
                case Accepted():
                    figures.steps += 1
                    figures.runs += event.parent_id is None
                case Started():
                    figures.attempts += 1
                case AttemptEnded():
                    figures.ended[event.counts_as] += 1
                case RunMoved():
                    figures.moved[event.state] += 1
                    if event.state in ENDED:
                        figures.runs_took[event.state].add((event.at - run_began(run)) / 1000)
                case LateEnd():
                    figures.ended[LATE] += 1
                case _:
                    pass

    def attempt_took(self, run: Run, seconds: float) -> None:
        """An attempt's request is over."""
        name = run.steps[run.id].spec.workflow
        figures = self._workflows.get(name) or self._new_workflow(name)
        took = figures.durations
        took.counts[bisect_left(took.bounds, seconds)] += 1
        took.seconds += seconds

    def exemplify(self, workflow: str, seconds: float, trace_id: str, span_id: str) -> None:
        """An attempt of this workflow, as an example of how long they take."""
        figures = self._workflows.get(workflow) or self._new_workflow(workflow)
        figures.durations.exemplify(seconds, trace_id, span_id)

    def _new_workflow(self, name: str) -> Workflow:
        if len(self._workflows) < WORKFLOWS_NAMED_MAX:
            figures = self._workflows[name] = Workflow()
            return figures
        if self._other is None:
            self._other = self._workflows.get(OTHER) or Workflow()  # a workflow may be called so
        return self._other

    # -- rates ---------------------------------------------------------------------------------

    def totals(self) -> dict[str, int]:
        """What the rates are rates of, since the start."""
        all_of = self._named().values()
        return {
            "runsPerS": sum(it.runs for it in all_of),
            "finishedPerS": sum(it.moved[state] for it in all_of for state in ENDED),
            "stepsPerS": sum(it.steps for it in all_of),
            "attemptsPerS": sum(it.attempts for it in all_of),
            "failuresPerS": sum(it.ended[Count.FAILURE] for it in all_of),
        }

    def sample(self) -> None:
        """Remember the totals; called once a second."""
        self._samples.append(self.totals())

    def rates(self) -> dict[str, float]:
        """What happened each second, over the last RATE_WINDOW_S seconds."""
        if len(self._samples) < 2:
            return dict.fromkeys(RATES, 0.0)
        first, last = self._samples[0], self._samples[-1]
        seconds = len(self._samples) - 1
        return {name: round((last[name] - first[name]) / seconds, 2) for name in RATES}

    # -- names ---------------------------------------------------------------------------------

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A figure that is asked for when the page is."""
        self._ask(GaugeMetricFamily, name, text, (), lambda: {(): read()})

    def gauges(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """One figure for each value of a label, asked for when the page is."""
        self._ask(GaugeMetricFamily, name, text, (label,), lambda: _by_label(read()))

    def counter(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A figure that only rises, asked for when the page is; `name` without its `_total`."""
        self._ask(CounterMetricFamily, name, text, (), lambda: {(): read()})

    def counters(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """One such figure for each value of a label."""
        self._ask(CounterMetricFamily, name, text, (label,), lambda: _by_label(read()))

    def _ask(
        self,
        kind: type[CounterMetricFamily | GaugeMetricFamily],
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Figures],
    ) -> None:
        self._asked[name] = read
        self._register(kind, name, text, labels, lambda: self._figures.get(name, {}))

    def ask(self) -> dict[str, Figures]:
        """What others know, for `page`: to be called on Trio's thread, where it changes."""
        return {name: read() for name, read in self._asked.items()}

    def info(self, name: str, text: str, facts: Mapping[str, str]) -> None:
        """What does not change while the engine runs; `name` without its `_info`."""

        def family() -> Metric:
            return InfoMetricFamily(name, text, value=dict(facts))

        self.registry.register(_Read(family))

    def _named(self) -> dict[str, Workflow]:
        """A copy of the records, with `other` if there is one."""
        return self._workflows | ({} if self._other is None else {OTHER: self._other})

    def _of_workflows(self) -> None:
        def count(
            name: str, text: str, read: Callable[[Workflow], Mapping[tuple[str, ...], float]],
            *labels: str,
        ) -> None:  # fmt: skip
            def figures() -> dict[tuple[str, ...], float]:
                return {
                    (workflow, *values): figure
                    for workflow, it in self._named().items()
                    for values, figure in read(it).items()
                }

            self._register(CounterMetricFamily, name, text, ("workflow", *labels), figures)

        count("atomic_steps_recorded", "Steps recorded (roots and children)",
              lambda it: {(): it.steps})  # fmt: skip
        count("atomic_attempts_started", "Attempts begun", lambda it: {(): it.attempts})
        count("atomic_attempts_ended", "Attempts that ended, by what they count as",
              lambda it: {(name,): n for name, n in it.ended.items()}, "counts_as")  # fmt: skip
        count("atomic_runs_moved", "Runs that came to a state",
              lambda it: {(state,): n for state, n in it.moved.items()}, "state")  # fmt: skip
        self._histograms(
            "atomic_attempt_duration_seconds",
            "Attempts, as attemptTimeout counts their time",
            ("workflow",),
            lambda: {(name,): it.durations for name, it in self._named().items()},
        )
        self._histograms(
            "atomic_run_duration_seconds",
            "Runs, from their post to their outcome",
            ("workflow", "state"),
            lambda: {
                (name, state): histogram
                for name, it in self._named().items()
                for state, histogram in it.runs_took.items()
                if any(histogram.counts)
            },
        )

    def _register(
        self,
        kind: type[CounterMetricFamily | GaugeMetricFamily],
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Figures],
    ) -> None:
        def family() -> Metric:
            found = kind(name, text, labels=labels, unit=_unit(name))
            for values, figure in read().items():
                found.add_metric(values, figure)
            return found

        self.registry.register(_Read(family))

    def _histograms(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], Histogram]],
    ) -> None:
        def family() -> Metric:
            found = HistogramMetricFamily(name, text, labels=labels, unit=_unit(name))
            for values, it in read().items():
                found.add_metric(values, buckets=it.buckets(), sum_value=it.seconds)
            return found

        self.registry.register(_Read(family))

    def page(
        self, accept: str = "", figures: dict[str, Figures] | None = None
    ) -> tuple[bytes, str]:
        """The page and its content type: OpenMetrics for who asks for that, else Prometheus' text
        format, which everybody reads. In any thread, with the `figures` that `ask` gave; on Trio's
        without."""
        self._figures = self.ask() if figures is None else figures
        if wants_openmetrics(accept):
            body = openmetrics.generate_latest(self.registry)  # type: ignore[no-untyped-call]
            return body, f"{OPENMETRICS}; version={OPENMETRICS_VERSION}; charset=utf-8"
        return generate_latest(self.registry), TEXT_TYPE


def run_began(run: Run) -> int:
    """When the run was posted; of one that was opened again, when that was."""
    return run.steps[run.id].began_at


def wants_openmetrics(accept: str) -> bool:
    """Whether a header Accept (RFC 9110 §12.5.1) names a version of OpenMetrics that there is, and
    does not like plain text better. A wildcard asks for nothing: it gets the default."""
    best = {OPENMETRICS: 0.0, "text/plain": 0.0}
    for part in accept.lower().split(","):
        kind, *rest = (it.strip() for it in part.split(";"))
        given = dict(it.split("=", 1) for it in rest if "=" in it)
        other = kind == OPENMETRICS and given.get("version", OPENMETRICS_VERSION).strip('"') != (
            OPENMETRICS_VERSION
        )
        if kind in best and not other:
            best[kind] = max(best[kind], _quality(given.get("q", "1")))
    return 0 < best[OPENMETRICS] >= best["text/plain"]


def _quality(text: str) -> float:
    try:
        return min(1.0, float(text))
    except ValueError:
        return 0.0


def _by_label(figures: Mapping[str, float]) -> Figures:
    return {(value,): figure for value, figure in figures.items()}


def _unit(name: str) -> str:
    unit = name.rpartition("_")[2]
    return unit if unit in ("seconds", "bytes") else ""


class _Read(Collector):
    """A family of figures, made when it is read."""

    def __init__(self, family: Callable[[], Metric]) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        yield self._family()
