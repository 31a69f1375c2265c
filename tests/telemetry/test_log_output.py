"""The log's output: in order, bounded, and nobody waits for it whatever is wrong with it."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from engine.telemetry.log import configure_logging, logger
from engine.telemetry.log_output import LogOutput, standard_error

SOON_S = 10.0
"""How long a thread may take to get its turn. Never waited out."""


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of one page: its reader and its writer. Closed at the end, if it is not yet."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    try:
        yield reader, writer
    finally:
        for fd in (reader, writer):
            with suppress(OSError):
                os.close(fd)


class Reading:
    """A thread that reads a pipe until somebody has closed it."""

    def __init__(self, fd: int) -> None:
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._run, args=(fd,))
        self._thread.start()

    def _run(self, fd: int) -> None:
        with os.fdopen(os.dup(fd)) as file:
            self.lines = file.read().splitlines()

    def wait(self) -> list[str]:
        self._thread.join(SOON_S)
        return self.lines


def test_lines_come_in_order_and_whole() -> None:
    """Also those that are longer than the pipe."""
    lines = [f"{number} " + "x" * (number % 5) * 3_000 for number in range(100)]
    with pipe() as (reader, writer):
        output = LogOutput(writer)
        reading = Reading(reader)
        for line in lines:
            output.write(line)
        assert output.flush(SOON_S)
        os.close(writer)
        assert reading.wait() == lines
        assert output.dropped == 0


def test_an_unread_pipe_holds_nobody_up_and_a_line_says_what_is_missing() -> None:
    """The queue is full, lines are counted; read again, the oldest come, and how many do not."""
    with pipe() as (reader, writer):
        output = LogOutput(writer, queue_bytes_max=10_000)
        for number in range(1_000):
            output.write(f"{number:>99}")
        assert not output.flush(0.01)
        # the pipe's page is read from the queue line by line; a line stays until it is written
        assert 1_000 - 142 <= output.dropped <= 1_000 - 99
        dropped = output.dropped
        reading = Reading(reader)
        assert output.flush(SOON_S)
        output.write("again")
        assert output.flush(SOON_S)
        os.close(writer)
        found = reading.wait()
        assert [int(line) for line in found[:-2]] == list(range(1_000 - dropped))
        assert found[-2:] == [f"{dropped} log lines were dropped", "again"]


def test_one_gap_is_told_of_and_not_many() -> None:
    """What overflowed takes nothing before it is half empty, whatever is read meanwhile."""
    with pipe() as (reader, writer):
        output = LogOutput(writer, queue_bytes_max=40_000)
        for number in range(1_000):
            output.write(f"{number:>99}")
        for _ in range(2):
            os.read(reader, 4_096)
        before = output.dropped
        output.write("not this one")
        assert output.dropped == before + 1


@pytest.mark.parametrize("reason", ["full", "gone"])
def test_what_cannot_be_written_now_is_written_later(
    reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A full disk, a reader that is gone: no error, no line lost, and all of it when it is well."""
    with pipe() as (reader, writer), (tmp_path / "log").open("wb") as file:
        broken = os.open("/dev/full", os.O_WRONLY) if reason == "full" else writer
        os.close(reader)
        well = threading.Event()
        tried = threading.Event()
        real = os.write

        def write(fd: int, data: Any) -> int:
            if well.is_set():
                return real(file.fileno(), bytes(data)[:3])
            tried.set()
            return real(broken, data)

        monkeypatch.setattr(os, "write", write)
        output = LogOutput(broken, again_s=0.01)
        output.write("first")
        output.write("second")
        assert tried.wait(SOON_S)
        assert not output.flush(0.02)
        well.set()
        assert output.flush(SOON_S)
        assert (tmp_path / "log").read_text() == "first\nsecond\n"
        assert output.dropped == 0


def test_a_non_blocking_descriptor_loses_nothing() -> None:
    """Somebody who shares it has set the flag: a full pipe is waited for, not given up."""
    with pipe() as (reader, writer):
        os.set_blocking(writer, False)
        output = LogOutput(writer)
        lines = [f"{number:>99}" for number in range(200)]
        for line in lines:
            output.write(line)
        assert not output.flush(0.01)
        reading = Reading(reader)
        assert output.flush(SOON_S)
        os.close(writer)
        assert reading.wait() == lines


def test_closing_takes_no_longer_than_it_was_given() -> None:
    """The last words of a process whose log nobody reads; a thread in a write is left behind."""
    with pipe() as (_, writer):
        output = LogOutput(writer)
        output.write("x" * 10_000)
        output.close(0.01)


