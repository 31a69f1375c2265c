"""`atomic demo`: an engine, an application and a mail server at work, failures included.

`--once` runs each workflow once and shows what became of it; without it a steady mix is submitted
and shown as it happens. Both end by holding the effects that the workflows promised against those
that were counted: in the application's database, and for mails at the mail server itself.

What shows them (`show.py`) is loaded while they start, which takes them as long.
"""

from __future__ import annotations

import importlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import trio

from engine.cli.demo.processes import DemoError, Parts, free_ports
from engine.cli.demo.stage import DemoOptions, DemoStop
from engine.cli.exits import Refusal
from engine.cli.show.text import safe
from engine.core.errors import EngineError
from engine.process.exits import EXIT_FAILED, EXIT_INTERRUPTED

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(options: DemoOptions) -> int:
    """Run the demonstration; returns the exit code: 0 when every promise was kept, 1 when not.

    Says on standard error what went wrong, if something does. 130 when it was interrupted before
    there was anything to compare. Raises Refusal when `data` is not a new directory.
    """
    codes: list[int] = []
    problems: list[EngineError] = []
    broken: list[OSError] = []
    try:
        with _directory(options.data) as data:
            trio.run(_main, options, data, codes, strict_exception_groups=True)
    except* EngineError as group:
        problems += _leaves(group)
    except* BrokenPipeError as group:
        broken += _leaves(group)
    except* OSError as group:
        problems += [DemoError(str(error)) for error in _leaves(group)]
    if broken:
        raise broken[0]  # the reader of our output is gone; click knows what to do
    if problems:
        # What a part died of explains what others then met, not the other way round.
        _say_problem(min(problems, key=lambda it: not isinstance(it, DemoError)))
        return EXIT_FAILED
    return codes[0] if codes else EXIT_INTERRUPTED


def _leaves(group: BaseExceptionGroup[Any]) -> list[Any]:
    found: list[Any] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _say_problem(error: EngineError) -> None:
    click.echo(f"atomic demo: {safe(error)}", err=True)
    if isinstance(error, DemoError) and error.tail:
        click.echo("The end of its log:", err=True)
        for line in error.tail:
            click.echo(f"  {safe(line)}", err=True)


@contextmanager
def _directory(wanted: Path | None) -> Iterator[Path]:
    """Where everything lies: a new directory that goes away, or the one that was named."""
    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="atomic-demo-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        used = any(wanted.iterdir())
    except OSError as error:
        raise Refusal(f"--data {safe(wanted)}: {error.strerror}.") from error
    if used:
        # The keys of a seed are the same again, and the application is at another port.
        raise Refusal(f"--data {safe(wanted)}: is not empty; name a new directory.")
    yield wanted.resolve()


async def _main(options: DemoOptions, data: Path, codes: list[int]) -> None:
    stop = DemoStop()
    extra: tuple[str, ...] = ()
    if not options.once:
        (carrier_port,) = free_ports(1)
        extra = ("--scenario", str(options.seed), "--crashes", "--carrier-port", str(carrier_port))
    with trio.open_signal_receiver(*SIGNALS) as signals:
        parts = Parts(data, extra, is_temporary=options.data is None)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_listen, signals, stop, nursery.cancel_scope)
                async with trio.open_nursery() as starting:
                    starting.start_soon(parts.start)
                    await parts.are_processes()
                    if options.dashboard:
                        nursery.start_soon(_dashboard, parts, stop)
                    shows = importlib.import_module("engine.cli.demo.show")
                codes.append(await shows.show(options, parts, stop))
                nursery.cancel_scope.cancel()
        finally:
            await parts.stop()


async def _listen(
    signals: AsyncIterator[int], stop: DemoStop, everything: trio.CancelScope
) -> None:
    """The first signal ends the submitting; a second one, or one before there is any, all of it."""
    async for number in signals:
        if stop.asked.is_set() or not stop.heard:
            everything.cancel()
            return
        stop.patient = number == signal.SIGINT
        stop.asked.set()


async def _dashboard(parts: Parts, stop: DemoStop) -> None:
    """The dashboard on this terminal, as soon as there is an engine to look at. When it is left the
    demonstration ends; when the demonstration is ended it leaves, and gives the terminal back as it
    was."""
    with stop.dashboard:
        command = [sys.executable, "-m", *parts.leash(), "engine.cli.demo.view", parts.engine_url]
        await trio.run_process(command, stdin=None, check=False, pass_fds=(parts.life,))
        stop.asked.set()
    stop.dashboard_left.set()
