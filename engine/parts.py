"""The parts of an engine as its settings ask for them. `main.py` puts them to work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from engine import __version__
from engine.alerts.alerts import Alerts
from engine.alerts.settings import AlertSettings
from engine.core.rules.hold import EVERYTHING, HoldKind
from engine.core.rules.post import RunLimits
from engine.core.rules.retention import Retention
from engine.front.access.gate import Gate
from engine.front.access.listeners import Listeners
from engine.front.access.places import Places
from engine.front.access.proxies import Proxies
from engine.front.access.request import Access, host_name
from engine.front.admin.backup import note_end
from engine.front.admin.doctor import Examined
from engine.front.api.context import Front
from engine.front.server import server
from engine.front.show.digests import Digests
from engine.jobs.backups import Backups, BackupSettings
from engine.jobs.bulk import Bulk
from engine.jobs.retention import Pruning
from engine.ports.jobs import JobStore
from engine.ports.store import Copies, OpenStore
from engine.ports.views import Views
from engine.process.clock import SystemClock
from engine.process.config import Config, ConfigError
from engine.process.costly import CostlyWork
from engine.process.descriptors import BEYOND_MAX, Room
from engine.process.memory import default_budget
from engine.registry.audit import Audit
from engine.registry.causes import SaidOfCauses
from engine.registry.changes import Changes
from engine.registry.limits import SetLimits
from engine.registry.logins import Logins
from engine.registry.registry import Registry
from engine.runs.engine import Engine
from engine.runs.limits.bounds import EngineLimits
from engine.store.sqlite.backup.backup import SqliteCopies
from engine.store.sqlite.store import SqliteStore
from engine.store.tables.views.jobs import TableJobs
from engine.store.tables.views.views import TableViews
from engine.telemetry.log import logger
from engine.telemetry.metrics import Metrics


class Opened(Struct, frozen=True):
    """A store that is open, and what its adapter gives beside it."""

    store: OpenStore
    views: Views
    jobs: JobStore
    copies: Copies
    file: str | None
    """Where it lies; None: in no file."""


def in_file(store: SqliteStore, file: str) -> Opened:
    """The embedded one."""
    copies = SqliteCopies(store.path, store.wal)
    return Opened(store, TableViews(store), TableJobs(store, logger().error), copies, file)


@asynccontextmanager
async def on_server(
    config: Config,
    instance: str,
    started_at: int,
    on_failure: Callable[[], None],
    log: Callable[..., None],
) -> AsyncIterator[Opened]:
    """On PostgreSQL. Raises StoreError, and ConfigError where it cannot be asked at all."""
    assert config.store is not None
    if config.backup_dir is not None:
        raise ConfigError(
            "backup_dir: the engine copies a file, and store names a PostgreSQL database: have its"
            " own tools make copies (pg_dump, pg_basebackup), and take the setting out."
        )
    try:
        from engine.store.postgres.store import NoCopies, open_postgres
    except ImportError as error:
        raise ConfigError(
            "store: PostgreSQL needs the extra `postgres`: pip install '.[postgres]' in the"
            " checkout, or take the setting out."
        ) from error
    async with open_postgres(
        config.store,
        instance,
        started_at=started_at,
        on_failure=on_failure,
        wait_s=config.store_wait_ms / 1000,
        log=log,
    ) as store:
        views, jobs = TableViews(store), TableJobs(store, logger().error)
        yield Opened(store, views, jobs, NoCopies(), None)


def engine_limits(room: Room) -> EngineLimits:
    """The part of the configuration that bounds the engine."""
    config = room.config
    return EngineLimits(
        run=RunLimits(config.steps_per_run_max, config.depth_max, config.steps_need_parent),
        runs_in_memory_max=config.runs_in_memory_max,
        new_runs_wait_s_max=config.new_runs_wait_ms_max / 1000,
        in_flight_max=config.in_flight_max,
        hanging_max=room.hanging_max,
        in_flight_per_host_max=config.in_flight_per_host_max,
        workflows_in_flight_per_host_max=config.workflows_in_flight_per_host_max,
        suspend_after_s=config.suspend_after_ms / 1000,
        memory_bytes_max=config.memory_bytes_max or default_budget(),
        store_bytes_max=config.store_bytes_max,
        standstill_s=config.standstill_ms / 1000,
    )


def server_limits(config: Config, beyond_max: int = BEYOND_MAX) -> server.ServerLimits:
    """The part of the configuration that bounds the server."""
    return server.ServerLimits(
        header_bytes_max=config.header_bytes_max,
        header_lines_max=config.header_lines_max,
        body_bytes_max=config.body_bytes_max,
        header_timeout_s=config.header_timeout_ms / 1000,
        body_timeout_s=config.body_timeout_ms / 1000,
        unread_answer_timeout_s=config.unread_answer_timeout_ms / 1000,
        keep_alive_timeout_s=config.keep_alive_timeout_ms / 1000,
        connections_max=config.connections_max,
        beyond_max=beyond_max,
    )


def front_of(
    config: Config,
    opened: Opened,
    registry: Registry,
    clock: SystemClock,
    engine: Engine,
    metrics: Metrics,
    instance: str,
    alerts: Alerts | None = None,
) -> Front:
    """What every route needs."""
    store, views = opened.store, opened.views
    audit = Audit(store, clock, config.audit_kept_days, logger().info, logger().warning)
    backups = backups_of(config, opened, clock, audit)
    return Front(
        engine=engine,
        views=views,
        registry=registry,
        said_of_causes=SaidOfCauses(store, clock.steady_ms, views.known_causes),
        audit=audit,
        changes=changes_of(registry, views, clock),
        logins=Logins(store, registry, clock.utc_ms, clock.token_bytes),
        limits=limits_of(config, store, registry, clock, engine),
        clock=clock,
        config=config,
        proxies=Proxies(config.behind_proxy),
        gate=Gate(Access(names_of(config)), registry),
        places=Places(store.file_id, store.secret, clock.token_bytes),
        listeners=Listeners(),
        digests=Digests(store.secret),
        metrics=metrics,
        log=logger().error,
        alerts=alerts,
        backups=backups,
        bulk=bulk_of(opened, registry, engine, clock),
        pruning=pruning_of(config, store, engine, clock),
        costly=CostlyWork(),
        file_id=store.file_id,
        instance=instance,
        version=__version__,
        started_at=clock.steady_ms(),
        durability=store.durability(),
        examined=examined_of(config, opened, registry, engine, backups, clock),
    )


def names_of(config: Config) -> tuple[str, ...]:
    """Under which the engine answers, besides those of loopback."""
    public = host_name(urlsplit(config.public_url or "").netloc)
    return (*config.hosts, config.host, *filter(None, (public,)))


def made_alerts(
    asked: AlertSettings | None, config: Config, store: OpenStore, clock: SystemClock
) -> Alerts | None:
    """What tells somebody; None: nobody asks for it."""
    if asked is None:
        return None
    directory = None if config.store else Path(config.db).absolute().parent
    return Alerts(asked, store, clock, directory, logger().info)


def bulk_of(opened: Opened, registry: Registry, engine: Engine, clock: SystemClock) -> Bulk:
    """Bulk jobs."""
    log, runs, jobs = logger(), opened.views.runs, opened.jobs
    return Bulk(runs, jobs, engine, registry, clock, log.info, log.warning, log.error)


def backups_of(config: Config, opened: Opened, clock: SystemClock, audit: Audit) -> Backups:
    """Copies of the record."""
    directory = None if config.backup_dir is None else Path(config.backup_dir).absolute()
    settings = BackupSettings(directory, config.backup_every_h, config.backup_keep)
    log = logger()
    ended = partial(note_end, audit)
    return Backups(opened.store, opened.copies, settings, clock, log.info, log.warning, ended=ended)


def examined_of(
    config: Config,
    opened: Opened,
    registry: Registry,
    engine: Engine,
    backups: Backups,
    clock: SystemClock,
) -> Examined:
    """What `atomic doctor` looks at."""
    return Examined(
        store=opened.store,
        file=opened.file,
        alerts_url=config.alerts_url,
        durability=opened.store.durability,
        backups=backups,
        backup_dir=config.backup_dir,
        backup_every_h=config.backup_every_h,
        room=engine.shared.store_room,
        clients=registry,
        targets=engine.targets,
        hold=lambda: engine.holds.get((HoldKind.ALL, EVERYTHING)),
        utc_ms=clock.utc_ms,
        steady_ms=clock.steady_ms,
    )


def limits_of(
    config: Config, store: OpenStore, registry: Registry, clock: SystemClock, engine: Engine
) -> SetLimits:
    """What was set at run time, over what the files say."""
    apply = engine.places.gates.set_limits
    return SetLimits(store, registry, config.host_limits, apply, clock.utc_ms)


def pruning_of(config: Config, store: OpenStore, engine: Engine, clock: SystemClock) -> Pruning:
    """What removes runs that ended long enough ago."""
    retention = Retention(config.retention_days, config.keys_kept_days)
    log = logger()
    is_held = lambda: engine.holds.is_everything_held  # noqa: E731
    return Pruning(store, engine.memory, retention, clock, log.info, log.warning, is_held)


def changes_of(registry: Registry, views: Views, clock: SystemClock) -> Changes:
    """Changes of clients and tokens."""
    return Changes(
        registry,
        now=clock.utc_ms,
        token_bytes=clock.token_bytes,
        open_by_client=views.open_by_client,
    )
