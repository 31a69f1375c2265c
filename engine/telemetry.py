"""Logs and metrics: structlog for what happened, prometheus-client for how much of it.

An event's name is a constant, everything else is a value of its own: what third parties wrote never
becomes part of a format. Bodies and tokens are never logged.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from engine.core.events import Accepted, AttemptEnded, Count, LateEnd, RunMoved, Started
from engine.core.machine import Change

RATES = ("runsPerS", "stepsPerS", "attemptsPerS", "failuresPerS")
RATE_WINDOW_S = 10

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


def configure_logging(log_format: str, log_level: str) -> None:
    """Log to standard error: lines for people on a terminal, JSON lines otherwise."""
    on_terminal = sys.stderr.isatty()
    for_people = log_format == "console" or (log_format == "auto" and on_terminal)
    last: Any = (
        structlog.dev.ConsoleRenderer(colors=on_terminal, pad_event_to=0)
        if for_people
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _make_visible,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[log_level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def logger() -> structlog.typing.FilteringBoundLogger:
    """The engine's log."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return log


class Metrics:
    """The engine's figures, under /metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.steps = Counter(
            "atomic_steps_recorded", "Steps recorded (roots and children)", registry=self.registry
        )
        self.started = Counter(
            "atomic_attempts_started", "Requests sent to endpoints", registry=self.registry
        )
        self.ended = Counter(
            "atomic_attempts_ended",
            "Requests to endpoints that ended, by what they count as",
            ["counts_as"],
            registry=self.registry,
        )
        self.runs = Counter(
            "atomic_runs_moved", "Runs that came to a state", ["state"], registry=self.registry
        )
        self.requests = Counter(
            "atomic_requests", "Requests answered", ["method", "status"], registry=self.registry
        )
        self.totals = dict.fromkeys(RATES, 0)
        self._samples: deque[dict[str, int]] = deque(maxlen=RATE_WINDOW_S + 1)

    def watch(self, change: Change) -> None:
        """Count what a change did."""
        for event in change.events:
            match event:
                case Accepted():
                    self.steps.inc()
                    self.totals["stepsPerS"] += 1
                    self.totals["runsPerS"] += event.parent_id is None
                case Started():
                    self.started.inc()
                    self.totals["attemptsPerS"] += 1
                case AttemptEnded():
                    self.ended.labels(event.counts_as).inc()
                    self.totals["failuresPerS"] += event.counts_as is Count.FAILURE
                case LateEnd():
                    self.ended.labels("late").inc()
                case RunMoved():
                    self.runs.labels(event.state).inc()
                case _:
                    pass

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

    def counter(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A figure that only rises, asked for when it is read."""
        self.registry.register(_Counted(name, text, read))

    def page(self) -> tuple[bytes, str]:
        """The page and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class _Counted(Collector):
    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name, self._text, self._read = name, text, read

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(self._name, self._text, self._read())
