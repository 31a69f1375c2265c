"""The composition root: makes the parts, nests their lifetimes, and takes them down again.

store open ⊃ work nursery (runs) ⊃ front nursery (server). Unwinding is the shutdown: take no new
work, drain with a deadline, stop serving, cancel, flush, close. A watchdog ends the process at the
deadline whatever is left: safe, because what was acknowledged is durable.
"""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from msgspec import Struct
from quart_trio import QuartTrio

from engine import __version__
from engine.alerts.alerts import Alerts
from engine.alerts.settings import AlertSettings, alerts_of
from engine.call.caller import HttpCaller
from engine.call.dial import Dialler
from engine.call.policy import Policies
from engine.call.transport import LeanTransport
from engine.core.access.client import ALERTS_CLIENT
from engine.core.errors import EngineError, Problem
from engine.core.machine import Change
from engine.core.rules.hold import EVERYTHING, HoldKind
from engine.core.text.times import rfc3339
from engine.figures import (
    show_alerts,
    show_backups,
    show_engine,
    show_process,
    show_pruning,
    show_registry,
    show_server,
    show_store,
    show_traces,
)
from engine.front.access.parent import looks_posted_by_a_run
from engine.front.api import routes
from engine.front.api.context import Front
from engine.front.api.door import EngineDoor
from engine.front.server import server
from engine.front.server.certificate import Certificate
from engine.front.ui.serve import add_pages
from engine.parts import (
    Opened,
    engine_limits,
    front_of,
    in_file,
    made_alerts,
    on_server,
    server_limits,
)
from engine.ports.store import OpenStore, StoreError, StoreStopped
from engine.process.bind import check_bind, engine_url, is_loopback
from engine.process.budget import Budget
from engine.process.clock import SystemClock
from engine.process.config import Config, ConfigError
from engine.process.descriptors import Room, TooFewDescriptors, make_room
from engine.process.environment import service_links
from engine.process.exits import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from engine.process.memory import trim
from engine.process.stopping import Stop, Watchdog, block_signals, listen
from engine.registry.files import sources_of
from engine.registry.registry import Registry
from engine.registry.undefined import tell_of_undefined
from engine.registry.watch import Files
from engine.runs.engine import Engine
from engine.runs.open.parent import ParentTokens
from engine.runs.shared import Shared
from engine.store.sqlite.file.owner import Owner, check_unowned
from engine.store.sqlite.store import open_store
from engine.telemetry.log import Log, configure_logging, logger
from engine.telemetry.log_output import LogOutput, standard_error
from engine.telemetry.metrics import Metrics
from engine.telemetry.run_log import RunLog, Watchers
from engine.traces.spans import Spans
from engine.traces.tracing import Tracing, tracing_of
from engine.wire import problem

ANSWERS_GRACE_S = 2.0
"""After the drain: how long answers may take to reach their callers."""
FAILED_DEADLINE_S = 1.0
"""After a failed commit: nothing more is acknowledged, and the process is gone by then."""
STORE_SHARE = 0.8
"""Of the time for a stop, what a store that cannot be written is waited for. Then the engine says
what was not recorded, which the watchdog would not."""
GC_THRESHOLDS = (100_000, 50, 100)
"""Objects of a request die by themselves: thousands of workflows leave no cycle. With Python's
default of 700 the collector looks for the few that errors make some thirty times a second, which is
a tenth of the engine's work, and a fifth with 1,000 callers."""
TRIM_EVERY_S = 5.0
TRIM_BYTES_MIN = 64 << 20
"""So many bytes of large bodies must have come and gone before free memory is given back."""
CLOCK_JUMP_MS_MIN = 1_000
"""A wall clock that has moved so far from the steady one was set; the log says so once."""


