"""The log's form: structlog's, as lines for people or as JSON.

An event's name is a constant, everything else is a value of its own: what third parties wrote never
becomes part of a format. Bodies and parent tokens are never logged.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import structlog

from engine.telemetry.log_output import LogOutput

Log = Callable[..., None]
"""Called with the event's name and its values."""


def visible(value: str) -> str:
    """Text with everything that is no printable character made visible: one line, no escapes."""
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)


def _in_order(_: Any, __: str, values: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """First when, how bad and what; then the rest as it was given."""
    first = {name: values.pop(name) for name in ("timestamp", "level", "event")}
    return first | dict(values)


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


def _set_in(_: Any, __: str, values: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A traceback's lines, so that none that an error's text has made is taken for an event."""
    if "exception" in values:
        values["exception"] = "\n".join(f"  {it}" for it in values["exception"].splitlines())
    return values


def configure_logging(log_format: str, log_level: str, output: LogOutput, *, color: bool) -> None:
    """Log to `output`: lines for people (`auto`: if `color`), or JSON lines.

    From then on the log never raises and never waits; what it cannot say it counts.
    """
    for_people = log_format == "console" or (log_format == "auto" and color)
    last: Any = (
        structlog.dev.ConsoleRenderer(0, colors=color, sort_keys=False)  # 0: no padding
        if for_people
        else structlog.processors.JSONRenderer()
    )
    chain = (
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _in_order,
        _make_visible,
        _show_error,
        *((_set_in,) if for_people else ()),
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