def test_what_is_printed_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """print, tracebacks, and so whatever a library says: nothing writes by itself."""
    with standard_error() as output:
        print("printed", "so")
        print("half", end="")
        print(" a line")
        try:
            raise ValueError("\udcff strange")
        except ValueError:
            traceback.print_exc()
        assert output.flush(SOON_S)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("printed so\nhalf a line\n")
    assert captured.err.endswith("ValueError: \\udcff strange\n")


def test_a_closed_standard_error_is_nobodys_file(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Started with 2>&-: descriptor 2 may be anything by now, and is not written to."""
    monkeypatch.setattr(sys, "stderr", None)
    with standard_error() as output:
        output.write("nowhere")
        assert output.flush(SOON_S)
        assert output.dropped == 0
    assert capfd.readouterr().err == ""


class Bad:
    """A value of which nothing can be said."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[tuple[LogOutput, Callable[[], list[dict[str, Any]]]]]:
    """The engine's own log in JSON, and what it holds."""
    with (tmp_path / "log").open("wb") as file:
        output = LogOutput(file.fileno())

        def read() -> list[dict[str, Any]]:
            assert output.flush(SOON_S)
            return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]

        configure_logging("json", "info", output, color=False)
        try:
            yield output, read
        finally:
            structlog.reset_defaults()


def test_a_line_that_cannot_be_made_is_counted(
    lines: tuple[LogOutput, Callable[[], list[dict[str, Any]]]],
) -> None:
    """Logging never raises; where the line is missing another says so, in the log's own form."""
    output, read = lines
    log = logger()
    log.info("before")
    log.info("bad", value=Bad())
    log.info("after")
    found = read()
    assert [it["event"] for it in found] == ["before", "log-lines-dropped", "after"]
    assert (found[1]["level"], found[1]["count"], output.dropped) == ("warning", 1, 1)


def test_an_error_is_logged_with_its_traceback_and_without_variables(
    lines: tuple[LogOutput, Callable[[], list[dict[str, Any]]]],
) -> None:
    """The pages send people to the log for it. Bodies and parent tokens stand in variables."""
    _, read = lines

    def fails(body: str) -> None:
        raise ValueError("\x1b[31mred")

    try:
        fails("the secret")
    except ValueError as error:
        logger().error("request-failed", exc_info=error)
    (found,) = read()
    assert "in fails" in found["exception"]
    assert found["exception"].endswith("ValueError: \\x1b[31mred")
    assert "the secret" not in found["exception"].replace('fails("the secret")', "")


def test_lines_for_people_show_no_variables_either(tmp_path: Path) -> None:
    """Where rich is installed, structlog would have it draw all of them."""
    with (tmp_path / "log").open("wb") as file:
        output = LogOutput(file.fileno())
        configure_logging("console", "info", output, color=False)
        secret = "".join(("hidden", "-", "token"))
        try:
            raise ValueError("why")
        except ValueError as error:
            logger().error("request-failed", exc_info=error)
        finally:
            structlog.reset_defaults()
        assert output.flush(SOON_S)
        text = (tmp_path / "log").read_text()
    assert "request-failed" in text
    assert "ValueError: why" in text
    assert secret not in text


HOSTILE = (
    "a\r\nb", '\n{"event":"forged"}', "\x1b]52;c;aGk=\x07", "\x9b2J", "\u202eevil\u2066", "\x00",
    "\u2028", "\ud800", "%s %(name)s {0} {event}", "\x7f", "\U000e0041", "\x85", "\ufeff",
)  # fmt: skip
"""What would end a line, drive a terminal, be read as a format, or is no character."""


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("bad", HOSTILE)
def test_what_others_wrote_stays_one_line(tmp_path: Path, log_format: str, bad: str) -> None:
    """One event is one line of printable characters, wherever in its values the text stands, and
    its name is never another."""
    with (tmp_path / "log").open("wb") as file:
        output = LogOutput(file.fileno())
        configure_logging(log_format, "debug", output, color=False)
        try:
            logger().info("met", text=bad, many=[bad], named={bad: bad})
            logger().error("request-failed", path=bad, exc_info=ValueError(bad))
        finally:
            structlog.reset_defaults()
        assert output.flush(SOON_S)
    text = (tmp_path / "log").read_text("utf-8", "surrogatepass")
    lines = text.split("\n")[:-1]
    assert len([line for line in lines if line[0] != " "]) == 2  # a traceback's are set in
    assert [line for line in lines if not line.isprintable()] == []
    if log_format == "json":
        assert [json.loads(line)["event"] for line in lines] == ["met", "request-failed"]