def serve(config: Config, settings: Path | None = None) -> int:
    """Run the engine until SIGTERM or SIGINT; returns the exit code.

    `settings`: the file that the settings come from, which may define clients too.
    0 after a graceful stop, 1 when the engine stopped itself, 2 when it could not start.
    """
    blocked = block_signals()
    with standard_error(until_the_end=True) as output:
        configure_logging(config.log_format, config.log_level, output, color=os.isatty(2))
        log = logger()
        gc.freeze()  # what the imports made stays
        gc.set_threshold(*GC_THRESHOLDS)
        watchdog = Watchdog(output, log.error)
        stop = Stop(watchdog, config.stop_deadline_ms / 1000, log.info)
        listen(blocked, stop.hear)
        try:
            files = Files(sources_of(config, settings))
            # Which tokens the store has is known when it is open: a file is made for nothing here.
            may_have = config.store is not None or Path(config.db).exists()
            check_bind(config, asks_token=files.define_any or may_have)
            room = make_room(config)
            if names := service_links(os.environ):
                log.info("service-links-ignored", variables=names)
            trio.run(
                _serve, room, files, log.info, output, watchdog, stop, strict_exception_groups=True
            )
        except (ConfigError, StoreError, CannotListen, TooFewDescriptors) as error:
            output.write(f"atomic: cannot start: {error}")
            return EXIT_USAGE
        except BaseException as error:
            alone = _alone(error)
            if isinstance(alone, ConfigError):  # known when the store was open
                output.write(f"atomic: cannot start: {alone}")
                return EXIT_USAGE
            if isinstance(alone, StoreStopped):  # its own reason, said without a traceback
                log.error("engine-stopped", reason=str(alone))
            else:
                log.error("engine-stopped", exc_info=error)
            return EXIT_FAILED
        return EXIT_OK


def _alone(error: BaseException) -> BaseException:
    """What is in groups of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


class CannotListen(EngineError):
    """The address cannot be had; the message says why and what to do."""


def _listen(config: Config) -> list[trio.SocketListener]:
    """The listening sockets. Raises CannotListen, or StoreError naming the engine that has them."""
    try:
        return server.open_listeners(config.host, config.port, server_limits(config))
    except OSError as error:
        if config.store is None:  # the same command twice: name the engine, not only the port
            check_unowned(Path(config.db))
        what = {
            errno.EADDRINUSE: "another program listens there. Choose another --port, and tell the"
            f" other commands: export ATOMIC_URL={engine_url(config, 0)[:-1]}PORT.",
            errno.EACCES: "this user may not listen on it. Choose a --port above 1023.",
            errno.EADDRNOTAVAIL: "this machine has no such address.",
        }.get(error.errno or 0, f"{error.strerror or error}.")
        raise CannotListen(f"{config.host}:{config.port}: {what}") from error


def _addresses(listeners: list[trio.SocketListener]) -> str:
    """Where it listens, which may be more than the URL says: `0.0.0.0:8420`."""
    names = (it.socket.getsockname() for it in listeners)
    return " ".join(f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
                    for name in names)  # fmt: skip


class Reach(Struct, frozen=True):
    """How the engine is reached."""

    url: str
    listeners: list[trio.SocketListener]
    limits: server.ServerLimits
    certificate: Certificate | None


class Around(Struct, frozen=True):
    """What an engine has around it before its store is open."""

    room: Room
    files: Files
    clock: SystemClock
    instance: str
    reach: Reach
    tracing: Tracing | None
    alerts: AlertSettings | None
    dropped: Callable[[], int]
    """How many lines the log has dropped."""
    attach: Callable[[], trio.Event]
    """From the loop: the event that is set once a stop is asked for."""
    log: Log


def _certificate(config: Config, clock: SystemClock) -> Certificate | None:
    """What is shown to those who connect; None: TLS is not spoken. Raises ConfigError."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    files = Path(config.tls_cert), Path(config.tls_key)
    return Certificate(files, lambda: clock.utc_ms() / 1000, logger())


def around(
    room: Room,
    files: Files,
    log: Log,
    attach: Callable[[], trio.Event],
    dropped: Callable[[], int] = lambda: 0,
) -> Around:
    """Listening, with nothing to answer by yet. Raises ConfigError and CannotListen."""
    config, clock = room.config, SystemClock()
    certificate = _certificate(config, clock)
    instance = clock.token_bytes(6).hex()
    tracing, alerts = tracing_of(config, __version__, instance), alerts_of(config)
    listeners = _listen(config)
    url = engine_url(config, listeners[0].socket.getsockname()[1])
    limits = server_limits(config, room.beyond_max)
    reach = Reach(url, listeners, limits, certificate)
    return Around(room, files, clock, instance, reach, tracing, alerts, dropped, attach, log)


async def _serve(
    room: Room, files: Files, log: Log, output: LogOutput, watchdog: Watchdog, stop: Stop
) -> None:
    it = around(room, files, log, stop.attach, lambda: output.dropped)
    async with opened(it, partial(watchdog.start, FAILED_DEADLINE_S, EXIT_FAILED)) as found:
        await serve_from(found, it)
    log("engine-stopped-well")


