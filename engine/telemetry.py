"""Logs and metrics: structlog for what happened, prometheus-client for how much of it.

An event's name is a constant, everything else is a value of its own: what third parties wrote never
becomes part of a format. Bodies and parent tokens are never logged.
"""

from __future__ import annotations

import logging
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from engine.core.below import UNHANDLED
from engine.core.events import Accepted, AttemptEnded, Count, LateEnd, RunMoved, Started
from engine.core.machine import Change
from engine.core.model import ENDED, PauseReason
from engine.log_output import LogOutput

RATES = ("runsPerS", "finishedPerS", "stepsPerS", "attemptsPerS", "failuresPerS")
RATE_WINDOW_S = 10

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Counted by name; clients make up others, and each name is kept for as long as the engine runs."""

Log = Callable[..., None]
"""Called with the event's name and its values."""


def visible(value: str) -> str:
    """Text with everything that is no printable character made visible: one line, no escapes."""
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)


def _make_visible(
    _: Any, __: str, values: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = visible(value)
    return values


def _show_error(_: Any, __: str, values: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """An error's traceback, without the values of its variables: bodies, parent tokens."""
    error = values.pop("exc_info", None)
    if isinstance(error, BaseException):
        lines = "".join(traceback.format_exception(error)).splitlines()
        values["exception"] = "\n".join(visible(line) for line in lines)
    return values


def configure_logging(log_format: str, log_level: str, output: LogOutput, *, color: bool) -> None:
    """Log to `output`: lines for people (`auto`: if `color`), or JSON lines.

    From then on the log never raises and never waits; what it cannot say it counts.
    """
    for_people = log_format == "console" or (log_format == "auto" and color)
    last: Any = (
        structlog.dev.ConsoleRenderer(colors=color, pad_event_to=0)
        if for_people
        else structlog.processors.JSONRenderer()
    )
    chain = (
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _make_visible,
        _show_error,
        last,
    )

    def line(log: Any, level: str, values: Any) -> str:
        try:
            for step in chain:
                values = step(log, level, values)
            return str(values)
        except Exception as error:  # a value whose text cannot be made
            output.drop()
            raise structlog.DropEvent from error

    def dropped_line(count: int) -> str:
        return line(None, "warning", {"event": "log-lines-dropped", "count": count})

    output.dropped_line = dropped_line
    structlog.configure(
        processors=[line],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[log_level.upper()]
        ),
        logger_factory=lambda *_: _Lines(output),
    )


class _Lines:
    """structlog's idea of a logger: one method for each level."""

    def __init__(self, output: LogOutput) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = output.write


def logger() -> structlog.typing.FilteringBoundLogger:
    """The engine's log."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return log


class Metrics:
    """The engine's figures, under /metrics. Counting is an addition; names come when it is read.

    `warn` is told of what a person should hear of before it stands still.
    """

    def __init__(self, warn: Log = lambda event, **values: None) -> None:
        self._warn = warn
        self.registry = CollectorRegistry()
        self.totals = dict.fromkeys(RATES, 0)
        self._ended: dict[str, int] = {}
        self._runs: dict[str, int] = {}
        self._requests: dict[tuple[str, ...], int] = {}
        self._samples: deque[dict[str, int]] = deque(maxlen=RATE_WINDOW_S + 1)
        self.counter(
            "atomic_steps_recorded",
            "Steps recorded (roots and children)",
            lambda: self.totals["stepsPerS"],
        )
        self.counter(
            "atomic_attempts_started",
            "Requests sent to endpoints",
            lambda: self.totals["attemptsPerS"],
        )
        self._counters(
            "atomic_attempts_ended",
            "Requests to endpoints that ended, by what they count as",
            ("counts_as",),
            lambda: {(name,): count for name, count in dict(self._ended).items()},
        )
        self._counters(
            "atomic_runs_moved",
            "Runs that came to a state",
            ("state",),
            lambda: {(name,): count for name, count in dict(self._runs).items()},
        )
        self._counters(
            "atomic_requests",
            "Requests answered",
            ("method", "status"),
            lambda: {**self._requests},
        )

    def request(self, method: str, status: int) -> None:
        """A request was answered."""
        key = (method if method in METHODS else "other", str(status))
        self._requests[key] = self._requests.get(key, 0) + 1

    def watch(self, change: Change) -> None:
        """Count what a change did."""
        for event in change.events:
            match event:
                case Accepted():
                    self.totals["stepsPerS"] += 1
                    self.totals["runsPerS"] += event.parent_id is None
                case Started():
                    self.totals["attemptsPerS"] += 1
                case AttemptEnded():
                    self._ended[event.counts_as] = self._ended.get(event.counts_as, 0) + 1
                    if event.counts_as is Count.FAILURE:
                        self._watch_failure(event)
                case LateEnd():
                    self._ended["late"] = self._ended.get("late", 0) + 1
                case RunMoved():
                    self._runs[event.state] = self._runs.get(event.state, 0) + 1
                    self.totals["finishedPerS"] += event.state in ENDED
                case _:
                    pass

    def _watch_failure(self, event: AttemptEnded) -> None:
        self.totals["failuresPerS"] += 1
        paused = event.pause_reason is PauseReason.UNHANDLED_FAILURE
        if paused or (event.error or "").startswith(UNHANDLED):
            self._warn(
                "failure-not-handled",
                step=event.step_id,
                attempt=event.number,
                paused=paused,
                error=event.error,
            )

    def sample(self) -> None:
        """Remember the totals; called once a second."""
        self._samples.append(dict(self.totals))

    def rates(self) -> dict[str, float]:
        """What happened each second, over the last RATE_WINDOW_S seconds."""
        if len(self._samples) < 2:
            return dict.fromkeys(RATES, 0.0)
        first, last = self._samples[0], self._samples[-1]
        seconds = len(self._samples) - 1
        return {name: round((last[name] - first[name]) / seconds, 2) for name in RATES}

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A figure that is asked for when it is read."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def gauges(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """One figure for each value of a label, asked for when it is read."""

        def figures() -> dict[tuple[str, ...], float]:
            return {(value,): figure for value, figure in read().items()}

        self.registry.register(_Read(GaugeMetricFamily, name, text, (label,), figures))

    def counter(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A figure that only rises, asked for when it is read."""
        self._counters(name, text, (), lambda: {(): read()})

    def _counters(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        self.registry.register(_Read(CounterMetricFamily, name, text, labels, read))

    def page(self) -> tuple[bytes, str]:
        """The page and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class _Read(Collector):
    def __init__(
        self,
        family: type[CounterMetricFamily | GaugeMetricFamily],
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        self._family = family
        self._name, self._text, self._labels, self._read = name, text, labels, read

    def collect(self) -> Iterable[Metric]:
        family = self._family(self._name, self._text, labels=self._labels)
        for values, count in self._read().items():
            family.add_metric(values, count)
        yield family