@asynccontextmanager
async def opened(it: Around, on_failure: Callable[[], None]) -> AsyncIterator[Opened]:
    """The store that the settings name. Raises StoreError and ConfigError."""
    config, started_at, warn = it.room.config, it.clock.steady_ms(), logger().warning
    if config.store is not None:
        async with on_server(config, it.instance, started_at, on_failure, warn) as found:
            yield found
        return
    owner = Owner(os.getpid(), it.instance, rfc3339(it.clock.utc_ms()), it.reach.url)
    async with open_store(
        Path(config.db),
        owner,
        started_at=started_at,
        on_failure=on_failure,
        wait_s=config.store_wait_ms / 1000,
        log=warn,
    ) as store:
        yield in_file(store, config.db)


async def serve_from(opened: Opened, it: Around) -> None:
    """Serve from a store that is open, until a stop is asked for."""
    store, views, config, clock = opened.store, opened.views, it.room.config, it.clock
    counters = server.ServerCounters()
    registry = Registry(store, clock.utc_ms)
    it.files.give_to(registry)
    check_bind(config, asks_token=registry.asks_token)
    if not is_loopback(config.host):
        registry.ask_always()
    tracing, alerts = it.tracing, made_alerts(it.alerts, config, store, clock)
    spans = None if tracing is None else tracing.spans
    async with working(opened, it, registry, counters, spans, alerts) as (engine, metrics):
        it.log("engine-started", url=it.reach.url, version=__version__, instance=it.instance,
               db=store.place, epoch=store.epoch, **store.durability())  # fmt: skip
        _warn_of_few(it.room)
        _warn_of_held(engine)
        show_process(metrics, it.dropped, __version__, it.instance)
        engine.new_runs.count_open = views.open_runs
        front = front_of(config, opened, registry, clock, engine, metrics, it.instance, alerts)
        show_backups(metrics, front.backups)
        async with trio.open_nursery() as beside:
            beside.start_soon(front.audit.run)
            if tracing is not None:
                beside.start_soon(tracing.run, logger().warning)
            await _serve_front(front, store, it, counters)
            beside.cancel_scope.cancel()


def _warn_of_held(engine: Engine) -> None:
    """That nothing is called, which is so after a restore, must be found by who wonders why."""
    hold = engine.holds.get((HoldKind.ALL, EVERYTHING))
    if hold is not None and hold.released_at is None:
        logger().warning(
            "everything-held", since=rfc3339(hold.since), actor=hold.actor, reason=hold.reason,
            release="atomic release --all",
        )  # fmt: skip


def _warn_of_few(room: Room) -> None:
    """After the start: of one that fails, only the reason is said."""
    if not room.is_enough:
        say = logger().info if room.is_nearly_enough else logger().warning
        say(
            "few-descriptors", has=room.has, needed=room.needed, hint=room.hint,
            connections_max=room.config.connections_max, in_flight_max=room.config.in_flight_max,
            hanging_max=room.hanging_max,
        )  # fmt: skip


async def _serve_front(
    front: Front, store: OpenStore, it: Around, counters: server.ServerCounters
) -> None:
    """Serve until a stop is asked for; then drain, and return when every answer has left."""
    config, reach, log, asked = front.config, it.reach, it.log, it.attach()
    stop = trio.Event()
    show_server(front.metrics, counters, reach.certificate)
    show_pruning(front.metrics, front.pruning)
    async with trio.open_nursery() as nursery:
        await nursery.start(front.bulk.run)
        nursery.start_soon(front.pruning.run)
        nursery.start_soon(front.backups.run)
        await nursery.start(
            partial(
                server.serve,
                _application(front),
                reach.listeners,
                reach.limits,
                stop,
                grace_s=ANSWERS_GRACE_S,
                log=_server_log,
                refuse=_server_refusal,
                counters=counters,
                door=EngineDoor(front),
                budget=front.engine.budget,
                goes_first=looks_posted_by_a_run,
                certificate=reach.certificate,
            )
        )
        log("listening", url=reach.url, address=_addresses(reach.listeners))
        await asked.wait()
        give_up_s = config.stop_deadline_ms / 1000 * STORE_SHARE
        store.give_up_at(trio.current_time() + give_up_s)
        front.pruning.close()
        await front.engine.drain(config.drain_grace_ms / 1000)
        front.bulk.close()
        front.backups.close()
        stop.set()


def _application(front: Front) -> QuartTrio:
    app = routes.build(front)
    if front.config.ui:
        add_pages(app, front)
    return app


@asynccontextmanager
async def working(
    opened: Opened,
    it: Around,
    registry: Registry,
    counters: server.ServerCounters,
    spans: Spans | None,
    alerts: Alerts | None,
) -> AsyncIterator[tuple[Engine, Metrics]]:
    """The engine at work on a store: runs are recovered and driven until this is left."""
    room, store, clock, log = it.room, opened.store, it.clock, it.log
    config, dialler = room.config, Dialler()
    own_ports = frozenset(each.socket.getsockname()[1] for each in it.reach.listeners)
    receiver = None if alerts is None else alerts.settings
    policies = Policies(registry, dialler, own_ports, None if receiver is None else receiver.client)
    if receiver is not None and (why := policies.why_not(ALERTS_CLIENT, receiver.url)):
        raise ConfigError(f"alerts_url: {receiver.url} may not be called: {why}")
    open_max = config.in_flight_max + room.hanging_max
    transport = LeanTransport(dialler, answer_bytes_max=config.answer_bytes_max, open_max=open_max)
    caller = HttpCaller(
        transport,
        version=__version__,
        utc_now=lambda: clock.utc_ms() / 1000,
        policies=policies,
    )
    metrics, run_log = Metrics(), RunLog(logger().warning, logger().info)
    shared = Shared(
        store,
        caller,
        clock,
        ParentTokens(store.secret, store.epoch),
        engine_limits(room),
        Watchers(_counting(metrics, spans, alerts), metrics.attempt_took, run_log),
        warn=logger().warning,
        inform=logger().info,
        pressed=lambda: 2 * counters.connections_open > config.connections_max,
        registry=registry,
    )
    engine = Engine(shared, log=_errors(alerts), targets=policies)
    show_engine(metrics, engine)
    show_store(metrics, store)
    show_registry(metrics, registry)
    show_alerts(metrics, alerts)
    try:
        async with trio.open_nursery() as work:
            await work.start(engine.run)
            work.start_soon(_watch_wall_clock, clock, log)
            work.start_soon(engine.admission.run)
            work.start_soon(_sample, metrics)
            work.start_soon(run_log.run)
            work.start_soon(it.files.watch, registry, clock.utc_ms, log, logger().warning)
            open_by_client = opened.views.open_by_client
            work.start_soon(tell_of_undefined, registry, open_by_client, logger().warning)
            work.start_soon(_trim_memory, engine.budget)
            if alerts is not None:
                work.start_soon(alerts.run, engine, opened.views)
            yield engine, metrics
            work.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await transport.aclose()


def _counting(
    metrics: Metrics, spans: Spans | None, alerts: Alerts | None
) -> Callable[[Change], None]:
    """What each change of a run is told to."""
    if spans is not None:
        show_traces(metrics, spans)
    others = [each.watch for each in (spans, alerts) if each is not None]
    if not others:
        return metrics.watch

    def count(change: Change) -> None:
        metrics.watch(change)
        for watch in others:
            watch(change)

    return count


def _errors(alerts: Alerts | None) -> Callable[..., None]:
    """Where the engine says that a bug has stopped a run."""
    say = logger().error
    if alerts is None:
        return say

    def say_and_tell(event: str, **values: Any) -> None:
        say(event, **values)
        if event == "run-stopped":
            alerts.run_stopped(values["run_id"], values["client"], values["error"])

    return say_and_tell


async def _trim_memory(budget: Budget) -> None:
    """Freed blocks lie between others that are in use: without this a burst of large bodies would
    keep the process as large as it once was."""
    returned = 0
    while True:
        await trio.sleep(TRIM_EVERY_S)
        if budget.returned_bytes - returned > TRIM_BYTES_MIN:
            returned = budget.returned_bytes
            await trio.to_thread.run_sync(trim)


async def _sample(metrics: Metrics) -> None:
    while True:
        metrics.sample()
        await trio.sleep(1)


async def _watch_wall_clock(clock: SystemClock, log: Log) -> None:
    """Say when the wall clock was set: nothing depends on it, but an operator will wonder."""
    apart = 0
    while True:
        await trio.sleep(5)
        now_apart = clock.utc_ms() - clock.steady_ms()
        if abs(now_apart - apart) >= CLOCK_JUMP_MS_MIN:
            log("clock-jump", by_ms=now_apart - apart)
            apart = now_apart


def _server_log(event: str, fields: dict[str, Any]) -> None:
    error = fields.get("error")
    if isinstance(error, BaseException):
        logger().error(event, exc_info=error)
    else:
        logger().warning(event, **fields)


def _server_refusal(status: int, name: str, detail: str, limit: str | None) -> bytes:
    kind = Problem.INVALID_REQUEST if name == "bad-request" else Problem(name)
    return problem(kind, detail, status=status, limit=limit)
